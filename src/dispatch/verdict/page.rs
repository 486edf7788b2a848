//! The table as the page `docs/verdicts.md`.

use super::{
    Seen, Verdict,
    table::{Row, Status, TABLE},
};

const HEAD: &str = "\
# Verdicts: what an answer of Buy with Prime means

This page is written by the program from the table it judges by (`src/dispatch/verdict/table.rs`);
a test keeps both the same. The first row that fits decides. Of several errors in one answer the
most cautious verdict stands, in the order of the list below. A read changes nothing: where a
mutation would be `unknown`, it is `retry`. The configuration may set another verdict for a single
code or type (`verdicts.CODE`); that touches only rows about an error without data. `Retry-After` is
a floor whatever the verdict. A row marked *rest* catches what no row names; such a code is counted
by its name (`bwp_sync_unlisted_errors_total`), so that it can be listed.

## The verdicts, most cautious first

| verdict | what happens |
|---|---|
";

const TABLE_HEAD: &str = "
## The table

| # | operation | seen | HTTP | error type | code | verdict | why |
|---|---|---|---|---|---|---|---|
";

/// The page.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for verdict in Verdict::ALL {
        page.push_str(&format!("| `{}` | {} |\n", verdict.name(), meaning(verdict)));
    }
    page.push_str(TABLE_HEAD);
    for (number, row) in TABLE.iter().enumerate() {
        page.push_str(&line(number + 1, row));
    }
    page
}

fn line(number: usize, row: &Row) -> String {
    let operations = list(row.operations.iter().map(|operation| format!("`{}`", operation.name())));
    let seen = list(row.seen.iter().map(|seen| shown(*seen).to_owned()));
    let types = list(row.types.iter().map(|word| match *word {
        "" => "none".to_owned(),
        word => format!("`{word}`"),
    }));
    let status = match row.status {
        Status::Any => "any".to_owned(),
        Status::Is(status) => status.to_string(),
        Status::Class(hundreds) => format!("{hundreds}xx"),
    };
    let code = if row.code.is_empty() { "any".to_owned() } else { format!("`{}`", row.code) };
    let rest = if row.rest { " *rest*" } else { "" };
    let (verdict, why) = (row.verdict.name(), row.why);
    format!("| {number} | {operations} | {seen} | {status} | {types} | {code} | `{verdict}`{rest} | {why} |\n")
}

fn list(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "any".to_owned() } else { parts.join(", ") }
}

fn shown(seen: Seen) -> &'static str {
    match seen {
        Seen::TokenRefused => "token refused",
        Seen::TokenRejected => "tokens rejected",
        Seen::NoToken => "no token",
        Seen::NoConnection => "no connection",
        Seen::TooLate => "deadline before send",
        Seen::NoAnswer => "no answer",
        Seen::Order => "order",
        Seen::NullOrder => "null",
        Seen::Unreadable => "unreadable",
        Seen::Error => "error",
        Seen::ErrorBesideData => "error beside data",
    }
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unknown => "it may have been applied: the order is read and compared before anything else of it",
        Verdict::Credentials => "the target's breaker opens; it costs no attempt, and no order dies",
        Verdict::TargetDown => "the target's breaker opens; it costs no attempt",
        Verdict::Throttled => "surely not applied; the limiter slows down; it costs no attempt",
        Verdict::OrderUnknown => "the order is waited for, as for a missing alias",
        Verdict::NotYet => "surely not applied; again after `waiting.sandbox_interval`",
        Verdict::Retry => "surely not applied; again with the usual delays",
        Verdict::AlreadyExists => "the order is read, and what was to be created is looked for",
        Verdict::CheckState => "the order is read: what is so already is confirmed, the rest refused",
        Verdict::Refused => "refused for good: `DEAD`, or after a joined mutation one by one",
        Verdict::Delivered => "accepted",
    }
}

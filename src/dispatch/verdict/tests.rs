#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use Operation::{ReadOrder, UpdateOrder, UpdatePackages};
use Verdict::*;

use super::{
    table::{Status, TABLE},
    *,
};
use crate::prime::{answer, token::TokenError};

fn answered(operation: Operation, status: u16, json: &str) -> Exchange {
    Exchange::Answered {
        status,
        retry_after: None,
        body: answer::parse(operation, Some("application/json"), json.as_bytes()),
        request_id: None,
    }
}

fn verdict(operation: Operation, status: u16, json: &str) -> Verdict {
    judge(operation, &answered(operation, status, json), &Overrides::new()).verdict
}

fn error(kind: &str, code: &str) -> String {
    format!(r#"{{"message":"m","extensions":{{"classification":{{"type":"{kind}","errorCode":"{code}"}}}}}}"#)
}

fn errors(list: &[(&str, &str)]) -> String {
    let list: Vec<_> = list.iter().map(|(kind, code)| error(kind, code)).collect();
    format!(r#"{{"data":null,"errors":[{}]}}"#, list.join(","))
}

/// Written down apart from the table, from the contract and the facts sheet.
#[test]
fn errors_are_judged_as_the_contract_says() {
    for (operation, kind, code, wanted) in [
        (UpdateOrder, "ThrottlingError", "", Throttled),
        (UpdateOrder, "InternalServerError", "InternalServerError", Unknown),
        (UpdateOrder, "AccessDeniedError", "", Credentials),
        (UpdatePackages, "AccessDeniedError", "", OrderUnknown),
        (ReadOrder, "AccessDeniedError", "", Credentials),
        (UpdateOrder, "ResourceNotFoundError", "", OrderUnknown),
        (UpdateOrder, "ConflictException", "", NotYet),
        (UpdateOrder, "ConflictError", "", Unknown),
        (UpdateOrder, "BrandNewError", "InvalidAliasId", Unknown),
        (UpdateOrder, "ValidationError", "BrandNewCode", Refused),
        (UpdateOrder, "ValidationException", "", Refused),
        (UpdateOrder, "ValidationError", "AliasValueAlreadyExists", AlreadyExists),
        (UpdatePackages, "ValidationError", "AliasValueAlreadyExists", Refused),
        (UpdateOrder, "ValidationError", "InvalidAliasId", CheckState),
        (UpdateOrder, "", "InvalidRefundStateTransition", CheckState),
        (UpdateOrder, "ValidationError", "InvalidRefundId", Refused),
        (UpdatePackages, "ValidationError", "PackageTrackerNotAvailableForUpdate", NotYet),
        (UpdateOrder, "InternalServerError", "InvalidAliasId", Unknown),
        (UpdateOrder, "", "", Unknown),
        (ReadOrder, "InternalServerError", "", Retry),
        (ReadOrder, "BrandNewError", "", Retry),
        (ReadOrder, "ResourceNotFoundError", "", OrderUnknown),
    ] {
        let found = verdict(operation, 200, &errors(&[(kind, code)]));
        assert_eq!(found, wanted, "{operation:?} {kind}/{code}");
    }
}

#[test]
fn the_status_and_the_shape_are_judged_as_the_contract_says() {
    let order = r#"{"data":{"updateOrder":{"order":{"id":"x"}}}}"#;
    let throttled = errors(&[("ThrottlingError", "")]);
    let untyped = r#"{"errors":[{"message":"m"}]}"#;
    for (status, body, wanted) in [
        (200, order, Delivered),
        (202, order, Delivered),
        (500, order, Unknown),
        (400, order, Unknown),
        (200, r#"{"data":{"updateOrder":{"order":null}}}"#, Unknown),
        (200, r#"{"data":{"updateOrder":{"order":{"id":"x"}}},"errors":[{}]}"#, Unknown),
        (200, "<html>", Unknown),
        (200, "", Unknown),
        (204, "", Unknown),
        (301, "", TargetDown),
        (400, "", Refused),
        (400, untyped, Refused),
        (200, untyped, Unknown),
        (400, &throttled, Throttled),
        (400, &errors(&[("BrandNewError", "")]), Unknown),
        (401, &throttled, Credentials),
        (403, "<html>", Credentials),
        (404, "<html>", TargetDown),
        (408, "", Unknown),
        (409, "", Unknown),
        (413, "", Refused),
        (418, "", Unknown),
        (429, "<html>", Throttled),
        (500, "", Unknown),
        (502, "", Unknown),
        (503, &throttled, Unknown),
        (504, "", Unknown),
    ] {
        assert_eq!(verdict(UpdateOrder, status, body), wanted, "{status} {body}");
        let read = verdict(ReadOrder, status, body);
        assert_ne!(read, Unknown, "a read of {status} {body}");
    }
    assert_eq!(verdict(ReadOrder, 200, r#"{"data":{"order":null}}"#), OrderUnknown);
    assert_eq!(verdict(ReadOrder, 200, r#"{"data":{"order":{"id":"x"}}}"#), Delivered);
}

#[test]
fn what_was_not_sent_or_not_answered_is_judged_by_that() {
    let token = |failure| Exchange::NotSent { why: NotSent::Token(TokenError::Failed(failure)) };
    let refused = |status| token(TokenFailure::Refused { status });
    for (exchange, wanted, code) in [
        (Exchange::NotSent { why: NotSent::Connect }, TargetDown, "NO_CONNECTION"),
        (Exchange::NotSent { why: NotSent::DeadlineBeforeSend }, Retry, "TOO_LATE"),
        (Exchange::NotSent { why: NotSent::Withheld }, Retry, "WITHHELD"),
        (refused(400), Credentials, "TOKEN_REFUSED"),
        (refused(401), Credentials, "TOKEN_REFUSED"),
        (refused(429), TargetDown, "TOKEN_REFUSED"),
        (refused(503), TargetDown, "TOKEN_REFUSED"),
        (token(TokenFailure::Rejected), Credentials, "TOKEN_REJECTED"),
        (token(TokenFailure::Unreachable), TargetDown, "TOKEN_ENDPOINT_UNREACHABLE"),
        (token(TokenFailure::Unreadable), TargetDown, "TOKEN_UNREADABLE"),
        (Exchange::NoAnswer { why: NoAnswer::Timeout }, Unknown, "NO_ANSWER_IN_TIME"),
        (Exchange::NoAnswer { why: NoAnswer::Reset }, Unknown, "CONNECTION_LOST"),
        (Exchange::NoAnswer { why: NoAnswer::BrokenOff }, Unknown, "ANSWER_BROKE_OFF"),
    ] {
        let judgement = judge(UpdateOrder, &exchange, &Overrides::new());
        assert_eq!((judgement.verdict, judgement.code.as_str()), (wanted, code), "{exchange:?}");
        assert_eq!(exchange.sent(), wanted == Unknown, "{exchange:?}");
        let read = judge(ReadOrder, &exchange, &Overrides::new()).verdict;
        assert_eq!(read, if wanted == Unknown { Retry } else { wanted });
    }
    let until = Utc::now();
    let cause = TokenFailure::Refused { status: 401 };
    let why = NotSent::Token(TokenError::BackingOff { until, cause });
    let judgement = judge(UpdateOrder, &Exchange::NotSent { why }, &Overrides::new());
    assert_eq!(judgement.verdict, Credentials);
    assert_eq!(judgement.retry_after, Some(RetryAfter::At(until)));
}

#[test]
fn of_several_errors_the_most_cautious_decides_and_is_named() {
    let refused = ("ValidationError", "InvalidRefundId");
    for (other, wanted) in [
        (("InternalServerError", ""), Unknown),
        (("ThrottlingError", ""), Throttled),
        (("ValidationError", "AliasValueAlreadyExists"), AlreadyExists),
        (("ValidationError", "InvalidAliasId"), CheckState),
        (("ConflictException", ""), NotYet),
    ] {
        for list in [[refused, other], [other, refused]] {
            let exchange = answered(UpdateOrder, 200, &errors(&list));
            let judgement = judge(UpdateOrder, &exchange, &Overrides::new());
            let name = if other.1.is_empty() { other.0 } else { other.1 };
            assert_eq!((judgement.verdict, judgement.code.as_str()), (wanted, name));
        }
    }
}

#[test]
fn what_nobody_listed_is_told() {
    for (status, kind, code, listed) in [
        (200, "ValidationError", "InvalidRefundId", true),
        (200, "ValidationError", "", true),
        (200, "ValidationError", "BrandNewCode", false),
        (200, "BrandNewError", "", false),
        (200, "InternalServerError", "InternalServerError", true),
        (503, "BrandNewError", "", true),
    ] {
        let exchange = answered(UpdateOrder, status, &errors(&[(kind, code)]));
        let judgement = judge(UpdateOrder, &exchange, &Overrides::new());
        assert_eq!(judgement.listed, listed, "{status} {kind}/{code}");
    }
    assert!(!judge(UpdateOrder, &answered(UpdateOrder, 418, ""), &Overrides::new()).listed);
}

#[test]
fn the_code_that_the_table_knows_is_meant() {
    let json = r#"{"errors":[{"extensions":{"classification":
        {"type":"ValidationError","errorCode":"E-17","code":"InvalidAliasId"}}}]}"#;
    let judgement = judge(UpdateOrder, &answered(UpdateOrder, 200, json), &Overrides::new());
    assert_eq!((judgement.verdict, judgement.code.as_str()), (CheckState, "InvalidAliasId"));
}

#[test]
fn the_configuration_may_overrule_what_an_error_means_and_nothing_else() {
    let overrides = Overrides::from_iter([("brandnewCode".to_owned(), NotYet)]);
    let found = |status, json: &str| judge(UpdateOrder, &answered(UpdateOrder, status, json), &overrides).verdict;
    let plain = errors(&[("ValidationError", "BrandNewCode")]);
    assert_eq!(found(200, &plain), NotYet);
    assert_eq!(found(500, &plain), Unknown);
    assert_eq!(found(401, &plain), Credentials);
    let beside = plain.replace(r#""data":null"#, r#""data":{"updateOrder":{}}"#);
    for status in [200, 400, 401, 429] {
        assert_eq!(found(status, &beside), Unknown, "{status}");
    }
}

#[test]
fn no_answer_carries_a_token_or_an_address_on() {
    let json = r#"{"errors":[{"message":"Bearer abc is not allowed for jane@example.com"}]}"#;
    let judgement = judge(UpdateOrder, &answered(UpdateOrder, 200, json), &Overrides::new());
    assert_eq!(judgement.message, "Bearer *** is not allowed for ***");
}

#[test]
fn every_row_can_be_reached() {
    for (number, row) in TABLE.iter().enumerate() {
        let operations = if row.operations.is_empty() { &Operation::ALL[..] } else { row.operations };
        let seen = if row.seen.is_empty() { &[Seen::Unreadable][..] } else { row.seen };
        let types = if row.types.is_empty() { &["", "SomeNewError"][..] } else { row.types };
        let statuses = match row.status {
            Status::Any => vec![0, 200, 418],
            Status::Is(status) => vec![status],
            Status::Class(hundreds) => vec![hundreds * 100],
        };
        let mut facts = Vec::new();
        for &operation in operations {
            for &seen in seen {
                for &status in &statuses {
                    for &error_type in types {
                        facts.push(Fact { operation, seen, status, error_type, code: row.code });
                    }
                }
            }
        }
        let reached = facts.into_iter().any(|fact| std::ptr::eq(table::row(fact), row));
        assert!(reached, "row {} is never used: {}", number + 1, row.why);
    }
}

#[test]
fn the_names_of_verdicts_are_those_of_the_configuration() {
    for verdict in Verdict::ALL {
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, format!("\"{}\"", verdict.name()));
    }
    assert!(Verdict::ALL.is_sorted());
}

/// `UPDATE_DOCS=1 cargo test verdict` writes the page.
#[test]
fn the_page_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verdicts.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, markdown()).unwrap();
    }
    let written = std::fs::read_to_string(path).expect("docs/verdicts.md");
    assert_eq!(written, markdown(), "run UPDATE_DOCS=1 cargo test verdict");
}

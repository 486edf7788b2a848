//! Which entries go into the next mutation, and what its variables look like.

use super::json;
use super::lane::{Draft, Lane, Part};
use super::rank::EventNo;
use super::step::{Coalesce, Entry, Mutation, Plan, Rules};
use super::subject::Subject;
use super::survey::{Found, Survey};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most entries of one mutation, and the most bytes of them together: Buy with Prime states no limit of its lists, so these are
/// far above what an order usually has, and far below what gateways take. The rest follows in the next mutation. One entry alone
/// goes whatever its size.
pub(super) const MOST_ENTRIES: usize = 100;
const MOST_BYTES: usize = 256 * 1024;

/// An entry that could go now.
struct Ready<'a> {
    subject: &'a Subject,
    found: &'a Found,
    senders: BTreeSet<EventNo>,
    solo: bool,
}

/// The next mutation of a lane, if anything is due: made of what the survey has found, which is taken out of it.
pub fn next(lane: &Lane, survey: &mut Survey, rules: &Rules, now: DateTime<Utc>) -> Option<Draft> {
    let (mutation, chosen) = chosen(lane, survey, rules, now)?;
    let first = chosen.first().and_then(|(_, events)| lane.events.get(events.first()?));
    let identifier = lane.order_identifier(first, &rules.alias_types);
    let (mut input, mut parts) = (Map::new(), Vec::with_capacity(chosen.len()));
    for (subject, events) in chosen {
        if let Some(Plan::Send { entry, effect, .. }) = survey.take(&subject) {
            join(&mut input, entry);
            parts.push(Part { subject, events, effect });
        }
    }
    let variables = json::object([("orderIdentifier", identifier), ("input", Value::Object(input))]);
    Some(Draft { mutation, parts: Arc::new(parts), variables })
}

/// The things that take part in the next mutation, each with the events that it is sent for.
type Chosen = Vec<(Subject, BTreeSet<EventNo>)>;

fn chosen(lane: &Lane, survey: &Survey, rules: &Rules, now: DateTime<Utc>) -> Option<(Mutation, Chosen)> {
    let ready = ready(lane, survey, now);
    let head = ready.first()?;
    let mutation = mutation_of(head.found)?;
    let chosen: Vec<&Ready> = match rules.coalesce {
        _ if head.solo => vec![head],
        Coalesce::Order => ready.iter().filter(|other| !other.solo && mutation_of(other.found) == Some(mutation)).collect(),
        // One event's own things stay together; another event's go alone.
        Coalesce::Off => ready
            .iter()
            .filter(|other| {
                !other.solo && mutation_of(other.found) == Some(mutation) && !other.senders.is_disjoint(&head.senders)
            })
            .collect(),
    };
    let fitting = fitting(chosen).into_iter();
    Some((mutation, fitting.map(|ready| (ready.subject.clone(), ready.senders.clone())).collect()))
}

/// The first of them that fit into one mutation together. Buy with Prime refuses a request that names one refund or one alias of
/// refunds twice, and says nothing of a package that `updateOrder` names twice: the second of such waits for the next mutation.
fn fitting<'a, 'b>(chosen: Vec<&'b Ready<'a>>) -> Vec<&'b Ready<'a>> {
    if chosen.len() == 1 {
        return chosen;
    }
    let (mut fitting, mut bytes, mut named) = (Vec::new(), 0, BTreeSet::new());
    for ready in chosen {
        let Plan::Send { mutation, entry, .. } = &ready.found.plan else { continue };
        let names = names(*mutation, entry);
        if names.iter().any(|name| named.contains(name)) {
            continue;
        }
        bytes += size(entry);
        if !fitting.is_empty() && (fitting.len() >= MOST_ENTRIES || bytes > MOST_BYTES) {
            break;
        }
        named.extend(names);
        fitting.push(ready);
    }
    fitting
}

/// What may be named only once in a mutation. The same package several times is how the sandbox splits it.
fn names(mutation: Mutation, entry: &Entry) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match entry {
        Entry::Refund(item) => {
            let aliases = item["aliases"].as_array().into_iter().flatten().filter_map(|alias| text(&alias["aliasId"]));
            aliases.map(|id| format!("alias {id}")).chain(text(&item["id"]).map(|id| format!("refund {id}"))).collect()
        }
        Entry::Package(item) if mutation == Mutation::UpdateOrder => {
            text(&item["id"]).map(|id| format!("package {id}")).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn size(entry: &Entry) -> usize {
    match entry {
        Entry::Order(fields) => fields.values().map(|value| value.to_string().len()).sum(),
        Entry::LineItem(item) | Entry::Return(item) | Entry::Refund(item) | Entry::Package(item) => item.to_string().len(),
    }
}

fn mutation_of(found: &Found) -> Option<Mutation> {
    match &found.plan {
        Plan::Send { mutation, .. } => Some(*mutation),
        _ => None,
    }
}

/// What could go now, in the order of intake.
fn ready<'a>(lane: &Lane, survey: &'a Survey, now: DateTime<Utc>) -> Vec<Ready<'a>> {
    let ready = survey.ready(lane, now).map(|(subject, found, senders)| {
        let solo = lane.things.get(subject).is_some_and(|thing| thing.pace.solo);
        Ready { subject, found, senders, solo }
    });
    let mut ready: Vec<Ready> = ready.collect();
    ready.sort_by_cached_key(|ready| place(lane, ready));
    ready
}

/// Where an entry stands in the order of intake: by its first event, and within that as the event has it.
fn place(lane: &Lane, ready: &Ready) -> Option<(EventNo, usize)> {
    let no = *ready.senders.first()?;
    let mut facets = lane.events.get(&no)?.facets.iter();
    Some((no, facets.position(|(subject, _)| *lane.canonical(subject) == *ready.subject).unwrap_or(usize::MAX)))
}

/// Joins an entry into the input of a mutation.
fn join(input: &mut Map<String, Value>, entry: Entry) {
    match entry {
        Entry::Order(fields) => input.extend(fields),
        Entry::LineItem(item) => push(input, &["lineItems"], item),
        Entry::Return(item) => push(input, &["returns", "details"], item),
        Entry::Refund(item) => push(input, &["refunds", "details"], item),
        Entry::Package(item) => push(input, &["packageInformation", "details"], item),
    }
}

fn push(input: &mut Map<String, Value>, path: &[&str], item: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut at = input;
    for parent in parents {
        let next = at.entry((*parent).to_owned()).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(next) = next else { return };
        at = next;
    }
    if let Value::Array(list) = at.entry((*last).to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
        list.push(item);
    }
}

//! Which entries go into the next mutation, and what its variables look like.

use super::effect::Effect;
use super::lane::{Draft, Lane, Part};
use super::rank::EventNo;
use super::step::{Coalesce, Entry, Mutation, Plan, Rules};
use super::subject::Subject;
use super::survey::{Found, Survey};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
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
    let (mut input, mut parts) = (Input::new(), Vec::with_capacity(chosen.len()));
    for (subject, events) in chosen {
        if let Some(Plan::Send { entry, effect, .. }) = survey.take(&subject) {
            join(&mut input, entry);
            parts.push(Part { subject, events, effect });
        }
    }
    Some(Draft { mutation, parts: Arc::new(parts), variables: variables(&input, &identifier) })
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
        let Plan::Send { mutation, entry, effect, .. } = &ready.found.plan else { continue };
        let names = names(*mutation, ready.subject, effect);
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
fn names(mutation: Mutation, subject: &Subject, effect: &Effect) -> Vec<String> {
    match effect {
        Effect::Refund(effect) => {
            let own = subject.name().filter(|name| name.alias().is_none()).map(|name| format!("refund {name}"));
            effect.aliases.iter().map(|alias| format!("alias {}", alias.id)).chain(own).collect()
        }
        Effect::Package(effect) if mutation == Mutation::UpdateOrder => vec![format!("package {}", effect.package)],
        _ => Vec::new(),
    }
}

fn size(entry: &Entry) -> usize {
    match entry {
        Entry::Order(fields) => fields.values().map(String::len).sum(),
        Entry::LineItem(item) | Entry::Return(item) | Entry::Refund(item) | Entry::Package(item) => item.len(),
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

/// The input of a mutation: its members by their names.
type Input = BTreeMap<&'static str, Member>;

/// A member of the input, of JSON texts.
enum Member {
    Value(String),
    List(Vec<String>),
    /// `{"details": …}`
    Details(Vec<String>),
}

/// Joins an entry into the input of a mutation.
fn join(input: &mut Input, entry: Entry) {
    match entry {
        Entry::Order(fields) => input.extend(fields.into_iter().map(|(name, value)| (name, Member::Value(value)))),
        Entry::LineItem(item) => push(input.entry("lineItems").or_insert(Member::List(Vec::new())), item),
        Entry::Return(item) => push(input.entry("returns").or_insert(Member::Details(Vec::new())), item),
        Entry::Refund(item) => push(input.entry("refunds").or_insert(Member::Details(Vec::new())), item),
        Entry::Package(item) => push(input.entry("packageInformation").or_insert(Member::Details(Vec::new())), item),
    }
}

fn push(member: &mut Member, item: String) {
    if let Member::List(items) | Member::Details(items) = member {
        items.push(item);
    }
}

/// The variables of a mutation, as they are sent.
fn variables(input: &Input, identifier: &str) -> String {
    let items = |member: &Member| match member {
        Member::Value(value) => value.len(),
        Member::List(items) | Member::Details(items) => items.iter().map(|item| item.len() + 1).sum(),
    };
    // With the names and brackets around them.
    let size: usize = input.values().map(|member| items(member) + 40).sum();
    let mut text = String::with_capacity(size + identifier.len() + 40);
    text.push_str("{\"input\":{");
    for (at, (name, member)) in input.iter().enumerate() {
        text.push_str(if at == 0 { "\"" } else { ",\"" });
        text.push_str(name);
        let (before, items, after) = match member {
            Member::Value(value) => ("\":", std::slice::from_ref(value), ""),
            Member::List(items) => ("\":[", &**items, "]"),
            Member::Details(items) => ("\":{\"details\":[", &**items, "]}"),
        };
        text.push_str(before);
        for (at, item) in items.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "," });
            text.push_str(item);
        }
        text.push_str(after);
    }
    text.push_str("},\"orderIdentifier\":");
    text.push_str(identifier);
    text.push('}');
    text
}

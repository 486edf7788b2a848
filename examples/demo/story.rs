//! One order's story: its events, the calls that were made for it, and its outcomes, in the order of time.

use crate::day::{Day, HERO, prime_id};
use crate::faults::LOST;
use crate::holds;
use crate::play::{Played, Sent};
use crate::seen::Outcome;
use bwp_simulator::{Request, Simulator};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Tells it.
pub fn tell(day: &Day, played: &Played, simulator: &Simulator) {
    println!("\nThe story of order {HERO} (Buy with Prime calls it {})", prime_id(HERO));
    let sent = played.sent.iter().filter(|sent| sent.event.order == HERO).map(said);
    let own = |event: &&crate::event::Event| event.order == HERO;
    let outcomes = day.events().filter(own).flat_map(|event| played.seen.of_event.get(&event.id).into_iter().flatten());
    let outcomes = outcomes.filter_map(|id| played.seen.outcomes.get(id)).map(became);
    let mut updates = 0;
    let calls = simulator.requests().into_iter().filter(is_heros).filter_map(|call| {
        updates += u64::from(call.operation == "updateOrder");
        called(&call, call.operation == "updateOrder" && updates == LOST)
    });
    let mut lines: Vec<(DateTime<Utc>, String)> = sent.chain(outcomes).chain(calls).collect();
    lines.sort_by_key(|(at, _)| *at);
    for (at, line) in lines {
        let seconds = (at - played.began).as_seconds_f64();
        println!("  {seconds:6.2} s  {line}");
    }
    println!("  Buy with Prime holds now:");
    let held = simulator.order(&prime_id(HERO)).map(|order| holds::of(&order)).unwrap_or_default();
    held.iter().for_each(|(name, text)| println!("    {name}: {text}"));
}

fn said(sent: &Sent) -> (DateTime<Utc>, String) {
    let again = if sent.is_repetition { " AGAIN" } else { "" };
    let name = ["/order/id", "/order/bwpId", "/order/alias/id"].iter().find_map(|place| sent.event.data.pointer(place)?.as_str());
    let (id, brief, name) = (&sent.event.id, &sent.event.brief, name.unwrap_or_default());
    (sent.at, format!("-> {id:<8} {name}: {brief}{again} ({})", sent.envelope.name()))
}

fn became(outcome: &Outcome) -> (DateTime<Utc>, String) {
    let attempts = match outcome.attempts {
        0 => "nothing sent".to_owned(),
        1 => "1 attempt".to_owned(),
        more => format!("{more} attempts"),
    };
    let event = outcome.event.as_deref().unwrap_or_default();
    (outcome.settled_at, format!("<- {event:<8} {}, {attempts}", outcome.status))
}

fn is_heros(call: &Request) -> bool {
    call.order == prime_id(HERO) || call.order == format!("?EXTERNAL_ID/{HERO}")
}

fn called(call: &Request, is_lost: bool) -> Option<(DateTime<Utc>, String)> {
    let input = call.variables.get("input").and_then(Value::as_object);
    let members: Vec<&str> = input.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let what = if members.is_empty() { String::new() } else { format!(" with {}", members.join(", ")) };
    let lost = if is_lost { ": done, but the answer gets lost" } else { "" };
    Some((call.time.parse().ok()?, format!("   ........ {}{what}{lost}", call.operation)))
}

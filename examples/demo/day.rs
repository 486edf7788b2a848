//! The day: who orders what, what the merchant's system says of it and when, and what Buy with Prime must hold in the end.
//! All of it is known before anything starts, from one seed.

use crate::event::{Envelope, Event};
use crate::holds::Holds;
use crate::script::{self, Choices};
use bwp_simulator::{LineSeed, OrderSeed, PackageSeed};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many orders there are.
const ORDERS: u32 = 300;
/// The number of the first.
const FIRST: u32 = 1001;
/// The order whose story is told.
pub const HERO: u32 = 1042;
/// Orders begin within this time.
const OPENING: f64 = 11.0;
/// The share of events that are sent twice.
const TWICE: f64 = 0.05;

/// Everything that will happen.
pub struct Day {
    /// Orders that Buy with Prime knows from the start.
    pub seeds: Vec<OrderSeed>,
    /// What happens, by time.
    pub steps: Vec<Step>,
    /// By order number: what Buy with Prime must hold of it in the end.
    pub expected: BTreeMap<u32, Holds>,
    /// Events that must be refused, and with which code.
    pub refused: BTreeMap<String, &'static str>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub struct Step {
    /// Not before this time of the day.
    pub at: Duration,
    /// Not before the outcome of this event: what the merchant does because of it.
    pub after: Option<String>,
    pub act: Act,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Act {
    /// An event is sent, and perhaps once more later, in another envelope and without a key.
    Send { event: Event, envelope: Envelope, again: Option<(Duration, Envelope)> },
    /// A record that is no event; without a value it is a tombstone.
    Raw { topic: &'static str, key: &'static str, value: Option<&'static [u8]> },
    /// Buy with Prime learns of an order that the merchant knew first.
    Arrive(Box<OrderSeed>),
}

/// Bytes that nobody can read.
pub const POISON: &[u8] = b"{\"specversion\": \"1.0\", \"id\": \"cut off in the mid";

impl Day {
    /// The day that this seed gives.
    pub fn plan(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut day = Self { seeds: Vec::new(), steps: Vec::new(), expected: BTreeMap::new(), refused: BTreeMap::new() };
        let raw =
            |at, topic, value| Step { at: Duration::from_secs(at), after: None, act: Act::Raw { topic, key: "1007", value } };
        day.steps.push(raw(4, "oms.refunds", Some(POISON)));
        day.steps.push(raw(5, "oms.returns", None));
        for number in FIRST..FIRST + ORDERS {
            let choices = if number == HERO { Choices::hero() } else { Choices::roll(&mut dice, number) };
            let opens = Duration::from_secs_f64(if number == HERO { 1.0 } else { dice.f64() * OPENING });
            let script = script::write(number, opens, &choices, &mut dice);
            let seed = seed_order(number, &choices, &mut dice, &script.quantities);
            match choices.comes_late {
                false => day.seeds.push(seed),
                true => {
                    day.steps.push(Step { at: opens + Duration::from_secs(3), after: None, act: Act::Arrive(Box::new(seed)) })
                }
            }
            for (at, after, event) in script.events {
                let twice = number == HERO && event.brief.contains("PARTIAL") || dice.f64() < TWICE;
                let envelope = pick(&mut dice);
                let again = twice.then(|| (Duration::from_secs_f64(0.4 + dice.f64() * 2.0), pick(&mut dice)));
                day.steps.push(Step { at, after, act: Act::Send { event, envelope, again } });
            }
            day.expected.insert(number, script.expected);
            day.refused.extend(script.refused);
        }
        day.steps.sort_by_key(|step| step.at);
        day
    }

    /// All events.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.steps.iter().filter_map(|step| match &step.act {
            Act::Send { event, .. } => Some(event),
            _ => None,
        })
    }

    /// How many records will be sent: events, repetitions, and what is no event.
    pub fn records(&self) -> usize {
        let count = |step: &Step| match &step.act {
            Act::Send { again, .. } => 1 + usize::from(again.is_some()),
            Act::Raw { .. } => 1,
            Act::Arrive(_) => 0,
        };
        self.steps.iter().map(count).sum()
    }

    /// How many of them are repetitions.
    pub fn repetitions(&self) -> usize {
        self.steps.iter().filter(|step| matches!(&step.act, Act::Send { again: Some(_), .. })).count()
    }
}

fn pick(dice: &mut fastrand::Rng) -> Envelope {
    Envelope::ALL[dice.usize(..Envelope::ALL.len())]
}

/// Buy with Prime's own id of an order.
pub fn prime_id(number: u32) -> String {
    format!("322-DEMO-{number:06}")
}

/// The order as Buy with Prime has it when it was placed: lines, one pending package, the merchant's name for it.
fn seed_order(number: u32, choices: &Choices, dice: &mut fastrand::Rng, quantities: &[u64]) -> OrderSeed {
    let mut seed = OrderSeed::new(prime_id(number)).alias("EXTERNAL_ID", &number.to_string());
    for (index, quantity) in (1..).zip(quantities) {
        seed = seed.line(&format!("line-{number}-{index}"), &format!("{number}-{index}"), *quantity);
    }
    // Nothing of the day depends on more lines, but real orders have them.
    if dice.bool() {
        seed.lines.push(LineSeed { id: Some(format!("line-{number}-gift")), aliases: Vec::new(), quantity: 1, product: None });
    }
    let alias = choices.package_is_named.then(|| bwp_simulator::Alias::new("EXTERNAL_ID", format!("SH-{number}")));
    let package =
        PackageSeed { id: Some(format!("package-{number}")), aliases: alias.into_iter().collect(), ..PackageSeed::default() };
    seed.packages.push(package);
    seed
}

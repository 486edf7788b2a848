//! One order's day: what was chosen for it, the events that say so, and what Buy with Prime must hold of it in the end.

use crate::day::prime_id;
use crate::event::{Event, Kind};
use crate::holds::{self, Holds};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How the merchant's system names the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By its own id.
    Own,
    /// By Buy with Prime's id.
    Prime,
    /// By its own id, and by Buy with Prime's as soon as an outcome tells it.
    OwnThenPrime,
    /// By its own id, and by the number that customers see as soon as Buy with Prime has it.
    OwnThenDisplay,
}

/// What becomes of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journey {
    Delivered,
    OnTheWay,
    Unfulfillable,
    Undeliverable,
    /// Nothing is said of it.
    Untold,
}

/// What becomes of a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    Open,
    Completed,
    Cancelled,
    /// For more pieces than were ordered: Buy with Prime must refuse it.
    TooMany,
}

/// How money goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    Whole,
    InParts,
    Rejected,
}

/// What is special about an order.
#[derive(Clone, Debug)]
pub struct Choices {
    pub naming: Naming,
    /// Buy with Prime learns of it after the merchant's first events.
    pub comes_late: bool,
    pub journey: Journey,
    /// Buy with Prime knows the merchant's name of the package; else a row of the alias table brings it, later.
    pub package_is_named: bool,
    pub returned: Option<Return>,
    /// Returned lines are named by SKU, and the alias table learns the SKU later.
    pub by_sku: bool,
    pub refund: Option<Refund>,
}

impl Choices {
    /// The order whose story is told.
    pub fn hero() -> Self {
        let (returned, refund) = (Some(Return::Completed), Some(Refund::InParts));
        let (naming, journey) = (Naming::OwnThenPrime, Journey::Delivered);
        Self { naming, comes_late: false, journey, package_is_named: true, returned, by_sku: true, refund }
    }

    /// By the dice.
    pub fn roll(dice: &mut fastrand::Rng, number: u32) -> Self {
        use {Journey as J, Naming as N, Refund as F, Return as R};
        let journeys =
            [J::Delivered, J::Delivered, J::Delivered, J::Delivered, J::OnTheWay, J::Unfulfillable, J::Undeliverable, J::Untold];
        let returns = [R::Completed, R::Completed, R::Cancelled, R::Open];
        let refunds = [F::InParts, F::InParts, F::Whole, F::Rejected];
        let comes_late = number % 60 == 11;
        let namings = [N::Own, N::Own, N::Own, N::Prime, N::OwnThenPrime, N::OwnThenDisplay];
        let returned = (dice.f64() < 0.4).then(|| returns[dice.usize(..returns.len())]);
        Self {
            naming: if comes_late { N::Own } else { namings[dice.usize(..namings.len())] },
            comes_late,
            journey: journeys[dice.usize(..journeys.len())],
            package_is_named: dice.f64() < 0.8,
            returned: if number == 1100 { Some(R::TooMany) } else { returned },
            by_sku: dice.f64() < 0.3,
            refund: (dice.f64() < 0.5).then(|| refunds[dice.usize(..refunds.len())]),
        }
    }
}

/// What comes of it.
pub struct Script {
    /// When, after the outcome of which event, and what.
    pub events: Vec<(Duration, Option<String>, Event)>,
    pub expected: Holds,
    pub refused: BTreeMap<String, &'static str>,
    /// Of each line.
    pub quantities: Vec<u64>,
    number: u32,
    choices: Choices,
    now: Duration,
}

/// Writes the script of an order that opens at this time.
pub fn write(number: u32, opens: Duration, choices: &Choices, dice: &mut fastrand::Rng) -> Script {
    let mut script = Script {
        events: Vec::new(),
        expected: Holds::new(),
        refused: BTreeMap::new(),
        quantities: (0..dice.usize(1..=3)).map(|_| dice.u64(1..=3)).collect(),
        number,
        choices: choices.clone(),
        now: opens,
    };
    script.start(dice);
    script.ship(dice);
    if let Some(end) = choices.returned {
        script.give_back(end, dice);
    }
    if let Some(way) = choices.refund {
        script.refund(way, dice);
    }
    script
}

impl Script {
    /// Adds an event; gives its id.
    fn say(&mut self, kind: Kind, data: Value, brief: impl Into<String>, after: Option<String>) -> String {
        let id = format!("{}-{}", self.number, self.events.len() + 1);
        let event = Event { id: id.clone(), kind, data, brief: brief.into(), order: self.number };
        let after = after.or_else(|| self.renamed().then(|| format!("{}-1", self.number)));
        self.events.push((self.now, after, event));
        id
    }

    fn pause(&mut self, dice: &mut fastrand::Rng, least: f64, most: f64) {
        self.now += Duration::from_secs_f64(least + dice.f64() * (most - least));
    }

    /// Whether another name than the first is used by now.
    fn renamed(&self) -> bool {
        !self.events.is_empty() && matches!(self.choices.naming, Naming::OwnThenPrime | Naming::OwnThenDisplay)
    }

    fn order(&self) -> Value {
        let number = self.number;
        match self.choices.naming {
            Naming::Prime => json!({"bwpId": prime_id(number)}),
            Naming::OwnThenPrime if self.renamed() => json!({"bwpId": prime_id(number)}),
            Naming::OwnThenDisplay if self.renamed() => {
                json!({"alias": {"type": "EXTERNAL_DISPLAY_ID", "id": format!("#{number}")}})
            }
            _ => json!({"id": number.to_string()}),
        }
    }

    fn start(&mut self, dice: &mut fastrand::Rng) {
        let (total, shown) = (cents(dice.i64(1500..20_000)), format!("#{}", self.number));
        let data = json!({"order": self.order(), "version": 1, "executionState": "STARTED",
            "aliases": [{"type": "EXTERNAL_DISPLAY_ID", "id": shown}], "totalPrice": money(total)});
        self.say(Kind::Order, data, format!("STARTED, total {total}, shown as {shown}"), None);
        self.expected.insert("order".to_owned(), holds::order("STARTED", &[shown], Some(total)));
    }

    fn ship(&mut self, dice: &mut fastrand::Rng) {
        let number = self.number;
        let steps: &[(&str, Option<&str>, Option<&str>)] = match self.choices.journey {
            Journey::Untold => &[],
            Journey::OnTheWay => &[("PENDING", None, None), ("IN_TRANSIT", None, None)],
            Journey::Unfulfillable => &[("CANCELLED", Some("UNFULFILLABLE"), None)],
            Journey::Undeliverable => &[("IN_TRANSIT", None, None), ("CANCELLED", Some("UNDELIVERABLE"), None)],
            Journey::Delivered if number.is_multiple_of(2) => &[
                ("IN_TRANSIT", None, None),
                ("IN_TRANSIT", None, Some("OUT_FOR_DELIVERY")),
                ("DELIVERED", None, Some("DELIVERED")),
            ],
            Journey::Delivered => &[("PENDING", None, None), ("IN_TRANSIT", None, None), ("DELIVERED", None, None)],
        };
        for (version, (state, reason, milestone)) in (1..).zip(steps) {
            self.pause(dice, 0.3, 1.8);
            let mut data = json!({"order": self.order(), "shipment": {"id": format!("SH-{number}")}, "version": version, "state": state,
                "tracking": {"carrier": "UPS", "number": format!("1Z{number}")}, "reason": reason, "milestone": milestone});
            // Some systems remember Buy with Prime's package; nobody else can name it before its alias is known.
            if self.choices.package_is_named && number % 4 == 1 {
                data["package"] = json!({"bwpId": format!("package-{number}")});
            }
            let more = reason.or(*milestone).map_or_else(String::new, |word| format!(", {word}"));
            self.say(Kind::Shipment, data, format!("SH-{number} {state}{more}"), None);
        }
        if !self.choices.package_is_named && !steps.is_empty() {
            self.pause(dice, 0.5, 2.0);
            let package = format!("package-{number}");
            self.row("PACKAGE", json!({"type": "EXTERNAL_ID", "id": format!("SH-{number}")}), &package);
        }
        let (state, reason) = steps.last().map_or(("PENDING", None), |(state, reason, _)| (*state, *reason));
        self.expected.insert(format!("package package-{number}"), holds::package(state, reason));
    }

    fn row(&mut self, kind: &str, alias: Value, prime: &str) {
        let brief = format!("{kind} {} is {prime}", alias["id"].as_str().unwrap_or_default());
        self.say(
            Kind::Alias,
            json!({"kind": kind, "alias": alias, "bwpId": prime, "order": self.order(), "version": 1}),
            brief,
            None,
        );
    }

    fn give_back(&mut self, end: Return, dice: &mut fastrand::Rng) {
        let (number, line) = (self.number, dice.usize(1..=self.quantities.len()));
        let most = self.quantities.get(line - 1).copied().unwrap_or(1);
        let quantity = if end == Return::TooMany { 99 } else { dice.u64(1..=most) };
        let sku = json!({"type": "SKU", "id": format!("SKU-{number}-{line}")});
        let named = if self.choices.by_sku { json!({"alias": sku}) } else { json!({"id": format!("{number}-{line}")}) };
        let (name, shown) = (format!("RMA-{number}"), format!("R-{number}"));
        let own = |order: Value, version: u32, state: &str| json!({"order": order, "return": {"id": name}, "version": version, "state": state});
        self.pause(dice, 0.3, 2.0);
        let mut data = own(self.order(), 1, "CREATED");
        data["lines"] = json!([{"line": named, "quantity": quantity}]);
        let has_alias = dice.bool();
        if has_alias {
            data["aliases"] = json!([{"type": "DISPLAY-RETURN-ID", "id": shown}]);
        }
        let said = if self.choices.by_sku { format!("SKU-{number}-{line}") } else { format!("{number}-{line}") };
        let created = self.say(Kind::Return, data, format!("{name} CREATED, {quantity} x {said}"), None);
        if self.choices.by_sku {
            self.pause(dice, 2.0, 4.0);
            self.row("LINE_ITEM", sku, &format!("line-{number}-{line}"));
        }
        let state = match end {
            Return::TooMany => {
                self.refused.insert(created, "InvalidReturnQuantity");
                return;
            }
            Return::Open => "CREATED",
            Return::Completed => "COMPLETED",
            Return::Cancelled => "CANCELLED",
        };
        if end != Return::Open {
            self.pause(dice, 0.2, 2.0);
            // A return that is cancelled before Buy with Prime heard of it would be nothing to tell; this one was heard of.
            let after = (end == Return::Cancelled).then_some(created);
            let data = own(self.order(), 2, state);
            self.say(Kind::Return, data, format!("{name} {state}"), after);
        }
        let aliases: Vec<String> = has_alias.then_some(shown).into_iter().collect();
        let lines = [format!("{quantity} x line-{number}-{line}")];
        self.expected.insert(format!("return {name}"), holds::returned(state, &lines, &aliases));
    }

    fn refund(&mut self, way: Refund, dice: &mut fastrand::Rng) {
        let (number, name) = (self.number, format!("RF-{}", self.number));
        let amounts = [cents(dice.i64(100..900)), cents(dice.i64(100..500)), cents(dice.i64(100..300))];
        let payment = |index: usize, state: &str| {
            json!({"id": format!("pay-{number}-{index}"), "amount": money(amounts[index - 1]), "state": state,
                "method": {"type": "CREDIT_CARD", "display": "Visa ending in 1234"}})
        };
        let all = amounts.iter().sum::<Decimal>();
        let (zero, two) = (Decimal::ZERO, amounts[0] + amounts[1]);
        let parts = json!([payment(1, "SUCCESS"), payment(2, "IN_PROGRESS")]);
        let rest = json!([payment(1, "SUCCESS"), payment(2, "SUCCESS"), payment(3, "SUCCESS")]);
        let one = json!([payment(1, "SUCCESS")]);
        let steps: Vec<(&str, Decimal, Option<Value>)> = match way {
            Refund::Whole => vec![("SUCCESS", amounts[0], Some(one))],
            Refund::InParts => vec![("PENDING", zero, None), ("PARTIAL", two, Some(parts)), ("SUCCESS", all, Some(rest))],
            Refund::Rejected => vec![("PENDING", zero, None), ("REJECTED", zero, None)],
        };
        let paid = match way {
            Refund::Whole => 1,
            Refund::InParts => 3,
            Refund::Rejected => 0,
        };
        for (version, (state, total, payments)) in (1..).zip(&steps) {
            self.pause(dice, 0.3, 2.0);
            let data = json!({"order": self.order(), "refund": {"id": name}, "version": version, "state": state,
                "total": money(*total), "payments": payments});
            let held = if *state == "PARTIAL" { ", one payment of two is not through" } else { "" };
            self.say(Kind::Refund, data, format!("{name} {state}, {total} USD{held}"), None);
        }
        let payments: Vec<(String, Decimal)> =
            (1..).map(|index| format!("pay-{number}-{index}")).zip(amounts).take(paid).collect();
        let (state, total) = steps.last().map_or(("", zero), |(state, total, _)| (*state, *total));
        self.expected.insert(format!("refund {name}"), holds::refund(state, total, "USD", &payments));
    }
}

fn cents(cents: i64) -> Decimal {
    Decimal::new(cents, 2)
}

fn money(amount: Decimal) -> Value {
    json!({"amount": amount.to_string(), "currency": "USD"})
}

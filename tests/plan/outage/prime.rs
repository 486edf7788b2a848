//! Buy with Prime as one table of orders, that can be down in several ways and counts what it was told.

use bwp_sync::dispatch::verdict::Judgement;
use bwp_sync::prime::answer::{Body, GraphError};
use bwp_sync::prime::exchange::{Exchange, NoAnswer, NotSent};
use bwp_sync::prime::token::{TokenError, TokenFailure};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How it is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection.
    Refused,
    /// HTTP 503; every third mutation was applied all the same.
    Unavailable,
    /// No answer in time; every third mutation was applied all the same.
    Silent,
    /// The token endpoint answers with this status.
    Token(u16),
}

/// An order, and how often each of its things was made.
#[derive(Debug, Default)]
pub struct Order {
    pub started: u32,
    pub returns: BTreeMap<String, Made>,
    pub refunds: BTreeMap<String, Refund>,
    pub package_aliases: BTreeMap<String, u32>,
}

#[derive(Debug, Default)]
pub struct Made {
    pub times: u32,
    pub state: String,
}

#[derive(Debug, Default)]
pub struct Refund {
    pub state: String,
    pub total: Value,
    pub payments: BTreeMap<String, u32>,
}

/// Down from one moment to another, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    pub fault: Fault,
    pub from: i64,
    pub to: i64,
}

pub struct Prime {
    pub orders: BTreeMap<usize, Order>,
    pub outage: Outage,
    /// Orders whose next mutation is throttled, once.
    pub throttled: Vec<usize>,
    pub mutations: u32,
}

impl Prime {
    pub fn new(outage: Outage) -> Prime {
        Prime { orders: BTreeMap::new(), outage, throttled: Vec::new(), mutations: 0 }
    }

    pub fn fault(&self, now: i64) -> Option<Fault> {
        (self.outage.from..self.outage.to).contains(&now).then_some(self.outage.fault)
    }

    /// What becomes of a call that leaves now; `input` is none for a read.
    pub fn call(&mut self, order: usize, input: Option<&Value>, now: i64) -> Exchange {
        let answered = |status, body| Exchange::Answered { status, retry_after: None, body, request_id: None };
        self.mutations += u32::from(input.is_some());
        let is_applied = self.mutations.is_multiple_of(3);
        match self.fault(now) {
            Some(Fault::Refused | Fault::Token(_)) => Exchange::NotSent { why: NotSent::Connect },
            Some(fault) => {
                if let Some(input) = input.filter(|_| is_applied) {
                    self.orders.entry(order).or_default().apply(input);
                }
                match fault {
                    Fault::Silent => Exchange::NoAnswer { why: NoAnswer::Timeout },
                    _ => answered(503, Body::Unreadable { why: "no JSON".into() }),
                }
            }
            None => {
                if let Some(at) = self.throttled.iter().position(|throttled| *throttled == order).filter(|_| input.is_some()) {
                    self.throttled.remove(at);
                    let error = GraphError { error_type: Some("ThrottlingError".into()), ..GraphError::default() };
                    return answered(200, Body::Errors { errors: vec![error], data_present: false });
                }
                let found = self.orders.entry(order).or_default();
                if let Some(input) = input {
                    found.apply(input);
                }
                // Line item li-9 comes to carry its alias only while the target is down.
                let view = serde_json::from_value(found.show(order, now >= self.outage.to)).unwrap();
                answered(200, Body::Order(Box::new(view)))
            }
        }
    }
}

/// No token: asked for in vain, or not asked for at all.
pub fn no_token(status: u16, until: Option<chrono::DateTime<chrono::Utc>>) -> Exchange {
    let cause = TokenFailure::Refused { status };
    let error = until.map_or(TokenError::Failed(cause), |until| TokenError::BackingOff { until, cause });
    Exchange::NotSent { why: NotSent::Token(error) }
}

/// Whether an answer leaves open what was done.
pub fn is_open(exchange: &Exchange, judgement: &Judgement) -> bool {
    exchange.sent() && judgement.verdict == bwp_sync::dispatch::verdict::Verdict::Unknown
}

impl Order {
    fn apply(&mut self, input: &Value) {
        let list = |path: &str| input.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
        let first = |entry: &Value| entry["aliases"][0]["aliasId"].as_str().map(str::to_owned);
        self.started += u32::from(input["desiredExecutionState"] == "STARTED");
        for entry in list("/returns/details") {
            let identifier = &entry["returnIdentifier"];
            let known = identifier["id"].as_str().map(|id| id.trim_start_matches("rt-").to_owned());
            let known = known.or_else(|| identifier["alias"]["aliasId"].as_str().map(str::to_owned));
            let made = self.returns.entry(known.clone().or_else(|| first(&entry)).unwrap()).or_default();
            made.times += u32::from(known.is_none());
            made.state = entry["state"].as_str().unwrap().to_owned();
        }
        for entry in list("/refunds/details") {
            let known = entry["id"].as_str().map(|id| id.trim_start_matches("rf-").to_owned());
            let refund = self.refunds.entry(known.or_else(|| first(&entry)).unwrap()).or_default();
            refund.state = entry["state"].as_str().unwrap().to_owned();
            refund.total = entry["refundTotal"].clone();
            for payment in entry["paymentDetails"].as_array().into_iter().flatten() {
                *refund.payments.entry(payment["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        for entry in list("/packageInformation/details") {
            *self.package_aliases.entry(first(&entry).unwrap()).or_default() += 1;
        }
    }

    fn show(&self, id: usize, is_later: bool) -> Value {
        let alias = |kind: &str, id: &str| json!([{"aliasType": kind, "aliasId": id}]);
        let returns = self
            .returns
            .iter()
            .map(|(id, made)| json!({"id": format!("rt-{id}"), "state": made.state, "aliases": alias("EXTERNAL-RETURN-ID", id)}));
        let refunds = self.refunds.iter().map(|(id, refund)| {
            let payments: Vec<Value> = refund.payments.keys().map(|id| json!({"id": id})).collect();
            json!({"id": format!("rf-{id}"), "state": refund.state, "refundTotal": refund.total, "paymentDetails": payments,
                "aliases": alias("EXTERNAL_REFUND_ID", id)})
        });
        let carried: Vec<Value> = self.package_aliases.keys().map(|id| alias("EXTERNAL_ID", id)[0].clone()).collect();
        let late = if is_later { alias("EXTERNAL_ITEM_ID", "L-9") } else { json!([]) };
        json!({"id": format!("322-{id}"), "metadata": {"executionState": if self.started > 0 { "STARTED" } else { "NOT_STARTED" }},
            "returns": {"details": returns.collect::<Vec<_>>()}, "refunds": {"details": refunds.collect::<Vec<_>>()},
            "lineItems": [{"id": "li-1", "aliases": alias("EXTERNAL_ITEM_ID", "L-1")}, {"id": "li-9", "aliases": late}],
            "packageInformation": {"details": [{"id": "pk-1", "aliases": carried}]}})
    }

    /// What was done more than once, though each was meant once.
    pub fn doubles(&self) -> u32 {
        let returns = self.returns.values().map(|made| made.times.saturating_sub(1));
        let paid = self.refunds.values().flat_map(|refund| refund.payments.values()).map(|times| times.saturating_sub(1));
        returns.chain(paid).sum()
    }
}

//! A merchant's orders: what Buy with Prime has of each, what the OMS says, and what Buy with Prime should have in the end.

use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::{Outgoing, Topics};
use bwp_simulator::{Alias, Order, OrderSeed, PartSeed, ReturnSeed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One order.
pub struct Purchase {
    /// As Buy with Prime has it before.
    pub seed: OrderSeed,
    /// What the OMS says of it.
    pub events: Vec<Event>,
    /// What it says late: names that something of `events` waits for.
    pub late: Vec<Event>,
    /// What [`seen`] should show at the end.
    pub expected: Value,
    /// Events that wait until `late` has come.
    pub waiting: i64,
}

/// How many different stories there are.
pub const STORIES: usize = 8;

fn usd(amount: &str) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn a_return(of: &str, id: &str, version: u64, state: &str, line: Value) -> Event {
    let data = json!({"order": {"id": of}, "return": {"id": format!("RMA-{of}")}, "version": version, "state": state,
        "lines": [{"line": line, "quantity": 1}]});
    Event::new(Kind::Return, &format!("{of}-{id}"), data)
}

fn a_refund(of: &str, order: Value, id: &str, version: u64, state: &str, total: &str, payments: &[(&str, &str)]) -> Event {
    let payment = |(id, amount): &(&str, &str)| {
        json!({"id": format!("{of}-{id}"), "amount": usd(amount), "state": "SUCCESS",
            "method": {"type": "AMAZON_PAY", "display": "Visa"}})
    };
    let payments: Vec<Value> = payments.iter().map(payment).collect();
    let data = json!({"order": order, "refund": {"id": format!("RF-{of}")}, "version": version, "state": state,
        "total": usd(total), "payments": payments});
    Event::new(Kind::Refund, &format!("{of}-{id}"), data)
}

fn a_shipment(of: &str, id: &str, version: u64, state: &str, milestone: Option<&str>) -> Event {
    let mut data = json!({"order": {"id": of}, "shipment": {"id": format!("SH-{of}")}, "package": {"bwpId": format!("pkg-{of}")},
        "version": version, "state": state, "tracking": {"carrier": "UPS", "number": format!("1Z{of}")}});
    if let Some(milestone) = milestone {
        data["milestone"] = milestone.into();
    }
    Event::new(Kind::Shipment, &format!("{of}-{id}"), data)
}

fn an_order(of: &str, id: &str) -> Event {
    let data = json!({"order": {"id": of}, "version": 1, "executionState": "STARTED", "totalPrice": usd("38.79"),
        "aliases": [{"type": "EXTERNAL_DISPLAY_ID", "id": format!("#{of}")}]});
    Event::new(Kind::Order, &format!("{of}-{id}"), data)
}

fn a_row(of: &str, kind: &str, alias: Value, bwp_id: String, order: Option<Value>) -> Event {
    let mut data = json!({"kind": kind, "alias": alias, "bwpId": bwp_id, "version": 1});
    if let Some(order) = order {
        data["order"] = order;
    }
    Event::new(Kind::Alias, &format!("{of}-row"), data)
}

fn returned(of: &str, state: &str) -> Value {
    json!([{"alias": format!("RMA-{of}"), "state": state, "lines": [[format!("line-{of}-1"), 1]]}])
}

fn refunded(of: &str, state: &str, total: &str, payments: &[(&str, &str)]) -> Value {
    let payments: Vec<Value> = payments.iter().map(|(id, amount)| json!([format!("{of}-{id}"), amount])).collect();
    json!([{"alias": format!("RF-{of}"), "state": state, "total": total, "payments": payments}])
}

/// The n-th order, of which nothing is said.
fn untouched(n: usize) -> (String, Purchase) {
    let of = format!("{:06}", 100_000 + n);
    let seed = OrderSeed::new(format!("B-{of}"))
        .line(&format!("line-{of}-1"), "L-1", 2)
        .line(&format!("line-{of}-2"), "L-2", 1)
        .package(&format!("pkg-{of}"));
    let seed = seed.alias("EXTERNAL_ID", &of);
    let expected = json!({"execution": "NOT_STARTED", "aliases": 1, "price": null, "returns": [], "refunds": [], "package": "PENDING",
        "milestone": null});
    (of, Purchase { seed, events: Vec::new(), late: Vec::new(), expected, waiting: 0 })
}

/// The n-th order; its story is `n % STORIES`.
pub fn purchase(n: usize) -> Purchase {
    let (name, mut all) = untouched(n);
    let (of, bwp_id) = (name.as_str(), format!("B-{name}"));
    let by_name = json!({"id": of});
    let line = json!({"id": "L-1"});
    let parts = [("p1", "5.00"), ("p2", "3.00")];
    match n % STORIES {
        0 => {
            all.events = vec![a_return(of, "r1", 1, "CREATED", line.clone()), a_return(of, "r2", 2, "COMPLETED", line)];
            all.expected["returns"] = returned(of, "COMPLETED");
        }
        1 => {
            let lines = vec![PartSeed { line: format!("line-{of}-1"), quantity: 1 }];
            let aliases = vec![Alias::new("EXTERNAL-RETURN-ID", format!("RMA-{of}"))];
            let id = Some(format!("ret-{of}"));
            all.seed.returns.push(ReturnSeed { id, aliases, lines, external: true, ..ReturnSeed::default() });
            let data = json!({"order": by_name, "return": {"bwpId": format!("ret-{of}")}, "version": 1, "state": "CANCELLED"});
            all.events = vec![Event::new(Kind::Return, &format!("{of}-r1"), data)];
            all.expected["returns"] = returned(of, "CANCELLED");
        }
        2 => {
            let first = a_refund(of, by_name.clone(), "f1", 1, "PARTIAL", "5.00", &parts[..1]);
            all.events = vec![first, a_refund(of, by_name, "f2", 2, "SUCCESS", "8.00", &parts)];
            all.expected["refunds"] = refunded(of, "SUCCESS", "8.00", &parts);
        }
        3 => {
            let first = a_shipment(of, "s1", 1, "IN_TRANSIT", None);
            all.events = vec![first, a_shipment(of, "s2", 2, "DELIVERED", Some("DELIVERED"))];
            all.expected["package"] = "DELIVERED".into();
            all.expected["milestone"] = "DELIVERED".into();
        }
        4 => {
            all.events = vec![an_order(of, "o1")];
            started(&mut all.expected);
        }
        5 => {
            let sku = json!({"type": "SKU", "id": "B-42"});
            all.events = vec![a_return(of, "r1", 1, "CREATED", json!({"alias": sku}))];
            all.late = vec![a_row(of, "LINE_ITEM", sku, format!("line-{of}-1"), Some(by_name))];
            all.expected["returns"] = returned(of, "CREATED");
            all.waiting = 1;
        }
        6 => {
            let refund = a_refund(of, by_name, "f1", 1, "SUCCESS", "5.00", &parts[..1]);
            all.events = vec![an_order(of, "o1"), refund, a_return(of, "r1", 1, "COMPLETED", line)];
            all.expected["returns"] = returned(of, "COMPLETED");
            all.expected["refunds"] = refunded(of, "SUCCESS", "5.00", &parts[..1]);
            started(&mut all.expected);
        }
        _ => {
            let alias = json!({"type": "DISPLAY", "id": format!("D-{of}")});
            // The order is there under Buy with Prime's own id too: the row makes two lanes one.
            let mut by_id = a_return(of, "r1", 1, "CREATED", line);
            by_id.data["order"] = json!({"bwpId": bwp_id});
            all.events = vec![a_refund(of, json!({"alias": alias}), "f1", 1, "SUCCESS", "5.00", &parts[..1]), by_id];
            all.late = vec![a_row(of, "ORDER", alias, bwp_id, None)];
            all.expected["refunds"] = refunded(of, "SUCCESS", "5.00", &parts[..1]);
            all.expected["returns"] = returned(of, "CREATED");
            all.waiting = 1;
        }
    }
    all
}

/// The n-th order with a refund under a name that Buy with Prime does not know yet, and that a late event gives it: when it has
/// accepted that, two orders turn out to be one.
pub fn tied(n: usize) -> Purchase {
    let (of, mut all) = untouched(n);
    let name = json!({"alias": {"type": "EXTERNAL_DISPLAY_ID", "id": format!("#{of}")}});
    all.events = vec![a_refund(&of, name, "f1", 1, "SUCCESS", "5.00", &[("p1", "5.00")])];
    all.late = vec![an_order(&of, "o1")];
    all.expected["refunds"] = refunded(&of, "SUCCESS", "5.00", &[("p1", "5.00")]);
    started(&mut all.expected);
    all.waiting = 1;
    all
}

/// The n-th order with what ends dead, also when it is tried again: a return of more than was bought, and one for another target.
pub fn doomed(n: usize) -> Purchase {
    let (of, mut all) = untouched(n);
    let data = json!({"order": {"id": of}, "return": {"id": format!("RMA-{of}")}, "state": "CREATED",
        "lines": [{"line": {"id": "L-1"}, "quantity": 99}]});
    let refused = Event::new(Kind::Return, &format!("{of}-r1"), data.clone());
    let astray = Event::new(Kind::Return, &format!("{of}-r2"), data).with("target", "elsewhere");
    all.events = vec![refused, astray];
    all
}

fn started(expected: &mut Value) {
    expected["execution"] = "STARTED".into();
    expected["price"] = "38.79".into();
    expected["aliases"] = 2.into();
}

/// What matters of an order, from the simulator.
pub fn seen(order: &Order) -> Value {
    let order = serde_json::to_value(order).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let returned = |it: &Value| {
        let items = list(&it["returnLineItems"]);
        let amounts = items.iter().flat_map(|item| list(&item["returnFor"]["orderLineItemAmounts"]));
        let lines: Vec<Value> = amounts.map(|line| json!([line["lineItem"]["id"], line["amount"]["value"]])).collect();
        json!({"alias": it["aliases"][0]["aliasId"], "state": it["state"], "lines": lines})
    };
    let refunded = |it: &Value| {
        let payment = |payment: &Value| json!([payment["id"], payment["amount"]["amount"].to_string()]);
        let payments: Vec<Value> = list(&it["paymentDetails"]).iter().map(payment).collect();
        json!({"alias": it["aliases"][0]["aliasId"], "state": it["state"], "payments": payments,
            "total": it["refundTotal"]["totalAmount"]["amount"].to_string()})
    };
    let price = &order["totalPrice"]["value"]["amount"];
    json!({
        "execution": order["executionState"],
        "aliases": list(&order["aliases"]).len(),
        "price": if price.is_null() { Value::Null } else { price.to_string().into() },
        "returns": list(&order["returns"]).iter().map(returned).collect::<Vec<_>>(),
        "refunds": list(&order["refunds"]).iter().map(refunded).collect::<Vec<_>>(),
        "package": order["packages"][0]["state"],
        "milestone": order["packages"][0]["packageTracker"]["latestMilestone"]["status"]["code"],
    })
}

/// Records by topic, in the order of `events`: envelopes in turn, and each tenth event once more in the next one, now and then on
/// a topic that is not its own. Gives how many were written.
pub async fn publish(topics: &Topics, events: &[&Event]) -> i64 {
    let mut records: BTreeMap<&str, Vec<Outgoing>> = BTreeMap::new();
    for (n, event) in events.iter().enumerate() {
        let own = event.topic(topics);
        records.entry(own).or_default().push(event.record(Envelope::ALL[n % 3]));
        if n % 10 == 9 {
            let topic = if n % 50 == 49 { &topics.orders } else { own };
            records.entry(topic).or_default().push(event.record(Envelope::ALL[(n + 1) % 3]));
        }
    }
    let mut written = 0;
    for (topic, records) in &records {
        written += topics.produce_all(topic, records).await.len();
    }
    written as i64
}

//! Whatever was asked: an order that reads as asked is already so, and one that differs in any member that was asked never is.

use crate::{Bench, alias, line, usd, with};
use bwp_sync::plan::Next;
use bwp_sync::plan::compare::Shown;
use bwp_sync::prime::view::OrderView;
use proptest::prelude::*;
use serde_json::{Value, json};

/// An event, the order as it reads once that was applied, and where in it each asked member stands.
struct Wish {
    kind: &'static str,
    before: Vec<Value>,
    data: Value,
    read: Value,
    members: Vec<Asked>,
}

/// A member that was asked for, by its place in what is read.
struct Asked {
    at: String,
    /// Where a read does not show it at all, the others tell.
    may_be_unseen: bool,
}

impl Wish {
    fn new(kind: &'static str, data: Value, read: Value) -> Wish {
        Wish { kind, before: Vec::new(), data, read: with(json!({"id": "322-A"}), read), members: Vec::new() }
    }

    fn ask(&mut self, data: Value, read: Value, members: &[&str]) {
        merge(&mut self.data, data);
        merge(&mut self.read, read);
        let asked = |at: &&str| Asked { at: at.trim_end_matches('?').to_owned(), may_be_unseen: at.ends_with('?') };
        self.members.extend(members.iter().map(asked));
    }
}

/// Lays one tree over another: objects member by member, lists place by place.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(more)) => {
            for (at, value) in more.into_iter().enumerate() {
                match into.get_mut(at) {
                    Some(into) => merge(into, value),
                    None => into.push(value),
                }
            }
        }
        (into, more) => *into = more,
    }
}

/// Sets something else in the place of one member: another value, or nothing.
fn spoil(read: &mut Value, at: &str, by_removal: bool) {
    let place = read.pointer_mut(at).unwrap_or_else(|| panic!("nothing at {at}"));
    *place = match place.take() {
        _ if by_removal => Value::Null,
        Value::String(text) => json!(format!("{text}X")),
        Value::Number(number) => json!(number.as_f64().unwrap() + 1.0),
        other => panic!("{at} is {other}"),
    };
}

fn dollars(amount: u32) -> Value {
    json!({"amount": f64::from(amount), "currencyCode": "USD"})
}

#[rustfmt::skip] // one member, one line
fn order(mask: u16, n: u32) -> Wish {
    let mut wish = Wish::new("order", json!({"order": {"id": "1001"}}), json!({}));
    let amount = usd(&n.to_string());
    let id = n.to_string();
    let pay = json!([{"id": id, "amount": amount, "state": "SUCCESS", "method": {"type": "CARD", "display": "V"}}]);
    let paid = json!({"payments": {"details": [{"id": id, "amount": dollars(n), "state": "SUCCESS",
        "paymentMethod": {"type": "CARD", "displayString": "V"}}]}});
    let aliases = json!([{"type": "D", "id": id}, {"type": "E", "id": id}]);
    let carried = json!({"aliases": [alias("X", "1"), alias("D", &id), alias("E", &id)]});
    let on_line = |read: Value| json!({"lineItems": [with(json!({"id": "li-1"}), read)]});
    let of_line = |more: Value| json!({"lines": [with(json!({"line": {"id": "L-1"}}), more)]});
    let taxes = json!({"taxes": {"summary": {"collectableTaxAmount": dollars(n)}}});
    let discount = json!({"discounts": {"summary": {"amount": dollars(n), "displayString": "TEN"}}});
    let asked = [
        (json!({"executionState": "STARTED"}), json!({"metadata": {"executionState": "STARTED"}}), vec!["/metadata/executionState"]),
        (json!({"totalPrice": amount}), json!({"totalPrice": {"value": dollars(n)}}), vec!["/totalPrice/value/amount", "/totalPrice/value/currencyCode"]),
        (json!({"taxes": amount}), taxes.clone(), vec!["/taxes/summary/collectableTaxAmount/amount"]),
        (json!({"discount": {"amount": amount, "display": "TEN"}}), discount.clone(), vec!["/discounts/summary/amount/amount", "/discounts/summary/displayString?"]),
        (json!({"links": [{"destination": "BWP_STOREFRONT", "url": id}]}), json!({"orderLinks": [{"destinationType": "BWP_STOREFRONT", "url": id}]}), vec!["/orderLinks/0/destinationType?", "/orderLinks/0/url"]),
        (json!({"aliases": aliases}), carried.clone(), vec!["/aliases/1/aliasType?", "/aliases/2/aliasId?"]),
        (json!({"payments": pay}), paid.clone(), vec!["/payments/details/0/id", "/payments/details/0/amount/amount", "/payments/details/0/state", "/payments/details/0/paymentMethod/type?"]),
        (of_line(json!({"taxes": amount})), on_line(taxes), vec!["/lineItems/0/taxes/summary/collectableTaxAmount/amount", "/lineItems/0/id?"]),
        (of_line(json!({"discount": {"amount": amount}})), on_line(discount), vec!["/lineItems/0/discounts/summary/amount/amount"]),
        (of_line(json!({"aliases": aliases})), on_line(carried.clone()), vec!["/lineItems/0/aliases/1/aliasId?"]),
        (of_line(json!({"payments": pay})), on_line(paid), vec!["/lineItems/0/payments/details/0/amount/amount"]),
        (
            json!({"packages": [{"package": {"bwpId": "pk-1"}, "aliases": aliases}]}),
            json!({"packageInformation": {"details": [with(json!({"id": "pk-1"}), carried)]}}),
            vec!["/packageInformation/details/0/id?", "/packageInformation/details/0/aliases/1/aliasId?"],
        ),
    ];
    for (bit, (data, read, members)) in asked.into_iter().enumerate() {
        if mask & (1 << bit) != 0 {
            wish.ask(data, read, &members);
        }
    }
    wish
}

fn one_return(mask: u16, n: u32) -> Wish {
    let (id, state) = (n.to_string(), if n.is_multiple_of(2) { "COMPLETED" } else { "CANCELLED" });
    let own = alias("EXTERNAL-RETURN-ID", "R");
    let read = json!({"returns": {"details": [{"id": "t1", "state": "CREATED", "aliases": [own]}]}});
    let mut wish = Wish::new("return", json!({"return": {"id": "R"}, "state": "CREATED"}), read);
    wish.before.push(json!({"return": {"id": "R"}, "state": "CREATED", "lines": [line("L-1", 1)]}));
    if mask & 1 != 0 {
        wish.ask(json!({"state": state}), json!({"returns": {"details": [{"state": state}]}}), &["/returns/details/0/state"]);
    }
    if mask & 1 == 0 || mask & 2 != 0 {
        let read = json!({"returns": {"details": [{"aliases": [own, alias("D", &id)]}]}});
        let members = ["/returns/details/0/aliases/1/aliasId?", "/returns/details/0/aliases/0/aliasType?"];
        wish.ask(json!({"aliases": [{"type": "D", "id": id}]}), read, &members);
    }
    wish
}

#[rustfmt::skip] // one member, one line
fn refund(mask: u16, n: u32) -> Wish {
    let own = alias("EXTERNAL_REFUND_ID", "RF-9");
    let total = json!({"refundTotal": {"totalAmount": dollars(n)}});
    let read = with(json!({"id": "r1", "state": "PARTIAL", "aliases": [own]}), total);
    let data = json!({"refund": {"id": "RF-9"}, "state": "PARTIAL", "total": usd(&n.to_string())});
    let mut wish = Wish::new("refund", data, json!({"refunds": {"details": [read]}}));
    let at = |member: &str| format!("/refunds/details/0/{member}");
    wish.ask(json!({}), json!({}), &[&at("state"), &at("refundTotal/totalAmount/amount"), &at("refundTotal/totalAmount/currencyCode"), &at("aliases/0/aliasId?")]);
    let mut ask = |bit: u16, data: Value, read: Value, members: &[String]| {
        if mask & (1 << bit) != 0 {
            let members: Vec<&str> = members.iter().map(String::as_str).collect();
            wish.ask(data, json!({"refunds": {"details": [read]}}), &members);
        }
    };
    ask(0, json!({"requestReason": "OTHERS"}), json!({"refundRequestReason": "OTHERS"}), &[at("refundRequestReason")]);
    ask(1, json!({"statusReason": "OTHERS"}), json!({"refundStatusReason": "OTHERS"}), &[at("refundStatusReason")]);
    let lines = json!({"orderLineItems": [{"lineItem": {"id": "li-1"}, "amount": {"value": n}}]});
    ask(2, json!({"lines": [line("L-1", n)]}), json!({"refundFor": lines}), &[at("refundFor/orderLineItems/0/lineItem/id?"), at("refundFor/orderLineItems/0/amount/value")]);
    ask(3, json!({"aliases": [{"type": "D", "id": "1"}]}), json!({"aliases": [own, alias("D", "1")]}), &[at("aliases/1/aliasId?")]);
    let pay = |id: &str| json!({"id": id, "amount": usd("0.10"), "method": {"type": "CARD", "display": "V"}});
    ask(4, json!({"payments": [pay("a"), pay("b")]}), json!({"paymentDetails": [{"id": "a"}, {"id": "b"}]}), &[at("paymentDetails/0/id"), at("paymentDetails/1/id")]);
    wish
}

#[rustfmt::skip] // one member, one line
fn shipment(mask: u16, n: u32) -> Wish {
    let read = |more: Value| json!({"packageInformation": {"details": [with(json!({"id": "pk-1"}), more)]}});
    let at = "/packageInformation/details/0";
    let mut wish = Wish::new("shipment", json!({"shipment": {"id": "P-1"}, "state": "IN_TRANSIT"}), read(json!({"state": "IN_TRANSIT"})));
    wish.ask(json!({}), json!({}), &[&format!("{at}/state"), &format!("{at}/id?")]);
    if mask & 1 != 0 {
        let held = json!({"packageInformationDetailsFor": {"orderLineItemAmounts": [{"lineItem": {"id": "li-1"}, "amount": {"value": n}}]}});
        let amounts = format!("{at}/packageInformationDetailsFor/orderLineItemAmounts/0");
        wish.members.pop();
        wish.ask(json!({"lines": [line("L-1", n)]}), read(held), &[&format!("{amounts}/lineItem/id"), &format!("{amounts}/amount/value")]);
    } else if mask & 2 != 0 {
        wish.ask(json!({"state": "CANCELLED", "reason": "UNFULFILLABLE"}), read(json!({"state": "CANCELLED", "reason": "UNFULFILLABLE"})), &[&format!("{at}/reason?")]);
    } else if mask & 4 != 0 {
        let tracking = json!({"tracking": {"carrier": "UPS", "number": "1Z"}, "milestone": "OUT_FOR_DELIVERY"});
        let tracked = json!({"packageTracker": {"packageTrackerIdentifier": {"trackingNumber": "1Z", "carrierCode": "UPS"}, "latestMilestone": {"status": {"code": "OUT_FOR_DELIVERY"}}}});
        wish.before.push(json!({"shipment": {"id": "P-1"}, "state": "IN_TRANSIT"}));
        wish.members.clear();
        wish.ask(tracking, read(tracked), &[&format!("{at}/packageTracker/latestMilestone/status/code"), &format!("{at}/id?")]);
    }
    wish
}

/// What the read says of each part of the one mutation that the wish becomes.
fn shows(wish: &Wish, reads: &[&Value]) -> Vec<Vec<Shown>> {
    let mut bench = if wish.kind == "shipment" { Bench::sandbox().blind() } else { Bench::new() };
    for data in &wish.before {
        bench.event(wish.kind, data.clone());
        bench.sends();
    }
    bench.event(wish.kind, wish.data.clone());
    let Next::Send(draft) = bench.turn() else { panic!("nothing to send: {}", wish.data) };
    let views = reads.iter().filter_map(|read| serde_json::from_value::<OrderView>((*read).clone()).ok());
    views.map(|view| draft.parts.iter().map(|part| bench.lane.shows(part, &view)).collect()).collect()
}

fn wish(kind: u8, mask: u16, n: u32) -> Wish {
    match kind {
        0 => order(mask.max(1), n),
        1 => one_return(mask, n),
        2 => refund(mask, n),
        _ => shipment(mask, n),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_differs_in_a_member_that_was_asked_is_never_already_so(kind in 0_u8..4, mask in 0_u16..4096, n in 1_u32..1000, which: prop::sample::Index, by_removal: bool) {
        let wish = wish(kind, mask, n);
        let asked = which.get(&wish.members);
        let mut spoiled = wish.read.clone();
        spoil(&mut spoiled, &asked.at, by_removal && !asked.may_be_unseen);
        let shown = shows(&wish, &[&wish.read, &spoiled]);
        prop_assert!(shown[0].iter().all(|shown| *shown == Shown::Yes), "{} {} reads as asked: {:?}", wish.data, wish.read, shown[0]);
        let [_, after] = &shown[..] else { return Ok(()) };
        prop_assert!(after.iter().any(|shown| *shown != Shown::Yes), "{} but {} is {:?} in {}", wish.data, asked.at, spoiled.pointer(&asked.at), spoiled);
    }
}

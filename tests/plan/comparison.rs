//! What a read shows of a mutation whose answer was lost, and what follows from it (contract, guarantee 3): one table a kind.

use crate::{Bench, SANDBOX_INTERVAL, alias, line, parsed, usd, with};
use bwp_sync::plan::Next;
use bwp_sync::plan::compare::Shown::{self, No, Partly, Taken, Unverifiable, Yes};
use bwp_sync::plan::outcome::Status;
use bwp_sync::prime::view::OrderView;
use chrono::TimeDelta;
use serde_json::{Value, json};

/// What the order reads as after the answer was lost, what that says of the mutation, and what follows.
struct Case {
    what: &'static str,
    /// Accepted before.
    before: Vec<Value>,
    /// Sent, and never answered.
    asked: Value,
    /// What a read shows afterwards.
    read: Value,
    shown: Shown,
    /// `CONFIRMED`, `sent again`, `only` what is left, or how it ends.
    then: &'static str,
}

fn case(what: &'static str, before: Vec<Value>, asked: Value, read: Value, shown: Shown, then: &'static str) -> Case {
    Case { what, before, asked, read, shown, then }
}

fn check(kind: &str, cases: Vec<Case>) {
    for Case { what, before, asked, read, shown, then } in cases {
        let mut bench = Bench::new();
        for data in before {
            bench.event(kind, data);
            bench.sends();
        }
        let no = bench.event(kind, asked);
        let draft = bench.begin();
        let view: OrderView = serde_json::from_value(read.clone()).unwrap();
        assert_eq!(bench.lane.shows(&draft.parts[0], &view), shown, "{what}");
        bench.lost();
        bench.pass(TimeDelta::seconds(9));
        bench.reads(read);
        let again = bench.play();
        let found = follows(&parsed(&draft.variables)["input"], again.first(), bench.status(no), bench.code(no));
        assert_eq!(found, then, "{what}");
    }
}

/// In words: what was sent after the read, against what was sent before.
fn follows(first: &Value, again: Option<&Value>, status: Option<Status>, code: &str) -> String {
    match (again, status) {
        (None, Some(Status::Dead)) => format!("DEAD {code}"),
        (None, Some(status)) => status.as_str().to_owned(),
        (Some(input), _) if input == first => "sent again".to_owned(),
        (Some(input), _) => format!("only {}", parts(input).join(" ")),
        (None, None) => "waits".to_owned(),
    }
}

/// The members of the entries of an input, but for those by which a thing is named.
fn parts(input: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in input.as_object().unwrap() {
        let details = value["details"]
            .as_array()
            .or(value.as_array())
            .filter(|_| ["returns", "refunds", "lineItems"].contains(&name.as_str()));
        match details {
            None => found.push(name.clone()),
            Some(entries) => {
                found.extend(entries.iter().flat_map(|entry| entry.as_object().unwrap()).filter_map(|(name, value)| {
                    match name.as_str() {
                        "id" | "returnIdentifier" | "refundTotal" => None,
                        "paymentDetails" => Some(format!("{name}:{}", ids(value))),
                        _ => Some(name.clone()),
                    }
                }))
            }
        }
    }
    found
}

fn ids(payments: &Value) -> String {
    payments.as_array().unwrap().iter().map(|payment| payment["id"].as_str().unwrap()).collect::<Vec<_>>().join(",")
}

fn order(more: Value) -> Value {
    with(json!({"id": "322-A"}), more)
}

fn returns(details: Value) -> Value {
    order(json!({"returns": {"details": details}}))
}

#[test]
#[rustfmt::skip] // one case, one line
fn returns_by_alias_and_by_id() {
    let ret = |state: &str, more: Value| with(json!({"return": {"id": "R"}, "state": state}), more);
    let lines = || json!({"lines": [line("L-1", 1)]});
    let create = || ret("CREATED", lines());
    let extra = || json!({"aliases": [{"type": "D", "id": "R-1"}]});
    let own = || alias("EXTERNAL-RETURN-ID", "R");
    let read = |id: &str, state: &str, aliases: Value| json!({"id": id, "state": state, "aliases": aliases});
    let by_id = |state: &str, more: Value| with(json!({"return": {"bwpId": "t1"}, "state": state}), more);
    check(
        "return",
        vec![
            // A return is created once, whatever became of it since.
            case("created", vec![], create(), returns(json!([read("t1", "CREATED", json!([own()]))])), Yes, "CONFIRMED"),
            case("created, and changed since", vec![], create(), returns(json!([read("t1", "CANCELLED", json!([own()]))])), Yes, "DEAD FINAL_STATE"),
            case("not created", vec![], create(), returns(json!([])), No, "sent again"),
            case("returns are not shown at all", vec![], create(), order(json!({})), No, "sent again"),
            case("another return is there", vec![], create(), returns(json!([read("t2", "CREATED", json!([alias("EXTERNAL-RETURN-ID", "S")]))])), No, "sent again"),
            case("the same id under another spelling of the type", vec![], create(), returns(json!([read("t2", "CREATED", json!([alias("EXTERNAL_RETURN_ID", "R")]))])), No, "sent again"),
            case("another return has its second alias", vec![], ret("CREATED", with(lines(), extra())), returns(json!([read("t2", "CREATED", json!([alias("D", "R-1")]))])), No, "sent again"),
            case("its second alias did not stay", vec![], ret("CREATED", with(lines(), extra())), returns(json!([read("t1", "CREATED", json!([own()]))])), Yes, "only aliases"),
            // By alias.
            case("completed", vec![create()], ret("COMPLETED", json!({})), returns(json!([read("t1", "COMPLETED", json!([own()]))])), Yes, "CONFIRMED"),
            case("still created", vec![create()], ret("COMPLETED", json!({})), returns(json!([read("t1", "CREATED", json!([own()]))])), No, "only state"),
            case("ended otherwise", vec![create()], ret("COMPLETED", json!({})), returns(json!([read("t1", "CANCELLED", json!([own()]))])), No, "DEAD FINAL_STATE"),
            case("a word that BwP added since", vec![create()], ret("COMPLETED", json!({})), returns(json!([read("t1", "CLOSED", json!([own()]))])), No, "only state"),
            case("not there any more", vec![create()], ret("COMPLETED", json!({})), returns(json!([])), No, "sent again"),
            case("aliases replaced", vec![create()], ret("CREATED", extra()), returns(json!([read("t1", "CREATED", json!([alias("D", "R-1"), own()]))])), Yes, "CONFIRMED"),
            case("aliases not replaced", vec![create()], ret("CREATED", extra()), returns(json!([read("t1", "CREATED", json!([own()]))])), No, "only aliases"),
            case("one alias too many is not the list", vec![create()], ret("CREATED", extra()), returns(json!([read("t1", "CREATED", json!([own(), alias("D", "R-1"), alias("D", "R-0")]))])), No, "only aliases"),
            case("state but not aliases", vec![create()], ret("COMPLETED", extra()), returns(json!([read("t1", "COMPLETED", json!([own()]))])), Partly, "only aliases"),
            case("aliases but not state", vec![create()], ret("COMPLETED", extra()), returns(json!([read("t1", "CREATED", json!([own(), alias("D", "R-1")]))])), Partly, "only state"),
            // By id.
            case("by id: completed", vec![], by_id("COMPLETED", json!({})), returns(json!([read("t1", "COMPLETED", json!([]))])), Yes, "CONFIRMED"),
            case("by id: another one is completed", vec![], by_id("COMPLETED", json!({})), returns(json!([read("t2", "COMPLETED", json!([]))])), No, "sent again"),
            case("by id: aliases not shown", vec![], by_id("CREATED", extra()), returns(json!([json!({"id": "t1", "state": "CREATED"})])), No, "sent again"),
        ],
    );
}

fn payment(id: &str) -> Value {
    json!({"id": id, "amount": usd("1.00"), "method": {"type": "CARD", "display": "V"}})
}

fn refund(state: &str, total: &str, payments: &[&str]) -> Value {
    let payments: Vec<Value> = payments.iter().map(|id| payment(id)).collect();
    let data = json!({"refund": {"id": "RF-9"}, "state": state, "total": usd(total)});
    if payments.is_empty() { data } else { with(data, json!({"payments": payments})) }
}

/// The refund as a read shows it. An amount is written as text: Buy with Prime's floats are noisy.
fn read(state: &str, total: &str, payments: &[&str], more: Value) -> Value {
    let one = |id: &&str| json!({"id": id, "amount": {"amount": 1.0, "currencyCode": "USD"}});
    let payments: Vec<Value> = payments.iter().map(one).collect();
    let shown = json!({"id": "r1", "state": state, "aliases": [alias("EXTERNAL_REFUND_ID", "RF-9")], "paymentDetails": payments,
        "refundTotal": {"totalAmount": {"amount": total.parse::<serde_json::Number>().unwrap(), "currencyCode": "USD"}}});
    order(json!({"refunds": {"details": [with(shown, more)]}}))
}

#[test]
#[rustfmt::skip] // one case, one line
fn refunds_by_state_and_total_and_payments() {
    let none = || order(json!({"refunds": {"details": []}}));
    let shown = |state: &str, total: &str, payments: &[&str]| read(state, total, payments, json!({}));
    let one = || vec![refund("PARTIAL", "1.00", &["a"])];
    let create = || refund("PARTIAL", "1.00", &["a"]);
    let second = || refund("PARTIAL", "2.00", &["a", "b"]);
    let rest = || with(refund("PARTIAL", "1.00", &["a"]), json!({"requestReason": "OTHERS", "lines": [line("L-1", 1)]}));
    let lines = |id: &str, quantity: u32| json!({"orderLineItems": [{"lineItem": {"id": id}, "amount": {"value": quantity}}]});
    let dead = "DEAD UNVERIFIABLE";
    check(
        "refund",
        vec![
            // All its payments are found: state and total have to read as asked.
            case("created", vec![], create(), shown("PARTIAL", "1.0", &["a"]), Yes, "CONFIRMED"),
            case("created without payments", vec![], refund("PARTIAL", "1.00", &[]), shown("PARTIAL", "1.0", &[]), Yes, "CONFIRMED"),
            case("not created", vec![], create(), none(), No, "sent again"),
            case("refunds are not shown at all", vec![], create(), order(json!({})), No, "sent again"),
            case("paid, and others before it", one(), second(), shown("PARTIAL", "2.0", &["a", "b"]), Yes, "CONFIRMED"),
            case("paid, but in another state", one(), refund("SUCCESS", "2.00", &["a", "b"]), shown("PARTIAL", "2.0", &["a", "b"]), Partly, "only state"),
            case("paid, but another total", one(), second(), shown("PARTIAL", "1.0", &["a", "b"]), Partly, "only state"),
            case("paid, another reason", vec![], rest(), read("PARTIAL", "1.0", &["a"], json!({"refundRequestReason": "WRONG"})), Partly, "only refundFor refundRequestReason state"),
            case("paid, other lines", vec![], rest(), read("PARTIAL", "1.0", &["a"], json!({"refundRequestReason": "OTHERS", "refundFor": lines("li-2", 1)})), Partly, "only refundFor state"),
            case("paid, another quantity", vec![], rest(), read("PARTIAL", "1.0", &["a"], json!({"refundRequestReason": "OTHERS", "refundFor": lines("li-1", 2)})), Partly, "only refundFor state"),
            case("paid, all as asked", vec![], rest(), read("PARTIAL", "1.0", &["a"], json!({"refundRequestReason": "OTHERS", "refundFor": lines("li-1", 1)})), Yes, "CONFIRMED"),
            case("no money in it: the state tells", one(), refund("SUCCESS", "1.00", &["a"]), shown("SUCCESS", "1.0", &["a"]), Yes, "CONFIRMED"),
            case("no money in it: not so", one(), refund("SUCCESS", "1.00", &["a"]), shown("PARTIAL", "1.0", &["a"]), Partly, "only state"),
            // Some are found, or those of an earlier mutation: what is not among them was not taken in.
            case("one of two", one(), refund("PARTIAL", "3.00", &["a", "b", "c"]), shown("PARTIAL", "1.0", &["a", "b"]), Partly, "only paymentDetails:c state"),
            case("one of two, whatever the total", one(), refund("PARTIAL", "3.00", &["a", "b", "c"]), shown("PARTIAL", "3.0", &["a", "b"]), Partly, "only paymentDetails:c state"),
            case("only earlier ones", one(), second(), shown("PARTIAL", "1.0", &["a"]), No, "only paymentDetails:b state"),
            case("only earlier ones, whatever the total", one(), second(), shown("PARTIAL", "2.0", &["a"]), No, "only paymentDetails:b state"),
            // None of the ids ever sent is shown, and this mutation was to change the total: the total tells.
            case("no ids, total as asked", one(), second(), shown("PARTIAL", "2.0", &[]), Yes, "CONFIRMED"),
            case("no ids, total as before", one(), second(), shown("PARTIAL", "1.0", &[]), No, "only paymentDetails:b state"),
            case("ids of BwP's own, total as asked", one(), second(), shown("PARTIAL", "2.0", &["X1", "X2"]), Yes, "CONFIRMED"),
            case("no ids, created", vec![], create(), shown("PARTIAL", "1.0", &[]), Yes, "CONFIRMED"),
            case("no ids, total as asked, another state: paid, the state goes again", one(), refund("SUCCESS", "2.00", &["a", "b"]), shown("PARTIAL", "2.0", &[]), Taken, "only state"),
            // Neither ids nor total tell.
            case("no ids, total was not to change", vec![refund("PARTIAL", "2.00", &["a"])], second(), shown("PARTIAL", "2.0", &[]), Unverifiable, dead),
            case("no ids, total was not to change, and did", vec![refund("PARTIAL", "2.00", &["a"])], second(), shown("PARTIAL", "3.0", &["X1"]), Unverifiable, dead),
            case("no ids, no total", one(), second(), read("PARTIAL", "2.0", &[], json!({"refundTotal": null})), Unverifiable, dead),
            // Money is compared as decimals at the currency's digits.
            case("a float's noise", one(), second(), shown("PARTIAL", "2.0000000000000004", &[]), Yes, "CONFIRMED"),
            case("a cent less", one(), second(), shown("PARTIAL", "1.99", &[]), No, "only paymentDetails:b state"),
            case("another currency", one(), second(), read("PARTIAL", "2.0", &[], json!({"refundTotal": {"totalAmount": {"amount": 2.0, "currencyCode": "EUR"}}})), No, "DEAD CURRENCY_CHANGED"),
        ],
    );
}

#[test]
#[rustfmt::skip] // one case, one line
fn refunds_by_name_before_any_other_alias() {
    let data = || with(refund("PARTIAL", "1.00", &["a"]), json!({"aliases": [{"type": "D", "id": "R-1"}]}));
    let other = |more: Value| with(json!({"aliases": [alias("D", "R-1")]}), more);
    let both = |own: Value| {
        let mut both = read("PARTIAL", "1.0", &["z"], other(json!({"id": "r2"})));
        both["refunds"]["details"].as_array_mut().unwrap().push(own["refunds"]["details"][0].clone());
        both
    };
    let own = |aliases: Value| read("PARTIAL", "1.0", &["a"], json!({"aliases": aliases}));
    let named = || alias("EXTERNAL_REFUND_ID", "RF-9");
    let money = || refund("PARTIAL", "1.00", &[]);
    check(
        "refund",
        vec![
            case("its own", vec![], data(), own(json!([named(), alias("D", "R-1")])), Yes, "CONFIRMED"),
            case("its own, without the other alias", vec![], data(), own(json!([named()])), Partly, "only aliases state"),
            case("beside another one that has its second alias", vec![], data(), both(own(json!([named()]))), Partly, "only aliases state"),
            case("only another one that has its second alias", vec![], data(), read("PARTIAL", "1.0", &[], other(json!({}))), Unverifiable, "DEAD UNVERIFIABLE"),
            case("under its second alias alone, its payment tells", vec![], data(), read("PARTIAL", "1.0", &["a"], other(json!({}))), Partly, "only aliases state"),
            case("no money at stake", vec![], with(money(), json!({"aliases": [{"type": "D", "id": "R-1"}]})), read("PARTIAL", "1.0", &[], other(json!({}))), Partly, "sent again"),
        ],
    );
}

#[test]
fn currencies_have_their_own_digits() {
    // Currency, what was asked, what is read, whether it is the same.
    for (currency, asked, number, is_so) in [
        ("USD", "38.79", "38.790000000000006", true),
        ("USD", "38.79", "38.785", true),
        ("USD", "38.79", "38.784999", false),
        ("JPY", "4200", "4200.0000000001", true),
        ("JPY", "4200", "4200.5", false),
        ("JPY", "4200", "4.2e3", true),
        ("BHD", "1.250", "1.25", true),
        ("BHD", "1.250", "1.2501", true),
        ("BHD", "1.250", "1.251", false),
    ] {
        let mut bench = Bench::new();
        bench.event("order", json!({"totalPrice": {"amount": asked, "currency": currency}}));
        let draft = bench.begin();
        let number: serde_json::Number = number.parse().unwrap();
        let read = json!({"id": "322-A", "totalPrice": {"value": {"amount": number, "currencyCode": currency}}});
        let view = serde_json::from_value(read).unwrap();
        assert_eq!(bench.lane.shows(&draft.parts[0], &view), if is_so { Yes } else { No }, "{currency} {asked} {number}");
    }
}

#[test]
#[rustfmt::skip] // one case, one line
fn orders_and_lines_member_by_member() {
    let pay = |state: &str| json!([{"id": "p", "amount": usd("5.00"), "state": state, "method": {"type": "CARD", "display": "V"}}]);
    let paid = |state: &str, amount: f64, method: &str| {
        json!({"payments": {"details": [{"id": "p", "state": state,
        "amount": {"amount": amount, "currencyCode": "USD"}, "paymentMethod": {"type": method, "displayString": "V"}}]}})
    };
    let dollars = |amount: f64| json!({"amount": amount, "currencyCode": "USD"});
    let started = || json!({"metadata": {"executionState": "STARTED"}});
    let price = |amount: f64| json!({"totalPrice": {"value": dollars(amount)}});
    let discount = |amount: f64, display: Value| json!({"discounts": {"summary": {"amount": dollars(amount), "displayString": display}}});
    let ten = || json!({"discount": {"amount": usd("2.80"), "display": "TENPERCENT"}});
    let links = || json!({"links": [{"destination": "BWP_STOREFRONT", "url": "u"}, {"destination": "EXTERNAL_ORDER_MANAGEMENT", "url": "v"}]});
    let link = |destination: &str, url: &str| json!({"orderLinks": [{"destinationType": destination, "url": url}]});
    let all = || with(with(ten(), json!({"executionState": "STARTED", "totalPrice": usd("38.79")})), json!({"payments": pay("SUCCESS")}));
    let line_of = |read: Value| json!({"lineItems": [with(json!({"id": "li-1"}), read)]});
    let asked_line = || json!({"lines": [{"line": {"id": "L-1"}, "taxes": usd("1.02"), "aliases": [{"type": "D", "id": "1"}]}]});
    let line_taxes = |amount: f64| json!({"taxes": {"summary": {"collectableTaxAmount": dollars(amount)}}});
    let cases = vec![
        ("nothing of it", all(), json!({}), No, "sent again"),
        ("all of it", all(), with(with(started(), price(38.79)), with(discount(2.8, json!("TENPERCENT")), paid("SUCCESS", 5.0, "CARD"))), Yes, "CONFIRMED"),
        ("all but the price", all(), with(started(), with(discount(2.8, json!("TENPERCENT")), paid("SUCCESS", 5.0, "CARD"))), Partly, "only totalPrice"),
        ("only the price", all(), price(38.79), Partly, "only desiredExecutionState discounts payments"),
        ("the other state", json!({"executionState": "STARTED"}), json!({"metadata": {"executionState": "NOT_STARTED"}}), No, "sent again"),
        ("a discount without its words", ten(), discount(2.8, Value::Null), Yes, "CONFIRMED"),
        ("a discount with other words", ten(), discount(2.8, json!("OTHER")), No, "sent again"),
        ("a payment in another state", json!({"payments": pay("SUCCESS")}), paid("IN_PROGRESS", 5.0, "CARD"), No, "sent again"),
        ("a payment of another amount", json!({"payments": pay("SUCCESS")}), paid("SUCCESS", 6.0, "CARD"), No, "sent again"),
        ("a payment by another method", json!({"payments": pay("SUCCESS")}), paid("SUCCESS", 5.0, "GIFT_CARD"), No, "sent again"),
        ("one link of two", links(), link("BWP_STOREFRONT", "u"), Partly, "only orderLinks"),
        ("a link to elsewhere", json!({"links": [{"destination": "BWP_STOREFRONT", "url": "u"}]}), link("BWP_STOREFRONT", "v"), No, "sent again"),
        ("an alias of two", json!({"aliases": [{"type": "D", "id": "1"}, {"type": "E", "id": "1"}]}), json!({"aliases": [alias("D", "1")]}), Partly, "only aliases"),
        ("an alias of another type", json!({"aliases": [{"type": "D", "id": "1"}]}), json!({"aliases": [alias("d", "1")]}), No, "sent again"),
        ("a line: all of it", asked_line(), line_of(with(line_taxes(1.02), json!({"aliases": [alias("D", "1")]}))), Yes, "CONFIRMED"),
        ("a line: its taxes", asked_line(), line_of(line_taxes(1.02)), Partly, "only aliases"),
        ("a line: its alias", asked_line(), line_of(json!({"aliases": [alias("D", "1")]})), Partly, "only taxes"),
        ("another line", asked_line(), json!({"lineItems": [with(json!({"id": "li-2"}), line_taxes(1.02))]}), No, "sent again"),
        ("a package's alias", json!({"packages": [{"package": {"bwpId": "pk-1"}, "aliases": [{"type": "D", "id": "1"}]}]}), json!({"packageInformation": {"details": [{"id": "pk-1", "aliases": [alias("D", "1")]}]}}), Yes, "CONFIRMED"),
        ("another package's alias", json!({"packages": [{"package": {"bwpId": "pk-1"}, "aliases": [{"type": "D", "id": "1"}]}]}), json!({"packageInformation": {"details": [{"id": "pk-2", "aliases": [alias("D", "1")]}]}}), No, "sent again"),
    ];
    check("order", cases.into_iter().map(|(what, asked, read, shown, then)| case(what, vec![], asked, order(read), shown, then)).collect());
}

fn packages(details: Value) -> Value {
    order(json!({"packageInformation": {"details": details}}))
}

fn package(id: &str, state: &str, more: Value) -> Value {
    with(
        json!({"id": id, "state": state, "packageInformationDetailsFor": {"orderLineItemAmounts": [{"lineItem": {"id": "li-1"}, "amount": {"value": 2}}]}}),
        more,
    )
}

fn holds(quantity: u32) -> Value {
    json!({"packageInformationDetailsFor": {"orderLineItemAmounts": [{"lineItem": {"id": "li-1"}, "amount": {"value": quantity}}]}})
}

#[test]
#[rustfmt::skip] // one case, one line
fn sandbox_steps_of_a_package() {
    let ship = |state: &str, more: Value| with(json!({"shipment": {"id": "P-1"}, "state": state}), more);
    let tracked = |milestone: &str| {
        json!({"packageTracker": {"packageTrackerIdentifier": {"trackingNumber": "1Z", "carrierCode": "UPS"},
        "latestMilestone": {"status": {"code": milestone}}}})
    };
    let out = || ship("IN_TRANSIT", json!({"tracking": {"carrier": "UPS", "number": "1Z"}, "milestone": "OUT_FOR_DELIVERY"}));
    let cancel = || ship("CANCELLED", json!({"reason": "CUSTOMER_REQUESTED"}));
    let (pending, transit) = (|| package("pk-1", "PENDING", json!({})), || package("pk-1", "IN_TRANSIT", json!({})));
    // What the order was before, what was asked, what it is afterwards.
    let cases = [
        ("moved", pending(), ship("IN_TRANSIT", json!({})), transit(), Yes),
        ("not moved", pending(), ship("IN_TRANSIT", json!({})), pending(), No),
        ("another package moved", pending(), ship("IN_TRANSIT", json!({})), package("pk-2", "IN_TRANSIT", json!({})), No),
        ("cancelled", pending(), cancel(), package("pk-1", "CANCELLED", json!({"reason": "CUSTOMER_REQUESTED"})), Yes),
        ("cancelled, reason not shown", pending(), cancel(), package("pk-1", "CANCELLED", json!({})), Yes),
        ("cancelled for another reason", pending(), cancel(), package("pk-1", "CANCELLED", json!({"reason": "UNFULFILLABLE"})), No),
        ("tracked", transit(), out(), package("pk-1", "IN_TRANSIT", tracked("OUT_FOR_DELIVERY")), Yes),
        ("tracked elsewhere", transit(), out(), package("pk-1", "IN_TRANSIT", tracked("IN_TRANSIT")), No),
        ("no tracker", transit(), out(), transit(), No),
    ];
    for (what, before, asked, after, shown) in cases {
        let mut bench = Bench::sandbox();
        bench.event("shipment", asked);
        bench.reads(packages(json!([before])));
        let draft = bench.begin();
        let view = serde_json::from_value(packages(json!([after]))).unwrap();
        assert_eq!(bench.lane.shows(&draft.parts[0], &view), shown, "{what}");
    }
}

#[test]
#[rustfmt::skip] // one case, one line
fn a_split_makes_a_package_of_its_own_for_each_part() {
    let part = |id: &str| json!({"shipment": {"id": id}, "package": {"bwpId": "pk-1"}, "state": "IN_TRANSIT", "lines": [line("L-1", 1)]});
    let (whole, half) = (|| package("pk-1", "PENDING", json!({})), || package("pk-1", "PENDING", holds(1)));
    let made = |id: &str| package(id, "IN_TRANSIT", holds(1));
    // What the order was before, what it is afterwards, and what that says of the first and of the second of two equal parts.
    let cases = [
        ("nothing was split", json!([whole()]), json!([whole()]), [No, No]),
        ("one was split off", json!([whole()]), json!([half(), made("pk-2")]), [Yes, No]),
        ("both were", json!([whole()]), json!([made("pk-1"), made("pk-2")]), [Yes, Yes]),
        ("one that was there before is nobody's", json!([whole(), made("pk-9")]), json!([whole(), made("pk-9")]), [No, No]),
        ("beside one that was there before", json!([whole(), made("pk-9")]), json!([half(), made("pk-9"), made("pk-2")]), [Yes, No]),
        ("another quantity", json!([whole()]), json!([package("pk-2", "IN_TRANSIT", holds(2))]), [No, No]),
        ("not on its way", json!([whole()]), json!([half(), package("pk-2", "PENDING", holds(1))]), [No, No]),
    ];
    for (what, before, after, shown) in cases {
        let mut bench = Bench::sandbox();
        let events = [bench.event("shipment", part("A")), bench.event("shipment", part("B"))];
        bench.reads(packages(before));
        assert_eq!(bench.begin().parts.len(), 2);
        bench.lost();
        assert_eq!(bench.rests(), Some(bench.now + TimeDelta::minutes(SANDBOX_INTERVAL)), "a late request may still apply");
        bench.pass(TimeDelta::minutes(SANDBOX_INTERVAL));
        bench.reads(packages(after));
        let next = bench.turn();
        let confirmed = events.map(|no| bench.status(no) == Some(Status::Confirmed));
        assert_eq!(confirmed, shown.map(|shown| shown == Yes), "{what}: {next:?}");
    }
}

/// When a read may say "not so", and what cannot be read is waited for.
#[test]
fn not_so_counts_only_where_no_late_request_can_change_it() {
    let timeout = TimeDelta::seconds(8);
    let interval = TimeDelta::minutes(SANDBOX_INTERVAL);
    let refund = ("refund", refund("PARTIAL", "1.00", &["a"]), order(json!({"refunds": {"details": []}})));
    let moved = (
        "shipment",
        json!({"shipment": {"id": "P-1"}, "state": "IN_TRANSIT"}),
        packages(json!([package("pk-1", "PENDING", json!({}))])),
    );
    // What is asked; whether an answer came; how long a late request may still change it.
    let cases = [
        (&refund, false, timeout),
        (&refund, true, TimeDelta::zero()),
        (&moved, false, interval),
        (&moved, true, TimeDelta::zero()),
    ];
    for ((kind, asked, as_before), answered, wait) in cases {
        let mut bench = Bench::sandbox();
        let no = bench.event(kind, asked.clone());
        if *kind == "shipment" {
            bench.reads(as_before.clone());
        }
        bench.begin();
        bench.unknown(answered);
        if wait > TimeDelta::zero() {
            assert_eq!(bench.rests(), Some(bench.now + wait), "{kind} {answered}");
            let early = bench.now + wait - TimeDelta::milliseconds(1);
            let view = serde_json::from_value(as_before.clone()).unwrap();
            bench.lane.learn_from_read(&view, Vec::new(), &bench.rules, early);
            assert_eq!(bench.lane.memo.intents.len(), 1, "{kind}: a read made too early denies nothing");
            bench.pass(wait);
        }
        // What cannot be read is not guessed.
        bench.read_fails(TimeDelta::minutes(1));
        assert_eq!(bench.rests(), Some(bench.now + TimeDelta::minutes(1)), "{kind} {answered}");
        bench.pass(TimeDelta::minutes(1));
        bench.reads(as_before.clone());
        assert!(matches!(bench.turn(), Next::Send(_)), "{kind} {answered}");
        assert_eq!((bench.status(no), bench.lane.events[&no].progress.attempts), (None, 1));
    }
}

//! Everything that must not be seen, marked so that it can be looked for: secrets, tokens, and payers in events of every kind and fate.

use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::Outgoing;
use bwp_simulator::{Answer, Apply, Options, OrderSeed, Rule, When};
use serde_json::{Value, json};

pub const CLIENT_SECRET: &str = "Marked-client-secret-x7";
pub const DATABASE_PASSWORD: &str = "Marked-database-password-x7";
pub const SASL_PASSWORD: &str = "Marked-sasl-password-x7";
pub const HEADER: &str = "Marked-access-key-x7";
pub const TOKEN: &str = "Marked-token-x7-";

/// Of the event that is refused.
pub const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const NAME: &str = "Marked Payer-Name";
const STREET: &str = "12 Marked Street";
const EMAIL: &str = "marked.payer@example.com";
const PHONE: &str = "+1 555 0142 778";
const CARD: &str = "4111 1111 1111 1111";
const PRIVATE: &str = "Marked-private-extension";

/// What is looked for, in small letters: whatever else is said of these things shows them, too.
pub fn marks() -> Vec<String> {
    let all = [
        CLIENT_SECRET,
        DATABASE_PASSWORD,
        SASL_PASSWORD,
        HEADER,
        TOKEN,
        NAME,
        STREET,
        EMAIL,
        PHONE,
        CARD,
        PRIVATE,
        "4111111111111111",
        "marked payer",
        "marked.payer",
        "555 0142",
    ];
    all.map(str::to_lowercase).to_vec()
}

/// Of those, what stands in a text.
pub fn found(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    marks().into_iter().filter(|mark| text.contains(mark)).collect()
}

pub fn simulated() -> Options {
    Options { client_secret: CLIENT_SECRET.into(), token_prefix: TOKEN.into(), quotes_payers: true, ..Options::default() }
}

fn payer() -> Value {
    let address = json!({"name": NAME, "streetAddress": STREET, "locality": "Marked Payer-Town", "countryCode": "US", "contactNumber": PHONE});
    json!({"id": EMAIL, "billingAddress": address, "contact": {"emailData": {"email": EMAIL}}})
}

fn payment(id: &str, amount: &str) -> Value {
    json!({"id": id, "amount": usd(amount), "state": "SUCCESS", "method": {"type": "AMAZON_PAY", "display": "Visa"}, "payer": payer()})
}

fn usd(amount: &str) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn a_refund(order: &str, id: &str, payment_id: &str, amount: &str) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": format!("RF-{order}")}, "version": id.len(), "state": "SUCCESS",
        "total": usd(amount), "payments": [payment(payment_id, amount)], "extensions": {"note": PRIVATE}});
    Event::new(Kind::Refund, &format!("{order}-{id}"), data)
}

fn an_order(order: &str) -> Event {
    let line = json!({"line": {"id": "L-1"}, "taxes": usd("1.02"), "discount": {"amount": usd("0.50")}, "payments": [payment("line", "1.00")]});
    let data = json!({"order": {"id": order}, "version": 1, "executionState": "STARTED", "totalPrice": usd("38.79"), "taxes": usd("1.02"),
        "aliases": [{"type": "EXTERNAL_DISPLAY_ID", "id": format!("#{order}")}], "payments": [payment("whole", "38.79")],
        "discount": {"amount": usd("2.80"), "display": "TENPERCENTOFF"}, "lines": [line], "extensions": {"note": PRIVATE},
        "links": [{"destination": "EXTERNAL_ORDER_MANAGEMENT", "url": "https://oms.example/1001"}],
        "packages": [{"package": {"bwpId": format!("pkg-{order}")}, "aliases": [{"type": "EXTERNAL_ID", "id": format!("SH-{order}")}]}]});
    Event::new(Kind::Order, &format!("{order}-o"), data)
}

fn a_return(order: &str, line: &str) -> Event {
    let data = json!({"order": {"id": order}, "return": {"id": format!("RMA-{order}")}, "state": "CREATED",
        "lines": [{"line": {"id": line}, "quantity": 1}], "extensions": {"customer": payer(), "note": PRIVATE}});
    Event::new(Kind::Return, &format!("{order}-r"), data)
}

/// An order of each fate, as Buy with Prime has it.
pub const ORDERS: [&str; 7] = ["whole", "refused", "thrown", "lost", "slow", "contradicts", "waits"];

pub fn seeds() -> Vec<OrderSeed> {
    let seed = |of: &str| {
        let order = OrderSeed::new(format!("B-{of}")).alias("EXTERNAL_ID", of);
        order.line(&format!("line-{of}"), "L-1", 2).package(&format!("pkg-{of}"))
    };
    ORDERS.into_iter().map(seed).collect()
}

/// What Buy with Prime says to them, with the payers in it.
pub fn faults() -> Vec<Rule> {
    let rule = |order: &str, times: Option<u64>, apply: Apply, answer: Answer| {
        let when = When { operation: Some("updateOrder".into()), order: Some(order.into()), times, ..When::default() };
        Rule { when, apply: Some(apply), answer, ..Rule::default() }
    };
    let says = |kind: &str, code: &str| Answer::Errors { kind: kind.into(), code: Some(code.into()), retry_after: None };
    vec![
        rule("refused", None, Apply::No, says("ValidationError", "InvalidInput")),
        rule("thrown", None, Apply::No, says("NobodyListsThisError", NAME)),
        rule("lost", Some(1), Apply::Yes, Answer::Reset),
        rule("slow", Some(2), Apply::No, says("ThrottlingError", "ThrottlingException")),
    ]
}

/// Events with payers, that can be read.
pub fn events() -> Vec<Event> {
    let mut events = vec![
        an_order("whole"),
        a_refund("whole", "f", "p-1", "5.00"),
        a_return("whole", "L-1"),
        a_refund("contradicts", "f", "p-1", "5.00"),
        a_refund("contradicts", "ff", "p-1", "9.00"),
        a_refund("elsewhere", "f", "p-1", "5.00").with("target", "elsewhere"),
        a_return("waits", "L-9"),
    ];
    let traceparent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    events.push(a_refund("refused", "f", "p-1", "5.00").with("traceparent", &traceparent));
    events.extend(["thrown", "lost", "slow"].map(|order| a_refund(order, "f", "p-1", "5.00")));
    events
}

/// What cannot be read, with payers in it.
pub fn unreadable() -> Vec<Outgoing> {
    let with = |id: &str, change: &dyn Fn(&mut Value)| {
        let mut event = a_refund("whole", id, "p-1", "5.00");
        change(&mut event.data);
        event.record(Envelope::Structured)
    };
    let mut twice = payer().to_string();
    twice.insert_str(1, &format!("{:?}:1,{:?}:2,", NAME, NAME));
    let whole = a_refund("whole", "x-json", "p-1", "5.00").structured().to_string();
    let in_text = |text: String| Outgoing::raw(Some(b"whole"), Some(text.as_bytes())).header("ce_subject", EMAIL.as_bytes());
    vec![
        with("x-text", &|data| data["payments"][0]["payer"] = NAME.into()),
        with("x-type", &|data| data["payments"][0]["method"]["type"] = CARD.into()),
        with("x-id", &|data| data["payments"][0]["id"] = format!(" {CARD}").into()),
        with("x-mail", &|data| data["state"] = EMAIL.into()),
        with("x-amount", &|data| data["total"]["amount"] = CARD.into()),
        with("x-place", &|data| data["billingAddress"] = payer()["billingAddress"].clone()),
        with("x-card", &|data| data["payments"][0]["cardNumber"] = CARD.into()),
        in_text(whole.replace(&payer().to_string(), &twice)),
        in_text(whole[..whole.len() - 9].to_owned()),
        in_text(format!("{NAME}, {EMAIL}, {CARD}")),
    ]
}

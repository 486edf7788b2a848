//! What Buy with Prime holds of an order, in words: a line for the order itself and for each return, refund and package. What
//! is expected is written by the same functions, so that both can be compared and shown as they are.

use bwp_simulator::Order;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;

/// From the name of a thing to what is held of it.
pub type Holds = BTreeMap<String, String>;

/// Of the order itself.
pub fn order(state: &str, display: &[String], total: Option<Decimal>) -> String {
    let total = total.map_or_else(|| "no total".to_owned(), |total| format!("total {}", total.normalize()));
    format!("{state}, {total}, shown as {}", list(display))
}

/// Of a return: each line with its quantity.
pub fn returned(state: &str, lines: &[String], aliases: &[String]) -> String {
    format!("{state}, {}, also called {}", list(lines), list(aliases))
}

/// Of a refund: each payment with its amount.
pub fn refund(state: &str, total: Decimal, currency: &str, payments: &[(String, Decimal)]) -> String {
    let paid: Vec<String> = payments.iter().map(|(id, amount)| format!("{id} {}", amount.normalize())).collect();
    format!("{state}, {} {currency}, paid {}", total.normalize(), list(&paid))
}

/// Of a package.
pub fn package(state: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| state.to_owned(), |reason| format!("{state} ({reason})"))
}

/// Everything that the simulator holds.
pub fn of(it: &Order) -> Holds {
    let display = it.aliases.iter().filter(|alias| alias.alias_type == "EXTERNAL_DISPLAY_ID");
    let display: Vec<String> = display.map(|alias| alias.alias_id.clone()).collect();
    let total = it.total_price.as_ref().and_then(|price| price.get("value")?.get("amount").and_then(decimal));
    let mut holds = Holds::from([("order".to_owned(), order(&word(&it.execution_state), &display, total))]);
    for one in &it.returns {
        let lines = one.return_line_items.iter().flat_map(|line| &line.return_for.order_line_item_amounts);
        let count =
            |amount: Option<&bwp_simulator::Amount>| amount.map_or_else(|| "?".to_owned(), |amount| amount.value.to_string());
        let lines: Vec<String> = lines.map(|line| format!("{} x {}", count(line.amount.as_ref()), line.line_item.id)).collect();
        let (name, others) = names(&one.aliases, &one.id);
        insert(&mut holds, format!("return {name}"), returned(&word(&one.state), &lines, &others));
    }
    for one in &it.refunds {
        let text = |payment: &_, key: &str| -> Option<String> { Some(plain(payment)?.get(key)?.as_str()?.to_owned()) };
        let paid = |payment| {
            let amount = plain(payment).and_then(|it| decimal(it.get("amount")?.get("amount")?)).unwrap_or_default();
            (text(payment, "id").unwrap_or_default(), amount)
        };
        let payments: Vec<(String, Decimal)> = one.payment_details.iter().map(paid).collect();
        let total = &one.refund_total.total_amount;
        let (name, _) = names(&one.aliases, &one.id);
        let text = refund(&word(&one.state), decimal(&total.amount).unwrap_or_default(), &total.currency_code, &payments);
        insert(&mut holds, format!("refund {name}"), text);
    }
    for one in &it.packages {
        insert(&mut holds, format!("package {}", one.id), package(&word(&one.state), one.reason.as_deref()));
    }
    holds
}

/// Two things of one name must not hide each other.
fn insert(holds: &mut Holds, name: String, text: String) {
    let twins = holds.keys().filter(|key| **key == name || key.starts_with(&format!("{name} again"))).count();
    let name = if twins == 0 { name } else { format!("{name} again ({twins})") };
    holds.insert(name, text);
}

/// The first alias is the name, the rest is beside it.
fn names(aliases: &[bwp_simulator::Alias], id: &str) -> (String, Vec<String>) {
    let mut all = aliases.iter().map(|alias| alias.alias_id.clone());
    (all.next().unwrap_or_else(|| id.to_owned()), all.collect())
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(" and ") }
}

/// As the API writes a state.
fn word(state: &impl Serialize) -> String {
    plain(state).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn plain(value: &impl Serialize) -> Option<serde_json::Value> {
    serde_json::to_value(value).ok()
}

/// The exact value of a number as it was written.
fn decimal(number: &impl Serialize) -> Option<Decimal> {
    plain(number)?.to_string().parse().ok()
}

//! Buy with Prime's words may quote what it was sent. Personal data never goes on from there. Pure.

use serde_json::Value;

/// The shortest value that is looked for: anything shorter says nothing, and would mask half the sentence.
const SHORTEST: usize = 3;

/// The message without any value of a payer that was sent.
pub fn mask_payers(message: &str, sent: &Value) -> String {
    let mut values = Vec::new();
    collect(sent, false, &mut values);
    // The longest first: a name within an address must not keep the address from being found.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.into_iter().fold(message.to_owned(), |message, value| message.replace(value, "***"))
}

fn collect<'a>(value: &'a Value, in_payer: bool, values: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if in_payer && text.len() >= SHORTEST => values.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, in_payer, values)),
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| collect(member, in_payer || name == "payer", values));
        }
        _ => {}
    }
}

/// The same value, with every value of a payer masked.
pub fn without_payers(value: &Value) -> Value {
    masked(value, false)
}

fn masked(value: &Value, in_payer: bool) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| masked(item, in_payer)).collect(),
        Value::Object(members) => {
            let masked = |(name, member): (&String, &Value)| (name.clone(), masked(member, in_payer || name == "payer"));
            Value::Object(members.iter().map(masked).collect())
        }
        _ if in_payer => "***".into(),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_value_of_a_payer_survives_and_the_rest_does() {
        let payer = json!({"id": "P-1", "billingAddress": {"name": "Jane Doe", "streetAddress": "12 Elm St, Jane Doe"}});
        let sent = json!({"input": {"refunds": {"details": [{"paymentDetails": [{"id": "pt-1", "payer": payer}]}]}}});
        let said = "streetAddress '12 Elm St, Jane Doe' of Jane Doe (P-1) is invalid for payment pt-1";
        assert_eq!(mask_payers(said, &sent), "streetAddress '***' of *** (***) is invalid for payment pt-1");
        let masked = json!({"id": "***", "billingAddress": {"name": "***", "streetAddress": "***"}});
        let kept = json!({"input": {"refunds": {"details": [{"paymentDetails": [{"id": "pt-1", "payer": masked}]}]}}});
        assert_eq!(without_payers(&sent), kept);
    }
}

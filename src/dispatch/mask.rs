//! Buy with Prime's words may quote what it was sent. Personal data never goes on from there. Pure.

use crate::event::{Event, is_card_number, is_payer_member};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;

/// The shortest value that is looked for: anything shorter says nothing, and would mask half the sentence.
const SHORTEST: usize = 3;

/// A value as long as this is found within a word, too.
const LONG: usize = 8;

/// What stands for what is not shown.
const MASK: &str = "***";

/// The values of payers, to be looked for in what somebody else says.
#[derive(Debug, Default)]
pub struct Payers(Vec<String>);

impl Payers {
    /// Those in what is sent, and in the events of its order: an answer may quote what was sent before.
    pub fn of<'a>(sent: Option<&Value>, events: impl IntoIterator<Item = &'a Event>) -> Payers {
        let mut payers = Payers::default();
        sent.into_iter().for_each(|sent| payers.collect(sent, false));
        for event in events {
            event.data.payers().for_each(|payer| payers.collect(payer, true));
        }
        // The longest first: a name within an address must not keep the address from being found.
        payers.0.sort_by_key(|value| std::cmp::Reverse(value.len()));
        payers.0.dedup();
        payers
    }

    fn collect(&mut self, value: &Value, in_payer: bool) {
        match value {
            Value::String(text) if in_payer => self.add(text),
            Value::Number(number) if in_payer => self.add(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, in_payer)),
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| self.collect(member, in_payer || name == "payer"));
            }
            _ => {}
        }
    }

    /// As it would stand in an answer that was tidied up: without line breaks and doubled spaces.
    fn add(&mut self, text: &str) {
        let words: Vec<&str> =
            text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
        let value = words.join(" ").to_ascii_lowercase();
        if value.len() >= SHORTEST {
            self.0.push(value);
        }
    }

    /// The message without any of them, in whatever letters, and also where it was cut off in the midst of one.
    pub fn mask(&self, message: &str) -> String {
        let masked = self.0.iter().fold(message.to_owned(), |message, value| without(&message, value));
        match masked.strip_suffix('…').map(|cut| (cut, self.beginning_at_end(cut))) {
            Some((cut, length)) if length >= SHORTEST => format!("{}{MASK}…", &cut[..cut.len() - length]),
            _ => masked,
        }
    }

    /// How much at the end of a text is the beginning of a value.
    fn beginning_at_end(&self, text: &str) -> usize {
        let text = text.to_ascii_lowercase();
        let of = |value: &String| value.char_indices().map(|(at, _)| at).filter(|at| text.ends_with(&value[..*at])).max();
        self.0.iter().filter_map(of).max().unwrap_or_default()
    }
}

/// The text without a value, which is in small letters.
fn without(text: &str, value: &str) -> String {
    let small = text.to_ascii_lowercase();
    let (mut kept, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(found) = small[at..].find(value) {
        let (from, to) = (at + found, at + found + value.len());
        let joins = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
        let is_part_of_word = joins(small[..from].chars().next_back()) || joins(small[to..].chars().next());
        // Ali is not in InvalidInput.
        let is_it = value.len() >= LONG || !is_part_of_word;
        kept.push_str(&text[at..from]);
        kept.push_str(if is_it { MASK } else { &text[from..to] });
        at = to;
    }
    kept.push_str(&text[at..]);
    kept
}

/// The same value, with every value of a payer masked, and whatever else seems to be personal by its name or by an `@`.
pub fn without_payers(value: &Value) -> impl Serialize {
    masked(value)
}

fn masked(value: &Value) -> Masked<'_> {
    Masked { value, in_payer: false, is_private: is_address }
}

/// JSON text as it was written here, without what is masked in it: the same text, where nothing is.
pub fn text_without_payers(text: &str) -> Cow<'_, str> {
    if shows_all(text) {
        return Cow::Borrowed(text);
    }
    // What cannot be read is not shown.
    let value: Value = serde_json::from_str(text).unwrap_or_else(|_| MASK.into());
    Cow::Owned(serde_json::to_string(&masked(&value)).unwrap_or_default())
}

/// Whether surely nothing in a JSON text is masked: no `@` is in it, no letter stands there by its number, and nothing personal is in
/// the name of a member, which is a string that neither a comma nor an end follows.
fn shows_all(text: &str) -> bool {
    if text.contains('@') || text.contains("\\u") {
        return false;
    }
    let text = text.as_bytes();
    let names_a_member = |rest: &[u8]| {
        let end = rest.iter().position(|byte| *byte == b'"');
        end.is_none_or(|end| end == 0 || rest[end - 1] == b'\\' || !matches!(rest.get(end + 1), Some(b',' | b'}' | b']')))
    };
    let may_begin = |pair: &[u8]| BEGINNINGS[letter(pair[0])] & (1 << letter(pair[1])) != 0;
    let mut beginnings = text.windows(2).enumerate().filter(|(_, pair)| may_begin(pair));
    !beginnings.any(|(at, _)| is_at_personal(&text[at..]) && names_a_member(&text[at..]))
}

fn is_address(text: &str) -> bool {
    text.contains('@')
}

/// The same, also without what may be the number of a card, for what nobody could read: anything may be anywhere in it.
pub fn without_anything_personal(value: &Value) -> impl Serialize {
    Masked { value, in_payer: false, is_private: |text| is_address(text) || is_card_number(text) }
}

/// A value that is masked as it is written.
#[derive(Clone, Copy)]
struct Masked<'a> {
    value: &'a Value,
    in_payer: bool,
    is_private: fn(&str) -> bool,
}

impl<'a> Masked<'a> {
    fn item(self, value: &'a Value) -> Masked<'a> {
        Masked { value, ..self }
    }

    fn member(self, name: &str, value: &'a Value) -> Masked<'a> {
        Masked { value, in_payer: self.in_payer || is_personal(name), ..self }
    }

    /// Even a name may be personal, where it is none of those that Buy with Prime knows.
    fn hides_name(self, name: &str) -> bool {
        self.in_payer && !is_payer_member(name)
    }

    /// Whether a value that is neither a list nor an object is masked.
    fn hides(self) -> bool {
        match self.value {
            Value::Null => false,
            Value::String(text) if (self.is_private)(text) => true,
            Value::Number(number) if (self.is_private)(number.as_str()) => true,
            _ => self.in_payer,
        }
    }
}

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Array(items) => serializer.collect_seq(items.iter().map(|value| self.item(value))),
            Value::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| {
                let shown = if self.hides_name(name) { MASK } else { name };
                (shown, self.member(name, value))
            })),
            _ if self.hides() => serializer.serialize_str(MASK),
            value => value.serialize(serializer),
        }
    }
}

/// Parts of the names of members that hold personal data, also where they are misspelt or misplaced, by their first letter.
/// `extensions` is the producer's own.
const fn personal(first: u8) -> &'static [&'static str] {
    match first.to_ascii_lowercase() {
        b'a' => &["address"],
        b'b' => &["buyer"],
        b'c' => &["contact", "card", "customer"],
        b'e' => &["email", "extensions"],
        b'p' => &["payer", "phone"],
        b'r' => &["recipient"],
        _ => &[],
    }
}

/// The second letters of these parts as bits, by their first.
const BEGINNINGS: [u32; 32] = {
    let (mut beginnings, mut first) = ([0; 32], b'a');
    while first <= b'z' {
        let (parts, mut at) = (personal(first), 0);
        while at < parts.len() {
            beginnings[letter(first)] |= 1 << letter(parts[at].as_bytes()[1]);
            at += 1;
        }
        first += 1;
    }
    beginnings
};

/// The number of a letter, large or small. What is none has the number of one, too.
const fn letter(byte: u8) -> usize {
    (byte & 31) as usize
}

fn is_personal(name: &str) -> bool {
    let name = name.as_bytes();
    (0..name.len()).any(|at| is_at_personal(&name[at..]))
}

/// Whether a text begins with such a part.
fn is_at_personal(text: &[u8]) -> bool {
    let begins = |part: &&str| text.get(..part.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(part.as_bytes()));
    text.first().is_some_and(|first| personal(*first).iter().any(begins))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sent() -> Value {
        let address = json!({"name": "Jane Doe", "streetAddress": "12 Elm St,\n  Jane Doe", "countryCode": "US"});
        let payer = json!({"id": "P-1", "billingAddress": address, "contact": {"contactNumber": 5551234}});
        json!({"input": {"refunds": {"details": [{"paymentDetails": [{"id": "pt-1", "payer": payer}]}]}}})
    }

    #[test]
    fn no_value_of_a_payer_survives_and_the_rest_does() {
        let payers = Payers::of(Some(&sent()), []);
        for (said, kept) in [
            (
                "streetAddress '12 Elm St, Jane Doe' of Jane Doe (P-1) is invalid for payment pt-1 in US",
                "streetAddress '***' of *** (***) is invalid for payment pt-1 in US",
            ),
            ("P-12 and XP-1 and Invalid Jane Does", "P-12 and XP-1 and Invalid ***s"),
            ("JANE DOE, jane doe: é", "***, ***: é"),
            ("call 5551234", "call ***"),
            ("the street is 12 Elm St, Ja…", "the street is ***…"),
            ("a name is wrong: Jane D…", "a name is wrong: ***…"),
            ("it ends there…", "it ends there…"),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(payers.mask(said), kept);
        }
        assert_eq!(Payers::of(None, []).mask("Jane Doe"), "Jane Doe");
    }

    #[test]
    fn what_is_shown_has_no_payer_and_nothing_that_seems_personal() {
        let address = json!({"name": "***", "streetAddress": "***", "countryCode": "***"});
        let masked = json!({"id": "***", "billingAddress": address, "contact": {"contactNumber": "***"}});
        let kept = json!({"input": {"refunds": {"details": [{"paymentDetails": [{"id": "pt-1", "payer": masked}]}]}}});
        assert_eq!(json!(without_payers(&sent())), kept);
        let misplaced = json!({"order": {"id": "1001"}, "cardNumber": 4111, "note": "jane@example.com", "extensions": {"any": "thing"},
            "Payer": ["Jane"], "state": null});
        let kept = json!({"order": {"id": "1001"}, "cardNumber": "***", "note": "***", "extensions": {"***": "***"}, "Payer": ["***"],
            "state": null});
        assert_eq!(json!(without_payers(&misplaced)), kept);
        let cards = json!({"type": "4111 1111 1111 1111", "id": 4111111111111111_u64, "order": "1001"});
        assert_eq!(json!(without_anything_personal(&cards)), json!({"type": "***", "id": "***", "order": "1001"}));
        assert_eq!(json!(without_payers(&cards)), cards);
        let named = ["E-Mail", "emailData", "billing-ADDRESS", "a\"payer", "payer\\", "card\u{1}", "buyerId", "the customer"];
        let named = named.map(|name| json!({"id": 1, name: "x"}));
        let words = json!({"display": "Visa card, payer", "type": ["CREDIT_CARD", "\"email\": x"], "state": "RECIPIENT"});
        let text = json!({"type": "CREDIT_CARD", "display": "payer"}).to_string();
        assert!(matches!(text_without_payers(&text), Cow::Borrowed(_)), "a word is no name of a member");
        let others =
            [sent(), misplaced, cards, words, json!({"mail": ["jane@example.com"]}), json!({"id": [1, null, {"a": "b"}]})];
        for value in named.into_iter().chain(others) {
            assert_eq!(text_without_payers(&value.to_string()), json!(without_payers(&value)).to_string());
        }
    }
}

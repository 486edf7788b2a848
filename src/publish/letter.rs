//! The records that are written: outcomes, and dead letters with the headers that say what became of them.
//!
//! Pure.

use super::outbox::{Cursor, DeadLetter, Outgoing};
use rdkafka::message::{Header, OwnedHeaders};

/// What all headers of ours begin with.
const OURS: &str = "x-bwp-sync-";

/// A record to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Letter<'a> {
    pub(super) cursor: Cursor,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    pub(super) headers: Vec<(&'a str, Option<Vec<u8>>)>,
}

impl<'a> Letter<'a> {
    pub(super) fn outcome(outgoing: &'a Outgoing) -> Self {
        Letter {
            cursor: outgoing.cursor,
            key: outgoing.outcome_key.as_deref(),
            value: outgoing.outcome.as_bytes(),
            headers: vec![("content-type", Some(b"application/cloudevents+json; charset=UTF-8".to_vec()))],
        }
    }

    /// The original record, with our headers in place of any that an earlier turn as a dead letter left on it.
    pub(super) fn dead(outgoing: &'a Outgoing) -> Option<Self> {
        let DeadLetter { original, place, status, code, message, outcome_id } = outgoing.dead.as_ref()?;
        let theirs = original.headers.iter().filter(|(name, _)| !name.starts_with(OURS));
        let mut headers: Vec<_> = theirs.map(|(name, value)| (name.as_str(), value.clone())).collect();
        for (name, value) in [
            ("x-bwp-sync-status", status.clone()),
            ("x-bwp-sync-code", code.clone()),
            ("x-bwp-sync-message", message.clone()),
            ("x-bwp-sync-topic", place.topic.clone()),
            ("x-bwp-sync-partition", place.partition.to_string()),
            ("x-bwp-sync-offset", place.offset.to_string()),
            ("x-bwp-sync-outcome-id", outcome_id.clone()),
        ] {
            headers.push((name, Some(value.into_bytes())));
        }
        Some(Letter { cursor: outgoing.cursor, key: original.key.as_deref(), value: &original.value, headers })
    }

    /// The headers as librdkafka takes them.
    pub(super) fn owned_headers(&self) -> OwnedHeaders {
        let empty = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers.iter().fold(empty, |headers, (name, value)| headers.insert(Header { key: name, value: value.as_ref() }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::{Original, Place};

    #[test]
    fn a_dead_letter_keeps_all_but_our_own_headers() {
        let header = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|value| value.as_bytes().to_vec()));
        let original = Original {
            key: None,
            value: vec![0, 255],
            headers: vec![header("a", None), header("x-bwp-sync-code", Some("OLD")), header("a", Some(""))],
        };
        let place = Place { topic: "oms.refunds".to_owned(), partition: 2, offset: 17 };
        let dead = DeadLetter {
            original,
            place,
            status: "DEAD".to_owned(),
            code: "UNVERIFIABLE".to_owned(),
            message: "nö".to_owned(),
            outcome_id: "/oms#1#1".to_owned(),
        };
        let cursor = Cursor { xid: 1, seq: 1 };
        let outgoing = Outgoing { cursor, outcome_key: None, outcome: "{}".to_owned(), dead: Some(dead) };
        let letter = Letter::dead(&outgoing).unwrap();
        assert_eq!((letter.key, letter.value), (None, &[0, 255][..]));
        let shown: Vec<(&str, Option<String>)> = letter
            .headers
            .iter()
            .map(|(name, value)| (*name, value.clone().map(|value| String::from_utf8(value).unwrap())))
            .collect();
        let text = |value: &str| Some(value.to_owned());
        let expected = [
            ("a", None),
            ("a", text("")),
            ("x-bwp-sync-status", text("DEAD")),
            ("x-bwp-sync-code", text("UNVERIFIABLE")),
            ("x-bwp-sync-message", text("nö")),
            ("x-bwp-sync-topic", text("oms.refunds")),
            ("x-bwp-sync-partition", text("2")),
            ("x-bwp-sync-offset", text("17")),
            ("x-bwp-sync-outcome-id", text("/oms#1#1")),
        ];
        assert_eq!(shown, expected);
    }
}

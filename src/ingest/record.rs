//! From librdkafka's message to what the ledger takes in.

use crate::event::{self, Fault, FaultCode, PartialEnvelope, RawRecord, Reading};
use crate::ledger::{Content, Incoming, Original, Place};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a record costs beside its bytes.
const OVERHEAD: usize = 128;

type RawHeaders<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

/// Reads a record, and how many bytes it is.
pub(super) fn read(message: &BorrowedMessage<'_>) -> (Incoming, usize) {
    let place = Place { topic: message.topic().to_owned(), partition: message.partition(), offset: message.offset() };
    let (headers, is_whole) = headers(message);
    let header_bytes: usize = headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
    let bytes = OVERHEAD + message.key_len() + message.payload_len() + header_bytes;
    let raw = RawRecord { key: message.key(), value: message.payload(), headers: &headers };
    let reading = match (is_whole, raw.value) {
        (false, Some(_)) => Reading::Fault(unreadable_header()),
        _ => event::read(&raw),
    };
    let content = match reading {
        Reading::Tombstone => Content::Tombstone,
        Reading::Event(event) => Content::Event { event, original: original(&raw) },
        Reading::Fault(fault) => Content::Fault { fault, original: original(&raw) },
    };
    (Incoming { place, content }, bytes)
}

/// The headers, and whether these are all. The binding panics on a header whose name is not UTF-8, and a record must not be able to
/// stop the program.
fn headers<'a>(message: &'a BorrowedMessage<'_>) -> (RawHeaders<'a>, bool) {
    let Some(headers) = message.headers() else { return (Vec::new(), true) };
    let mut read = Vec::with_capacity(headers.count());
    for index in 0..headers.count() {
        match catch_unwind(AssertUnwindSafe(|| headers.try_get(index))) {
            Ok(Some(header)) => read.push((header.key, header.value)),
            Ok(None) => break,
            Err(_) => return (read, false),
        }
    }
    (read, true)
}

fn unreadable_header() -> Box<Fault> {
    Box::new(Fault {
        code: FaultCode::NotUtf8,
        message: "the name of a header is not UTF-8; the headers from there on are not kept".to_owned(),
        pointer: String::new(),
        envelope: PartialEnvelope::default(),
    })
}

fn original(raw: &RawRecord<'_>) -> Original {
    Original {
        key: raw.key.map(<[u8]>::to_vec),
        value: raw.value.unwrap_or_default().to_vec(),
        headers: raw.headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect(),
    }
}

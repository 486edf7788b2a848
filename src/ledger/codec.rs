//! Small codes between values and columns.

use crate::event::{AliasKind, Identity, Kind};
use crate::plan::names::Origin;
use crate::plan::outcome::Status;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// 128 bits that stand for an event's identity.
pub fn identity_hash(identity: &Identity) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update((identity.source.len() as u64).to_be_bytes());
    hasher.update(identity.source.as_bytes());
    hasher.update(identity.id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    Uuid::from_bytes(bytes)
}

/// A value as text that a `jsonb` column takes: it has no NUL, which words of others may have.
pub fn json_text(value: &impl serde::Serialize) -> String {
    let text = crate::text::json(value, 512);
    if text.contains("\\u0000") { text.replace("\\u0000", "\\ufffd") } else { text }
}

/// Record headers as one column: for each, the lengths and bytes of name and value; -1 for a header without a value.
pub fn pack_headers(headers: &[(String, Option<Vec<u8>>)]) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let mut packed = Vec::new();
    for (name, value) in headers {
        put(&mut packed, Some(name.as_bytes()));
        put(&mut packed, value.as_deref());
    }
    Some(packed)
}

fn put(packed: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    packed.extend(length.to_be_bytes());
    packed.extend(bytes.unwrap_or_default());
}

/// The headers in a packed column, as far as it is whole.
pub fn unpack_headers(packed: Option<&[u8]>) -> Vec<(String, Option<Vec<u8>>)> {
    let mut rest = packed.unwrap_or_default();
    let mut headers = Vec::new();
    while let Some(name) = take(&mut rest) {
        let Some(value) = take(&mut rest) else { break };
        headers.push((String::from_utf8_lossy(&name.unwrap_or_default()).into_owned(), value));
    }
    headers
}

fn take(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let (length, tail) = rest.split_at_checked(4)?;
    let length = i32::from_be_bytes(length.try_into().ok()?);
    let Ok(length) = usize::try_from(length) else {
        *rest = tail;
        return Some(None);
    };
    let (bytes, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(Some(bytes.to_vec()))
}

/// The column of an event's kind.
pub const fn kind_code(kind: Kind) -> i16 {
    match kind {
        Kind::Return => 0,
        Kind::Refund => 1,
        Kind::Shipment => 2,
        Kind::Order => 3,
        Kind::Alias => 4,
    }
}

/// The kind in a column.
pub fn kind_of(code: i16) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind_code(*kind) == code)
}

/// The column of what an alias names.
pub const fn alias_kind_code(kind: AliasKind) -> i16 {
    match kind {
        AliasKind::Order => 0,
        AliasKind::LineItem => 1,
        AliasKind::Return => 2,
        AliasKind::Refund => 3,
        AliasKind::Package => 4,
    }
}

/// What a column says that an alias names.
pub const fn alias_kind_of(code: i16) -> AliasKind {
    match code {
        1 => AliasKind::LineItem,
        2 => AliasKind::Return,
        3 => AliasKind::Refund,
        4 => AliasKind::Package,
        _ => AliasKind::Order,
    }
}

/// The column of a row's origin.
pub const fn origin_code(origin: Origin) -> i16 {
    match origin {
        Origin::Import => 0,
        Origin::Topic => 1,
        Origin::Bwp => 2,
    }
}

/// The origin in a column.
pub const fn origin_of(code: i16) -> Origin {
    match code {
        0 => Origin::Import,
        2 => Origin::Bwp,
        _ => Origin::Topic,
    }
}

/// The column of a final status.
pub fn status_code(status: Status) -> i16 {
    Status::ALL.iter().position(|known| *known == status).and_then(|at| i16::try_from(at).ok()).unwrap_or_default()
}

/// The states of unsettled work, as its column has them.
pub mod state {
    /// Due when its lane's turn comes.
    pub const QUEUED: i16 = 0;
    /// For a name.
    pub const WAITING: i16 = 1;
    /// For its next try, or for a read.
    pub const RETRYING: i16 = 2;
    /// Until an operator retries or discards it.
    pub const DEAD: i16 = 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_their_column_byte_for_byte() {
        let headers = vec![
            ("ce_id".to_owned(), Some(b"e-1".to_vec())),
            ("empty".to_owned(), Some(Vec::new())),
            ("none".to_owned(), None),
            ("ce_id".to_owned(), Some(vec![0, 255, 10])),
        ];
        assert_eq!(unpack_headers(pack_headers(&headers).as_deref()), headers);
        assert_eq!(pack_headers(&[]), None);
        assert_eq!(unpack_headers(Some(&[0, 0, 0, 9, 1])), vec![]);
    }

    #[test]
    fn an_identity_is_not_its_concatenation() {
        let of = |source: &str, id: &str| identity_hash(&Identity { source: source.into(), id: id.into() });
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }
}

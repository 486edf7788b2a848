//! What is in force, for people and programs: every key, its value and its source, with the secrets masked.

use config::{Value, ValueKind};
use serde::Serialize;

use super::keys;
use super::layers::Written;
use super::load::Loaded;

/// What stands for a secret that is set.
const MASK: &str = "***";

/// One key as it is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value; a secret is masked, and empty where it is not set.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub source: String,
}

/// Every key in the order of its name.
pub fn entries(loaded: &Loaded) -> Vec<Entry> {
    loaded
        .values
        .all()
        .map(|(key, written)| Entry { key: key.to_owned(), value: shown(key, written), source: written.origin.to_string() })
        .collect()
}

/// The entries as `key = value  # source`, one a line, the sources under each other where that is possible.
pub fn table(entries: &[Entry]) -> String {
    let lines: Vec<(String, &str)> =
        entries.iter().map(|entry| (format!("{} = {}", entry.key, entry.value), entry.source.as_str())).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(72);
    lines.iter().map(|(line, source)| format!("{line:width$}  # {source}\n")).collect()
}

fn shown(key: &str, written: &Written) -> serde_json::Value {
    let text = Value::new(None, written.kind.clone()).into_string().unwrap_or_default();
    if key == "database.url" {
        return mask_url(&text).into();
    }
    if key.ends_with("endpoint") {
        return mask_query(&text).into();
    }
    if keys::is_secret(key) {
        return if text.is_empty() { "".into() } else { MASK.into() };
    }
    match &written.kind {
        ValueKind::Boolean(value) => (*value).into(),
        ValueKind::I64(value) => (*value).into(),
        ValueKind::Float(value) => (*value).into(),
        _ => text.into(),
    }
}

/// An address without what may be a secret in it: nobody needs more to know it again.
fn mask_query(url: &str) -> String {
    match url.split_once('?') {
        Some((address, _)) => format!("{}?{MASK}", mask_url(address)),
        None if url.contains('@') => mask_url(url),
        None => url.to_owned(),
    }
}

/// An address without its password, whether that stands before the host or among the parameters. What does not look like
/// an address is masked whole.
fn mask_url(url: &str) -> String {
    if url.is_empty() {
        return String::new();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return MASK.to_owned();
    };
    let (address, parameters) = match rest.split_once('?') {
        Some((address, parameters)) => (address, Some(parameters)),
        None => (rest, None),
    };
    let address = match address.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
            None => format!("{user}@{host}"),
        },
        None => address.to_owned(),
    };
    let parameters = parameters.map(|parameters| {
        let masked = parameters.split('&').map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("password") => {
                format!("{name}={MASK}")
            }
            _ => parameter.to_owned(),
        });
        format!("?{}", masked.collect::<Vec<_>>().join("&"))
    });
    // A password with an unescaped `?` leaves its second half, and the `@`, among the parameters.
    match parameters {
        Some(parameters) if parameters.contains('@') => format!("{scheme}://{MASK}"),
        parameters => format!("{scheme}://{address}{}", parameters.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_passwords() {
        for (url, shown) in [
            ("", ""),
            ("postgres://me:hunter2@db:5432/x", "postgres://me:***@db:5432/x"),
            ("postgres://me:hunt@er2@db/x?sslmode=require", "postgres://me:***@db/x?sslmode=require"),
            ("postgres://me@db/x?password=hunter2&a=b", "postgres://me@db/x?password=***&a=b"),
            ("postgres://me:hun?ter2@db/x", "postgres://***"),
            ("postgres://db/x", "postgres://db/x"),
            ("host=db password=hunter2", "***"),
        ] {
            assert_eq!(mask_url(url), shown);
        }
        for (url, shown) in [
            ("https://api.example.com/graphql", "https://api.example.com/graphql"),
            ("https://api.example.com/graphql?key=hunter2", "https://api.example.com/graphql?***"),
            ("https://me:hunter2@api.example.com/", "https://me:***@api.example.com/"),
        ] {
            assert_eq!(mask_query(url), shown);
        }
    }
}

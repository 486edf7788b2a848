//! Keys by name: how they are taken apart, which ones exist, which hold secrets, and which one was probably meant.
//!
//! A key is written with dots, `kafka.topics.returns`. Three sections have keys of the user's own, in which a dot is part of
//! the last name: `kafka.properties.*`, `targets.NAME.headers.*` and `verdicts.*`.

use std::collections::BTreeSet;

use super::target::OwnHeader;

/// The section of librdkafka's own properties.
pub(super) const PROPERTIES: &str = "kafka.properties.";
/// The section of verdicts in place of the table's.
pub(super) const VERDICTS: &str = "verdicts.";
/// What stands for the name of a target in `config/default.toml`.
pub(super) const NAME: &str = "NAME";
/// The ending of a key that names a secret's file.
pub(super) const FILE: &str = "_file";

/// The names that lead to a key, outermost first.
pub(super) fn segments(key: &str) -> Vec<&str> {
    if key.starts_with(PROPERTIES) {
        key.splitn(3, '.').collect()
    } else if key.starts_with(VERDICTS) {
        key.splitn(2, '.').collect()
    } else if key.starts_with("targets.") {
        key.splitn(4, '.').collect()
    } else {
        key.split('.').collect()
    }
}

/// The target's name and the rest of a key below `targets`.
pub(super) fn of_target(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("targets.")?.split_once('.')
}

fn header(key: &str) -> Option<&str> {
    of_target(key)?.1.strip_prefix("headers.")
}

/// Whether a name may be a target's.
pub(super) fn is_target_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// The keys that exist.
pub(super) struct Known(BTreeSet<String>);

impl Known {
    /// The keys of the built-in layer, where `NAME` stands for any target.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        if let Some(property) = key.strip_prefix(PROPERTIES) {
            return !property.is_empty();
        }
        if let Some(code) = key.strip_prefix(VERDICTS) {
            return !code.is_empty();
        }
        if let Some(header) = header(key) {
            return !header.is_empty();
        }
        match of_target(key) {
            Some((_, rest)) => self.0.contains(&format!("targets.{NAME}.{rest}")),
            None => self.0.contains(key),
        }
    }

    /// Whether it is a section, which holds keys and has no value.
    pub fn is_section(&self, key: &str) -> bool {
        let template = match key.strip_prefix("targets.") {
            Some(rest) => match rest.split_once('.') {
                Some((_, rest)) => format!("targets.{NAME}.{rest}."),
                None => return true,
            },
            None => format!("{key}."),
        };
        template == PROPERTIES
            || template == VERDICTS
            || template == format!("targets.{NAME}.headers.")
            || self.0.iter().any(|known| known.starts_with(&template))
    }

    /// The key that was probably meant: one that is spelled nearly so, or the only one with that last name.
    pub fn nearest(&self, key: &str) -> Option<String> {
        let name = of_target(key).map(|(name, _)| name).filter(|name| is_target_name(name));
        let candidates: Vec<String> = match name {
            Some(name) => self.0.iter().map(|known| known.replace(NAME, name)).collect(),
            None => self.0.iter().cloned().collect(),
        };
        let close = candidates
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, key), known))
            .min()
            .filter(|(distance, _)| *distance <= 3);
        if let Some((_, known)) = close {
            return Some(known.clone());
        }
        let last = key.rsplit('.').next()?;
        let mut same = candidates.iter().filter(|known| known.rsplit('.').next() == Some(last));
        match (same.next(), same.next()) {
            (Some(known), None) => Some(known.clone()),
            _ => None,
        }
    }
}

/// Whether the value of a key is a secret. Where librdkafka's names leave a doubt, it is.
pub(super) fn is_secret(key: &str) -> bool {
    if let Some(property) = key.strip_prefix(PROPERTIES) {
        return is_secret_property(property);
    }
    if let Some(header) = header(key) {
        return header.parse::<OwnHeader>().is_err() && !header.ends_with(FILE);
    }
    key == "database.url" || of_target(key).is_some_and(|(_, rest)| rest == "client_secret")
}

fn is_secret_property(property: &str) -> bool {
    const PUBLIC_ENDINGS: [&str; 4] = [".location", ".url", ".file", ".name"];
    const SIGNS: [&str; 7] = ["password", "secret", "key", "token", "pem", "oauthbearer.config", "assertion.claim"];
    !PUBLIC_ENDINGS.iter().any(|ending| property.ends_with(ending))
        && !property.ends_with(FILE)
        && SIGNS.iter().any(|sign| property.contains(sign))
}

/// The secret whose file a key names.
pub(super) fn secret_of_file(key: &str) -> Option<&str> {
    key.strip_suffix(FILE).filter(|secret| is_secret(secret))
}

/// A key in the form in which it is looked up, from the names in a file or flag.
pub(super) fn from_names(names: &[String]) -> String {
    let key = names.join(".");
    match header(&key) {
        Some(_) => key.to_ascii_lowercase(),
        None if key.starts_with(VERDICTS) => key.to_ascii_lowercase(),
        None => key,
    }
}

/// A key from the rest of an environment variable's name, `TARGETS__DEFAULT__CLIENT_ID`.
pub(super) fn from_variable(rest: &str) -> String {
    let key = rest.to_ascii_lowercase().replace("__", ".");
    if let Some(property) = key.strip_prefix(PROPERTIES) {
        let (base, suffix) = split_file(property);
        let base = base.replace('_', ".");
        return match suffix {
            FILE if !is_secret_property(&base) => format!("{PROPERTIES}{base}.file"),
            _ => format!("{PROPERTIES}{base}{suffix}"),
        };
    }
    if let Some(header) = header(&key) {
        let section = &key[..key.len() - header.len()];
        let (base, suffix) = split_file(header);
        return format!("{section}{}{suffix}", base.replace('_', "-"));
    }
    key
}

fn split_file(name: &str) -> (&str, &str) {
    match name.strip_suffix(FILE) {
        Some(base) if !base.is_empty() => (base, FILE),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_keys() {
        for (variable, key) in [
            ("KAFKA__GROUP_ID", "kafka.group_id"),
            ("Kafka__Topics__Dead_Letters", "kafka.topics.dead_letters"),
            ("KAFKA__PROPERTIES__SASL_USERNAME", "kafka.properties.sasl.username"),
            ("KAFKA__PROPERTIES__SASL_PASSWORD_FILE", "kafka.properties.sasl.password_file"),
            ("KAFKA__PROPERTIES__SASL_OAUTHBEARER_ASSERTION_FILE", "kafka.properties.sasl.oauthbearer.assertion.file"),
            ("TARGETS__EU1__CLIENT_SECRET_FILE", "targets.eu1.client_secret_file"),
            ("TARGETS__EU1__HEADERS__X_API_ACCESS_KEY", "targets.eu1.headers.x-api-access-key"),
            ("TARGETS__EU1__HEADERS__X_API_ACCESS_KEY_FILE", "targets.eu1.headers.x-api-access-key_file"),
        ] {
            assert_eq!(from_variable(variable), key);
        }
    }

    #[test]
    fn secrets_are_known_by_their_keys() {
        for key in [
            "database.url",
            "targets.default.client_secret",
            "targets.default.headers.x-api-access-key",
            "kafka.properties.sasl.password",
            "kafka.properties.ssl.key.pem",
            "kafka.properties.sasl.oauthbearer.client.secret",
            "kafka.properties.sasl.oauthbearer.config",
        ] {
            assert!(is_secret(key), "{key}");
            let file = format!("{key}_file");
            assert!(!is_secret(&file), "{file}");
            assert_eq!(secret_of_file(&file), Some(key));
        }
        for key in [
            "database.url_file",
            "targets.default.client_id",
            "targets.default.headers.x-api-target-id",
            "kafka.properties.sasl.username",
            "kafka.properties.ssl.key.location",
            "kafka.properties.sasl.oauthbearer.token.endpoint.url",
        ] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn the_key_that_was_meant_is_found() {
        let known =
            Known::new(["kafka.brokers", "dispatch.max_in_flight", "targets.NAME.client_id", "retry.max"].map(String::from));
        assert_eq!(known.nearest("kafka.broker").as_deref(), Some("kafka.brokers"));
        assert_eq!(known.nearest("max_in_flight").as_deref(), Some("dispatch.max_in_flight"));
        assert_eq!(known.nearest("targets.eu.clientid").as_deref(), Some("targets.eu.client_id"));
        assert_eq!(known.nearest("something.else"), None);
        assert!(known.has("targets.eu.client_id") && !known.has("targets.eu.clientid"));
        assert!(known.is_section("targets.eu") && known.is_section("kafka") && !known.is_section("kafk"));
    }
}

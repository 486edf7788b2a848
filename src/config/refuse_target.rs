//! What stops the start in the settings of one target: where it is, who we are there, names and headers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::refuse::{Checks, Purpose};
use super::target::{OwnHeader, Target};

impl Checks<'_> {
    pub(super) fn target(&mut self, name: &str, target: &Target) {
        let key = |rest: &str| format!("targets.{name}.{rest}");
        for (rest, url) in [("endpoint", &target.endpoint), ("token_endpoint", &target.token_endpoint)] {
            if let Err(what) = endpoint(url) {
                self.refuse(key(rest), what);
            }
        }
        for (rest, alias_type) in target.alias_types.all() {
            if let Err(what) = alias_type_is_legal(alias_type) {
                self.refuse(key(&format!("alias_types.{rest}")), what);
            }
        }
        for (rest, text) in [("target_id", &target.target_id), ("api_version", &target.api_version)] {
            if HeaderValue::from_str(text).is_err() {
                self.refuse(key(rest), "has characters that a header cannot carry");
            }
        }
        if target.api_version.is_empty() {
            self.refuse(key("api_version"), "is empty");
        }
        if self.purpose == Purpose::Run {
            self.credentials(&key, target);
            self.headers(&key, target);
        }
    }

    fn credentials(&mut self, key: &dyn Fn(&str) -> String, target: &Target) {
        for (rest, text) in [("target_id", &target.target_id), ("client_id", &target.client_id)] {
            if text.is_empty() {
                self.refuse(key(rest), "is not set; it is in the credentials file of the Buy with Prime console");
            }
        }
        if target.client_secret.is_unset() {
            self.refuse(
                key("client_secret"),
                "is not set, nor is client_secret_file; it is in the credentials file of the Buy with Prime console",
            );
        } else {
            self.secret(&key("client_secret"), &target.client_secret);
        }
    }

    fn headers(&mut self, key: &dyn Fn(&str) -> String, target: &Target) {
        const OURS_ALONE: [&str; 6] =
            ["content-type", "content-length", "host", "connection", "transfer-encoding", "accept-encoding"];
        let mut sent: BTreeSet<String> = BTreeSet::from(["authorization", "x-api-target-id", "x-api-version"].map(String::from));
        for (name, value) in target.headers.all() {
            let key = key(&format!("headers.{name}"));
            let Some(value) = self.secret(&key, value) else {
                continue;
            };
            let value = value.expose_secret();
            let own = name.parse::<OwnHeader>();
            let as_sent = if own.is_ok() { value.to_ascii_lowercase() } else { name.to_owned() };
            if own.is_ok() {
                sent.remove(name);
            }
            if HeaderName::from_bytes(as_sent.as_bytes()).is_err() {
                let whose = if own.is_ok() { "is another name for one of the program's own headers, but not" } else { "is not" };
                self.refuse(key, format!("{whose} a header's name"));
            } else if OURS_ALONE.contains(&as_sent.as_str()) {
                self.refuse(key, format!("cannot be set: {as_sent} is the program's own"));
            } else if !sent.insert(as_sent.clone()) {
                self.refuse(key, format!("makes two headers of the name {as_sent}"));
            } else if HeaderValue::from_str(value).is_err() {
                self.refuse(key, "has characters that a header cannot carry");
            }
        }
    }
}

/// Whether an address may be sent credentials: https, or plain http that never leaves the machine.
fn endpoint(text: &str) -> Result<(), String> {
    let url = reqwest::Url::parse(text)
        .map_err(|error| format!("is not an address such as https://api.example.com/graphql: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password, which has no place in it".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let loopback =
        host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        // The rest of the address may hold what nobody should see.
        "http" => Err(format!(
            "begins with http://{host}; write https: credentials and orders go there, and plain http is allowed on loopback only"
        )),
        other => Err(format!("begins with {other}://; {other} is not https")),
    }
}

/// The contract's rule for ids and alias types.
fn alias_type_is_legal(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if !(1..=256).contains(&length) {
        return Err(format!("has {length} characters; an alias type has 1 to 256"));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(format!("is {text:?}; an alias type has no control characters and no space at either end"));
    }
    Ok(())
}

//! A target as the dispatcher uses it: its client, its rules, its gate.

use super::gate::{Gate, GateRules};
use super::lock;
use super::schedule::Schedule;
use super::verdict::{Overrides, Verdict};
use crate::config::{self, Overruling, OwnHeader, Settings};
use crate::plan::Rules;
use crate::prime::client::{Client, TargetEndpoint};
use crate::prime::token::TokenCaches;
use crate::prime::{Credentials, http};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One target of Buy with Prime.
#[derive(Debug)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// How it is called.
    pub client: Client,
    /// What planning for it follows. What the ledger says of the target is to be in it before the first lane is planned: time that was
    /// stored with more of `open_for` would seem to have passed.
    rules: Mutex<Arc<Rules>>,
    /// How its retries are spaced.
    pub schedule: Schedule,
    /// Whether it may be called.
    pub gate: Mutex<Gate>,
    /// Whether more of its orders may be due than the last claim took.
    pub is_behind: AtomicBool,
}

impl Target {
    /// What planning for it follows now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&lock(&self.rules))
    }

    /// For how long its breaker has been open, or an operator has stopped it, so far, over all replicas, as the ledger last said.
    pub fn was_open_for(&self, open_for: TimeDelta) {
        let mut rules = lock(&self.rules);
        if rules.open_for != open_for {
            Arc::make_mut(&mut rules).open_for = open_for;
        }
    }

    /// What is known of Buy with Prime from before this moment is doubted where things are read first.
    pub fn doubt(&self, before: Option<DateTime<Utc>>) {
        Arc::make_mut(&mut lock(&self.rules)).doubted_at = before;
    }
}

/// Makes the targets of a configuration. Targets with the same token endpoint and client id share their token.
///
/// # Errors
/// A sentence, where an address, a header or the system's certificates cannot be used.
pub fn targets(settings: &Settings) -> Result<BTreeMap<String, Arc<Target>>, String> {
    let http = http().map_err(|error| format!("no HTTPS client can be made: {error}"))?;
    let mut tokens = TokenCaches::new(http.clone());
    let mut targets = BTreeMap::new();
    for (name, configured) in &settings.targets {
        let bad = |what: &str, error: &dyn std::fmt::Display| format!("targets.{name}.{what} cannot be used: {error}");
        let secret = configured.client_secret.clone();
        let credentials = Credentials {
            token_endpoint: configured.token_endpoint.to_string().parse().map_err(|error| bad("token_endpoint", &error))?,
            client_id: configured.client_id.clone(),
            secret: Arc::new(move || secret.current()),
        };
        let endpoint = TargetEndpoint {
            endpoint: configured.endpoint.to_string().parse().map_err(|error| bad("endpoint", &error))?,
            token: tokens.shared(credentials),
            target_id: configured.target_id.clone(),
            api_version: configured.api_version.clone(),
            headers: headers(configured),
        };
        let client = Client::new(http.clone(), endpoint).map_err(|error| bad("headers", &error))?;
        let target = Target {
            name: name.clone(),
            client,
            rules: Mutex::new(Arc::new(rules(settings, configured))),
            schedule: Schedule { initial: settings.retry.initial, max: settings.retry.max },
            gate: Mutex::new(Gate::new(gate_rules(settings), Instant::now())),
            is_behind: AtomicBool::new(true),
        };
        targets.insert(name.clone(), Arc::new(target));
    }
    Ok(targets)
}

/// Our own headers under other names, and extra ones.
fn headers(configured: &config::Target) -> BTreeMap<String, SecretString> {
    let own = [
        (OwnHeader::Authorization, "authorization", "{token}"),
        (OwnHeader::TargetId, "x-api-target-id", "{target_id}"),
        (OwnHeader::Version, "x-api-version", "{api_version}"),
    ];
    let renamed = own.into_iter().filter_map(|(header, ours, value)| {
        let name = configured.headers.name_of(header);
        (!name.eq_ignore_ascii_case(ours)).then(|| (name, SecretString::from(value)))
    });
    let extra = configured
        .headers
        .extra()
        .map(|(name, value)| (name.to_owned(), SecretString::from(value.current().expose_secret().to_owned())));
    renamed.chain(extra).collect()
}

fn gate_rules(settings: &Settings) -> GateRules {
    GateRules {
        failures: settings.breaker.failures,
        probe_interval: settings.breaker.probe_interval,
        rate: settings.rate.limit(),
        burst: settings.rate.burst,
        max_in_flight: settings.dispatch.max_in_flight,
    }
}

/// The verdicts that the configuration sets in place of the table's.
pub fn overrides(settings: &Settings) -> Overrides {
    settings.verdicts.iter().map(|(code, word)| (code.clone(), overruling(*word))).collect()
}

fn overruling(word: Overruling) -> Verdict {
    match word {
        Overruling::Unknown => Verdict::Unknown,
        Overruling::Credentials => Verdict::Credentials,
        Overruling::Throttled => Verdict::Throttled,
        Overruling::OrderUnknown => Verdict::OrderUnknown,
        Overruling::NotYet => Verdict::NotYet,
        Overruling::Retry => Verdict::Retry,
        Overruling::AlreadyExists => Verdict::AlreadyExists,
        Overruling::CheckState => Verdict::CheckState,
        Overruling::Refused => Verdict::Refused,
    }
}

/// What planning for a target follows.
pub fn rules(settings: &Settings, target: &config::Target) -> Rules {
    Rules {
        environment: target.environment,
        alias_types: (&target.alias_types).into(),
        coalesce: settings.dispatch.coalesce,
        read_first: settings.dispatch.read_first,
        doubted_at: None,
        read_interval: delta(settings.waiting.read_interval),
        give_up_after: delta(settings.waiting.give_up_after),
        sandbox_interval: delta(settings.waiting.sandbox_interval),
        request_timeout: delta(settings.dispatch.request_timeout),
        retry_budget: delta(settings.retry.budget),
        blind: false,
        open_for: TimeDelta::zero(),
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(36_500))
}

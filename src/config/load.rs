//! Puts the layers on each other: built-in < file < environment < flags. It owns the merging and the typing; what values
//! mean together is `refuse`'s matter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use config::{ConfigError, Value, ValueKind};
use serde::Deserialize;

use super::keys::{self, Known};
use super::layers::{Layer, Origin, Refusal, Sources, Written, from_environment, from_file, from_flag, parse};
use super::refuse::{self, Purpose};
use super::{DEFAULT_TARGET, DEFAULTS, Settings, Target};

/// Everything that stops the start, one sentence a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<Refusal>);

/// Settings that may be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
    /// Every value as written, with its source; `print` shows it.
    pub(super) values: Values,
}

impl Loaded {
    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.origin(key)
    }
}

impl Settings {
    /// Puts the layers together and refuses what cannot work for the given purpose.
    pub fn load(sources: &Sources, purpose: Purpose) -> Result<Loaded, ConfigErrors> {
        let mut values = Values::merge(sources)?;
        let settings = values.typed()?;
        let warnings = refuse::check(&settings, &values, purpose).map_err(ConfigErrors)?;
        Ok(Loaded { settings, warnings, values })
    }

    /// A target of which nothing is configured: what `map` takes for any name.
    pub fn built_in_target() -> Result<Target, ConfigErrors> {
        let flags = vec![format!("targets.{DEFAULT_TARGET}.target_id=")];
        let sources = Sources { flags, ..Sources::default() };
        let mut targets = Self::load(&sources, Purpose::Map)?.settings.targets;
        targets.remove(DEFAULT_TARGET).ok_or(ConfigErrors(Vec::new()))
    }
}

/// All values, merged, by key.
#[derive(Clone, Default)]
pub(super) struct Values {
    merged: BTreeMap<String, Written>,
    defaults: BTreeMap<String, Written>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.merged.keys()).finish()
    }
}

impl Values {
    fn merge(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut refusals = Vec::new();
        let mut built_in = parse(DEFAULTS, Origin::Default).map_err(|refusal| ConfigErrors(vec![refusal]))?;
        built_in.retain(|(_, written)| !written.is_table());
        let known = Known::new(built_in.iter().map(|(key, _)| key.clone()));

        let mut above = Layer::new();
        if let Some(path) = &sources.file {
            match from_file(path) {
                Ok(layer) => above.extend(layer),
                Err(refusal) => refusals.push(refusal),
            }
        }
        above.extend(from_environment(&sources.environment));
        for flag in &sources.flags {
            match from_flag(flag) {
                Ok(entry) => above.push(entry),
                Err(refusal) => refusals.push(refusal),
            }
        }
        refusals.extend(above.iter().filter_map(|(key, written)| unknown(&known, key, written)));
        if !refusals.is_empty() {
            return Err(ConfigErrors(refusals));
        }

        let targets: BTreeSet<&str> = above
            .iter()
            .filter_map(|(key, _)| keys::segments(key).get(1).copied().filter(|_| key.starts_with("targets.")))
            .collect();
        let mut defaults = BTreeMap::new();
        for (key, written) in &built_in {
            match keys::of_target(key) {
                Some((_, rest)) => {
                    defaults.extend(targets.iter().map(|name| (format!("targets.{name}.{rest}"), written.clone())))
                }
                None => drop(defaults.insert(key.clone(), written.clone())),
            }
        }
        let mut merged = defaults.clone();
        merged.extend(above.into_iter().filter(|(_, written)| !written.is_table()));
        Ok(Self { merged, defaults })
    }

    /// Every key with its value, in order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Written)> {
        self.merged.iter().map(|(key, written)| (key.as_str(), written))
    }

    /// The source of a key's value.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.merged.get(key).map(|written| &written.origin)
    }

    /// A key's value as text; empty where there is none.
    pub fn text(&self, key: &str) -> String {
        self.merged
            .get(key)
            .map(|written| Value::new(None, written.kind.clone()).into_string().unwrap_or_default())
            .unwrap_or_default()
    }

    /// A sentence about a key.
    pub fn refusal(&self, key: impl Into<String>, what: impl Into<String>) -> Refusal {
        let key = key.into();
        let origin = self.origin(&key).cloned();
        Refusal { key, what: what.into(), origin }
    }

    /// The typed settings, or every value whose type is wrong: each such one is set aside for its default to find the next.
    fn typed(&mut self) -> Result<Settings, ConfigErrors> {
        let mut refusals = Vec::new();
        let mut trial = self.clone();
        loop {
            let (key, what) = match Settings::deserialize(trial.tree()) {
                Ok(settings) if refusals.is_empty() => return Ok(settings),
                Ok(_) => return Err(ConfigErrors(refusals)),
                Err(error) => explain(error),
            };
            let refusal = self.refusal(key.clone(), what);
            let settable = refusal.origin.as_ref().is_some_and(|origin| *origin != Origin::Default);
            let new = settable && !refusals.iter().any(|other: &Refusal| other.key == key);
            refusals.push(refusal);
            if !new {
                return Err(ConfigErrors(refusals));
            }
            match trial.defaults.get(&key) {
                Some(default) => drop(trial.merged.insert(key, default.clone())),
                None => drop(trial.merged.remove(&key)),
            }
        }
    }

    /// The merged values as the tree that serde reads; a secret and its file become one.
    fn tree(&self) -> Value {
        let mut root = config::Map::new();
        for (key, written) in &self.merged {
            if keys::secret_of_file(key).is_none() {
                insert(&mut root, &keys::segments(key), Value::new(None, written.kind.clone()));
            }
        }
        for (key, written) in &self.merged {
            if let Some(secret) = keys::secret_of_file(key).filter(|_| !self.text(key).is_empty()) {
                let file = config::Map::from([("file".to_owned(), Value::new(None, written.kind.clone()))]);
                insert(&mut root, &keys::segments(secret), Value::new(None, ValueKind::Table(file)));
            }
        }
        Value::new(None, ValueKind::Table(root))
    }
}

fn insert(table: &mut config::Map<String, Value>, names: &[&str], value: Value) {
    match names {
        [] => {}
        [last] => drop(table.insert((*last).to_owned(), value)),
        [first, rest @ ..] => {
            let inner =
                table.entry((*first).to_owned()).or_insert_with(|| Value::new(None, ValueKind::Table(config::Map::new())));
            if let ValueKind::Table(inner) = &mut inner.kind {
                insert(inner, rest, value);
            }
        }
    }
}

fn unknown(known: &Known, key: &str, written: &Written) -> Option<Refusal> {
    let refuse = |what: String| Some(Refusal { key: key.to_owned(), what, origin: Some(written.origin.clone()) });
    if let Some(name) = key.strip_prefix("targets.").and_then(|rest| rest.split('.').next())
        && !keys::is_target_name(name)
    {
        return match name {
            keys::NAME => refuse("names no target; write the target's own name in place of NAME".to_owned()),
            _ => refuse(format!("names a target {name:?}; a name is small letters and digits, beginning with a letter")),
        };
    }
    let empty_table = written.is_table();
    match () {
        () if known.is_section(key) && empty_table => None,
        () if known.is_section(key) => refuse("is a section, not a value; write its keys".to_owned()),
        () if !known.has(key) => refuse(match known.nearest(key) {
            Some(meant) => format!("is not a known key; did you mean {meant}?"),
            None => "is not a known key; `config/default.toml` is the list of them".to_owned(),
        }),
        () if empty_table => refuse("is a value, not a section".to_owned()),
        () if matches!(written.kind, ValueKind::Array(_)) => refuse("is a list; it must be one value".to_owned()),
        () => None,
    }
}

/// The key of an error, and the end of the sentence about it.
fn explain(error: ConfigError) -> (String, String) {
    match error {
        ConfigError::At { error, key, .. } => (key.unwrap_or_default(), error.to_string()),
        ConfigError::Type { unexpected, expected, key, .. } => {
            (key.unwrap_or_default(), format!("is a {unexpected}; it must be {expected}"))
        }
        ConfigError::NotFound(key) => (key, "is missing".to_owned()),
        other => ("the configuration".to_owned(), other.to_string()),
    }
}

//! Single layers: the keys and values of the file, of the environment and of the flags, each with its source.

use std::fmt;
use std::path::{Path, PathBuf};

use config::{FileFormat, Source, Value, ValueKind};

use super::keys;

/// What every environment variable of ours begins with.
const PREFIX: &str = "BWP_SYNC__";

/// What lies above the built-in layer.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<PathBuf>,
    /// The environment; variables of others are passed over.
    pub environment: Vec<(String, String)>,
    /// `section.key=value`, as given to `--set`.
    pub flags: Vec<String>,
}

impl Sources {
    /// With the environment of this process.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<String>) -> Self {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Self { file, environment, flags }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `config/default.toml`.
    Default,
    /// The file of `--config`.
    File(PathBuf),
    /// An environment variable, by its name.
    Environment(String),
    /// `--set`.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("flag --set"),
        }
    }
}

/// One thing that stops the start: a sentence that begins with the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The key, or the source where there is none.
    pub key: String,
    /// What is wrong and the way out.
    pub what: String,
    /// Where the value comes from, where there is one.
    pub origin: Option<Origin>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.what)?;
        match &self.origin {
            Some(origin) if *origin != Origin::Default => write!(f, " ({origin})"),
            _ => Ok(()),
        }
    }
}

/// One value as written. It has no `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Written {
    pub kind: ValueKind,
    pub origin: Origin,
}

impl Written {
    pub fn is_table(&self) -> bool {
        matches!(self.kind, ValueKind::Table(_))
    }
}

/// One layer: keys and values, in any order.
pub(super) type Layer = Vec<(String, Written)>;

pub(super) fn from_file(path: &Path) -> Result<Layer, Refusal> {
    let origin = Origin::File(path.to_owned());
    let text = std::fs::read_to_string(path).map_err(|error| Refusal {
        key: format!("--config {}", path.display()),
        what: format!("cannot be read: {error}"),
        origin: None,
    })?;
    parse(&text, origin)
}

pub(super) fn parse(text: &str, origin: Origin) -> Result<Layer, Refusal> {
    let table = config::File::from_str(text, FileFormat::Toml).collect().map_err(|error| Refusal {
        key: origin.to_string(),
        what: format!("is not TOML: {}", without_excerpt(&error.to_string())),
        origin: None,
    })?;
    let mut layer = Layer::new();
    flatten(&mut Vec::new(), table, &origin, &mut layer);
    Ok(layer)
}

/// A parse error without the line that it quotes: that line may hold a secret.
fn without_excerpt(error: &str) -> String {
    let quoted = |line: &&str| line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|');
    error.lines().filter(|line| !quoted(line) && !line.trim().is_empty()).collect::<Vec<_>>().join(": ")
}

fn flatten(names: &mut Vec<String>, table: config::Map<String, Value>, origin: &Origin, layer: &mut Layer) {
    for (name, value) in table {
        names.push(name);
        match value.kind {
            ValueKind::Table(inner) if !inner.is_empty() => flatten(names, inner, origin, layer),
            kind => layer.push((keys::from_names(names), Written { kind, origin: origin.clone() })),
        }
        names.pop();
    }
}

pub(super) fn from_environment(environment: &[(String, String)]) -> Layer {
    let mut variables: Vec<_> = environment
        .iter()
        .filter(|(name, _)| name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)))
        .collect();
    variables.sort();
    variables
        .into_iter()
        .map(|(name, value)| {
            let written = Written { kind: value.as_str().into(), origin: Origin::Environment(name.clone()) };
            (keys::from_variable(&name[PREFIX.len()..]), written)
        })
        .collect()
}

pub(super) fn from_flag(flag: &str) -> Result<(String, Written), Refusal> {
    // What follows the key is not repeated: it may be a secret behind a wrong sign.
    let key_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let (key, value) = flag.split_once('=').ok_or_else(|| Refusal {
        key: format!("--set {}", flag.split(|c| !key_part(c)).next().unwrap_or_default()),
        what: "has no value; write --set section.key=value".to_owned(),
        origin: None,
    })?;
    let names: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    Ok((keys::from_names(&names), Written { kind: value.into(), origin: Origin::Flag }))
}

//! A secret and where it comes from. It owns that no secret can be printed by accident, and that one in a file is read
//! again when it is needed. It does not decide which keys are secret (`keys`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// A secret value, given as it is or as a file. Clones share what was read last.
#[derive(Clone)]
pub struct Secret(Source);

#[derive(Clone)]
enum Source {
    Value(SecretString),
    File { path: PathBuf, last: Arc<Mutex<SecretString>> },
}

impl Secret {
    /// A secret that is given as it is.
    pub fn from_value(value: impl Into<SecretString>) -> Self {
        Self(Source::Value(value.into()))
    }

    /// A secret in a file, not read yet: see [`Secret::reload`].
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File { path: path.into(), last: Arc::default() })
    }

    /// The file that holds it, where one does.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Source::Value(_) => None,
            Source::File { path, .. } => Some(path),
        }
    }

    /// The secret as it is now. One in a file is read afresh, which costs some microseconds and misses no change; where
    /// that fails the last good value stands, with a warning.
    pub fn current(&self) -> SecretString {
        match self.reload() {
            Ok(secret) => secret,
            Err(error) => {
                tracing::warn!(%error, "a secret could not be read again; the last one is used");
                self.last()
            }
        }
    }

    /// Reads the secret and remembers it; an error says what is wrong with the file.
    pub fn reload(&self) -> Result<SecretString, SecretError> {
        match &self.0 {
            Source::Value(value) => Ok(value.clone()),
            Source::File { path, last } => {
                let secret = read(path)?;
                *last.lock().unwrap_or_else(PoisonError::into_inner) = secret.clone();
                Ok(secret)
            }
        }
    }

    /// Whether nothing is set: an empty value. A file is never unset.
    pub fn is_unset(&self) -> bool {
        matches!(&self.0, Source::Value(value) if value.expose_secret().is_empty())
    }

    fn last(&self) -> SecretString {
        match &self.0 {
            Source::Value(value) => value.clone(),
            Source::File { last, .. } => last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn read(path: &Path) -> Result<SecretString, SecretError> {
    let text = std::fs::read_to_string(path).map_err(|error| SecretError::Unreadable { path: path.to_owned(), error })?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.trim().is_empty() {
        return Err(SecretError::Empty { path: path.to_owned() });
    }
    Ok(SecretString::from(secret))
}

/// Why a secret could not be read from its file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// There is nothing in the file.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) if self.is_unset() => f.write_str("Secret(unset)"),
            Source::Value(_) => f.write_str("Secret(***)"),
            Source::File { path, .. } => write!(f, "Secret(*** from {})", path.display()),
        }
    }
}

/// The loader hands a secret over as text, or as `{ file = "..." }` once it has decided between the two keys.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;

        impl<'de> serde::de::Visitor<'de> for SecretVisitor {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E>(self, value: &str) -> Result<Secret, E> {
                Ok(Secret::from_value(value))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Secret, E> {
                Ok(Secret::from_value(value.to_string()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Secret, E> {
                Ok(Secret::from_value(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Secret, E> {
                Ok(Secret::from_value(value.to_string()))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                match map.next_entry::<String, PathBuf>()? {
                    Some((_, path)) => Ok(Secret::from_file(path)),
                    None => Ok(Secret::from_value("")),
                }
            }
        }

        deserializer.deserialize_any(SecretVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("bwp-sync-secret-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_file_is_read_again_and_its_last_good_value_stands() {
        let path = scratch("rotated");
        std::fs::write(&path, "first\n").unwrap();
        let secret = Secret::from_file(&path);
        let clone = secret.clone();
        assert_eq!(secret.current().expose_secret(), "first");
        std::fs::write(&path, "other\r\n").unwrap();
        assert_eq!(secret.current().expose_secret(), "other");
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(secret.reload(), Err(SecretError::Empty { .. })));
        assert_eq!(secret.current().expose_secret(), "other");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(secret.reload(), Err(SecretError::Unreadable { .. })));
        assert_eq!(clone.current().expose_secret(), "other");
    }

    #[test]
    fn debug_tells_nothing() {
        let text = format!("{:?} {:?}", Secret::from_value("hunter2"), Secret::from_value(""));
        assert_eq!(text, "Secret(***) Secret(unset)");
    }
}

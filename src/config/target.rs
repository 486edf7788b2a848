//! One Buy with Prime account: where it is, who we are there, how things are named and which headers are sent.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Secret;
use super::values::{text, words};

words! {
    /// What stands behind a target's endpoint.
    Environment {
        /// Real orders. Packages are never told of: `updateOrderPackageInformation` is not for it.
        Production = "production",
        /// Test orders, whose packages are moved on by us.
        Sandbox = "sandbox",
    }
}

/// One Buy with Prime account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The GraphQL endpoint.
    #[serde(deserialize_with = "text")]
    pub endpoint: String,
    /// The token endpoint.
    #[serde(deserialize_with = "text")]
    pub token_endpoint: String,
    /// The business product id.
    #[serde(deserialize_with = "text")]
    pub target_id: String,
    /// The client id.
    #[serde(deserialize_with = "text")]
    pub client_id: String,
    /// The client secret.
    pub client_secret: Secret,
    /// The version of the API.
    #[serde(deserialize_with = "text")]
    pub api_version: String,
    /// Production or sandbox.
    pub environment: Environment,
    /// The types of the OMS's own ids.
    pub alias_types: AliasTypes,
    /// Extra headers and other names.
    #[serde(default)]
    pub headers: Headers,
}

/// The alias type of the OMS's own ids, by kind of thing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasTypes {
    /// Of orders.
    #[serde(deserialize_with = "text")]
    pub order: String,
    /// Of line items.
    #[serde(deserialize_with = "text")]
    pub line_item: String,
    /// Of returns.
    #[serde(rename = "return", deserialize_with = "text")]
    pub return_: String,
    /// Of refunds.
    #[serde(deserialize_with = "text")]
    pub refund: String,
    /// Of packages.
    #[serde(deserialize_with = "text")]
    pub package: String,
}

impl AliasTypes {
    /// Every key with its type.
    pub fn all(&self) -> [(&'static str, &str); 5] {
        [
            ("order", &self.order),
            ("line_item", &self.line_item),
            ("return", &self.return_),
            ("refund", &self.refund),
            ("package", &self.package),
        ]
    }
}

words! {
    /// A request header of our own that may be sent under another name.
    OwnHeader {
        /// The bearer token.
        Authorization = "authorization",
        /// The business product id.
        TargetId = "x-api-target-id",
        /// The version of the API.
        Version = "x-api-version",
    }
}

/// What `targets.NAME.headers` says. The names are in small letters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, Secret>);

impl Headers {
    /// The name under which a header of our own is sent.
    pub fn name_of(&self, own: OwnHeader) -> String {
        use secrecy::ExposeSecret;
        match self.0.get(own.as_str()) {
            Some(other) => other.current().expose_secret().to_ascii_lowercase(),
            None => own.as_str().to_owned(),
        }
    }

    /// The headers that are sent beside ours.
    pub fn extra(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.all().filter(|(name, _)| name.parse::<OwnHeader>().is_err())
    }

    /// Everything as configured.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

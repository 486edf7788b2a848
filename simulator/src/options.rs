//! How a simulator behaves: everything that a test or the command line may choose. Holds values only; no I/O.

use std::net::SocketAddr;
use std::time::Duration;

/// Which of Amazon's environments is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// `updateOrderPackageInformation` exists.
    Sandbox,
    /// `updateOrderPackageInformation` is not in the schema.
    Production,
}

/// The shape of one entry of `errors`; both are attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// `extensions.classification {type, errorCode, code}`: the API of today.
    Classification,
    /// `errorType` and `errorInfo` beside `message`: the gateway of 2023.
    Gateway,
}

/// What `data` is beside an error of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorData {
    /// `{"updateOrder": null}`
    NullField,
    /// `null`
    Null,
}

/// Orders that come into being when they are first named.
#[derive(Clone, Debug)]
pub struct AutoOrders {
    /// Line items per order; their aliases are `L-1`, `L-2` ...
    pub lines: usize,
    /// Quantity of each line.
    pub quantity: u64,
    /// Alias type of the lines.
    pub line_alias_type: String,
}

impl Default for AutoOrders {
    fn default() -> Self {
        Self { lines: 3, quantity: 10, line_alias_type: "EXTERNAL_ITEM_ID".to_owned() }
    }
}

/// Everything that can be chosen about a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Sandbox or production.
    pub environment: Environment,
    /// The one accepted client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The one accepted target id.
    pub target_id: String,
    /// Lifetime of a token.
    pub token_lifetime: Duration,
    /// What each token begins with, so that a test can look for tokens where none should be.
    pub token_prefix: String,
    /// Token requests of a client allowed within `token_window`.
    pub token_limit: usize,
    /// See `token_limit`.
    pub token_window: Duration,
    /// How long `updateOrderPackageInformation` takes to show; zero applies it before the answer.
    pub settle: Duration,
    /// How long after `IN_TRANSIT` a tracker can be updated.
    pub tracker_delay: Duration,
    /// Tracker updates allowed per package.
    pub tracker_limit: u32,
    /// Added to every GraphQL answer.
    pub latency: Duration,
    /// Unknown orders come into being when named.
    pub auto_orders: Option<AutoOrders>,
    /// Whether the errors of the fault script quote the payers that were sent, as careless software does.
    pub quotes_payers: bool,
    /// Shape of `errors`.
    pub error_shape: ErrorShape,
    /// `data` beside an error.
    pub error_data: ErrorData,
    /// How long a request may go without an answer before its connection is reset.
    pub gateway_limit: Duration,
    /// How long after an HTTP 429 with `Retry-After` other requests to the target may still arrive.
    pub retry_after_grace: Duration,
    /// Requests kept for `/admin/requests`.
    pub request_log: usize,
    /// Quick enough to measure its clients: values are not checked against the SDL, no request is kept, arrivals are.
    pub fast: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: Environment::Sandbox,
            client_id: "client".to_owned(),
            client_secret: "secret".to_owned(),
            target_id: "bp-simulated".to_owned(),
            token_lifetime: Duration::from_secs(900),
            token_prefix: String::new(),
            token_limit: 20,
            token_window: Duration::from_secs(10),
            settle: Duration::from_millis(200),
            tracker_delay: Duration::ZERO,
            tracker_limit: 100,
            latency: Duration::ZERO,
            auto_orders: None,
            quotes_payers: false,
            error_shape: ErrorShape::Classification,
            error_data: ErrorData::NullField,
            gateway_limit: Duration::from_secs(600),
            retry_after_grace: Duration::from_secs(1),
            request_log: 500,
            fast: false,
        }
    }
}

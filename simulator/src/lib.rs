//! A stand-in for the Buy with Prime (BwP) API, version 2024-11-01: library and program.
//!
//! It plays the part of the API that bwp-sync speaks to, so that the daemon can be tested and measured without Amazon: the
//! token endpoint, the `order` query, `updateOrder` and, as a sandbox, `updateOrderPackageInformation`. Documents are parsed,
//! validated and executed on the pinned SDL (`schemas/bwp-2024-11-01.graphql`); there is no second schema in Rust.
//!
//! # Semantics
//!
//! Written from Amazon's public pages; where these are silent the stricter reading is taken, or the one named here.
//!
//! * **Token**: `POST /token`, client credentials as a form; 900 s; asking too often is answered 429.
//! * **Transport**: `POST /graphql` needs `Authorization`, `x-api-target-id` (or its older name `X-Omni-TargetId`),
//!   `x-api-version: 2024-11-01` and a JSON content type (401, 403, 400, 415 otherwise). Refusals of the API itself are
//!   HTTP 200 with `errors[].extensions.classification {type, errorCode, code}`, or the older gateway shape by option.
//! * **A mutation is applied whole or not at all.** An unlisted code of ours, such as `InvalidReturnId`, is a guess where the
//!   pages show none.
//! * **Order**: found by id or alias, exactly one of them. Aliases are appended, at most 5, unique in the store; an alias that
//!   the order has already changes nothing. `STARTED` does not go back. Discounts are set once. Links are appended.
//!   Payments of orders and lines are kept by id.
//! * **Returns**: an entry without `returnIdentifier` creates, with it an external return is updated; at most 2 aliases,
//!   replaced whole; `CANCELLED` and `COMPLETED` are final. `returnLineItems` of an update change nothing.
//! * **Refunds**: upsert by id (BwP's, or the value of an alias), else by any alias; aliases merge by type; Amazon's transition
//!   table, with `REJECTED` after `PENDING`, `FAILURE` and itself; the total is cumulative and never falls; payments are
//!   increments and pile up, so a payment that is sent twice is there twice.
//! * **Packages** (sandbox): the answer shows the order as it is, the update shows after [`Options::settle`]; until then
//!   another one is answered `ConflictException`. Parts of a pending package get ids of their own and no aliases; what remains
//!   keeps the old id, and nothing remaining ends it. A package has no tracker until the first tracker update names one, or
//!   the seed does; later updates must name the same one.
//!
//! # Faults and judge
//!
//! A [`Script`] says which requests are answered otherwise: late, throttled, with a 5xx, a page, errors, null data, a reset,
//! never; and whether the mutation takes effect meanwhile. The [`Judge`] counts what must never happen (see [`Wrong`]).
//!
//! # Admin
//!
//! `GET|DELETE /admin/judge` · `GET|PUT|DELETE /admin/faults` · `POST /admin/orders` (a seed or an array of them) · `GET
//! /admin/orders` (how many) · `GET /admin/orders/{id or alias}?type=` (its state, money as it was sent) · `GET
//! /admin/requests` (the latest, without headers) · `DELETE /admin/tokens` (expires them all). It asks for no token, so the
//! simulator belongs on a loopback address.
//!
//! # Fast
//!
//! With [`Options::fast`] it is quick enough to measure its clients: documents are checked once and values not at all (the types that
//! it acts on must still fit), requests are not remembered, and `DELETE /admin/arrivals` tells when each mutation came, and forgets
//! them. State, faults and judge are the same.
//!
//! # Modules
//!
//! `server` (connections, routes) · `token` · `graphql` (one request from headers to answer) · `execute` (GraphQL on the SDL) ·
//! `plan`, `canonical`, `show` (the short way for the usual documents) · `state` (orders and what mutations do to them) · `faults` · `judge` · `arrivals` · `admin` · `answer` · `options`.

mod admin;
mod answer;
mod arrivals;
mod canonical;
mod execute;
mod faults;
mod graphql;
mod judge;
mod options;
mod plan;
mod resolve;
mod server;
mod show;
mod state;
mod token;

pub use answer::ApiError;
pub use arrivals::Arrival;
pub use execute::{SDL, SchemaError};
pub use faults::{Answer, Apply, Body, Faults, Fired, RetryAfter, Rule, Script, When};
pub use judge::{Finding, Judge, Report, Told, Wrong};
pub use options::{AutoOrders, Environment, ErrorData, ErrorShape, Options};
pub use state::{
    Alias, Amount, ExecutionState, Line, LineAmount, LineRef, LineSeed, Money, Order, OrderSeed, Package, PackageFor,
    PackageSeed, PackageState, PartSeed, Refund, RefundFor, RefundSeed, RefundState, RefundTotal, Return, ReturnFor, ReturnLine,
    ReturnSeed, ReturnState, Tracker, TrackerIdentifier,
};

use arrivals::Arrivals;
use bytes::Bytes;
use execute::Engine;
use serde::Serialize;
use state::{Store, lock};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use token::Tokens;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Everything that requests share.
pub(crate) struct App {
    options: Options,
    engine: Engine,
    store: Store,
    tokens: Tokens,
    faults: Faults,
    judge: Arc<Judge>,
    log: Mutex<VecDeque<Logged>>,
    arrivals: Arrivals,
}

/// A request as it is remembered: its body, no headers.
pub(crate) struct Logged {
    time: String,
    operation: String,
    order: String,
    body: Bytes,
}

impl Logged {
    fn new(operation: &str, order: &str, body: Bytes) -> Self {
        Self { time: state::now(), operation: operation.to_owned(), order: order.to_owned(), body }
    }
}

/// A request that came in.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// When.
    pub time: String,
    /// The root field, or `invalid`.
    pub operation: String,
    /// The order's BwP id, or `?` and the name that was used.
    pub order: String,
    /// As they came.
    pub variables: serde_json::Value,
    /// The document.
    pub query: String,
}

impl App {
    fn log(&self, entry: Logged) {
        if self.options.request_log == 0 || self.options.fast {
            return;
        }
        let mut log = lock(&self.log);
        if log.len() >= self.options.request_log {
            log.pop_front();
        }
        log.push_back(entry);
    }

    fn requests(&self) -> Vec<Request> {
        let shown = |entry: &Logged| {
            let mut body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap_or_default();
            Request {
                time: entry.time.clone(),
                operation: entry.operation.clone(),
                order: entry.order.clone(),
                variables: body.get_mut("variables").map(std::mem::take).unwrap_or_default(),
                query: body.get("query").and_then(|it| it.as_str()).unwrap_or("").to_owned(),
            }
        };
        lock(&self.log).iter().map(shown).collect()
    }
}

/// One order by BwP id or alias.
pub(crate) fn view(app: &App, name: &str, alias_type: Option<&str>) -> Option<Arc<Order>> {
    app.store.look_up(name, alias_type).map(|cell| cell.read())
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The SDL is wrong.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// A running simulator; it ends when dropped.
pub struct Simulator {
    app: Arc<App>,
    address: SocketAddr,
    listening: Mutex<Option<Listening>>,
}

/// What ends when it is told so, or dropped, and who can be waited for.
struct Listening {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Listens and serves on the present runtime.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listen = options.listen;
        let failed = |error| StartError::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = Arc::new(App {
            engine: Engine::new(options.environment, options.fast)?,
            store: Store::new(&options),
            tokens: Tokens::default(),
            faults: Faults::default(),
            judge: Arc::new(Judge::new(options.retry_after_grace)),
            log: Mutex::default(),
            arrivals: Arrivals::default(),
            options,
        });
        let simulator = Self { app, address, listening: Mutex::default() };
        simulator.serve(listener);
        Ok(simulator)
    }

    fn serve(&self, listener: TcpListener) {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(server::listen(listener, Arc::clone(&self.app), stopped));
        *lock(&self.listening) = Some(Listening { stop, task });
    }

    /// Ends listening and all connections, as if the whole service were gone; what it holds stays.
    pub async fn leave(&self) {
        let listening = lock(&self.listening).take();
        if let Some(Listening { stop, task }) = listening {
            let _ = stop.send(true);
            let _ = task.await;
        }
    }

    /// Listens again where it did before it left.
    ///
    /// # Errors
    /// Where somebody else has the port now.
    pub async fn come_back(&self) -> Result<(), StartError> {
        let failed = |error| StartError::Listen(self.address, error);
        self.serve(TcpListener::bind(self.address).await.map_err(failed)?);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The GraphQL endpoint.
    pub fn endpoint(&self) -> String {
        format!("{}/graphql", self.base_url())
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.base_url())
    }

    /// How it was started.
    pub fn options(&self) -> &Options {
        &self.app.options
    }

    /// Adds an order and gives its BwP id.
    pub fn seed_order(&self, seed: OrderSeed) -> Result<String, ApiError> {
        let mut ids = self.app.store.seed(vec![seed])?;
        Ok(ids.pop().unwrap_or_default())
    }

    /// Adds orders, and gives their BwP ids.
    pub fn seed_orders(&self, seeds: Vec<OrderSeed>) -> Result<Vec<String>, ApiError> {
        self.app.store.seed(seeds)
    }

    /// An order by BwP id or by the id of any of its aliases.
    pub fn order(&self, name: &str) -> Option<Arc<Order>> {
        view(&self.app, name, None)
    }

    /// Every order.
    pub fn orders(&self) -> Vec<Arc<Order>> {
        let cells = self.app.store.all();
        cells.into_iter().map(|cell| cell.read()).collect()
    }

    /// What the judge has seen.
    pub fn report(&self) -> Report {
        self.app.judge.report()
    }

    /// The judge.
    pub fn judge(&self) -> &Judge {
        &self.app.judge
    }

    /// The fault script.
    pub fn faults(&self) -> &Faults {
        &self.app.faults
    }

    /// The latest requests.
    pub fn requests(&self) -> Vec<Request> {
        self.app.requests()
    }

    /// Makes every token given out so far worthless.
    pub fn expire_tokens(&self) {
        self.app.tokens.expire_all();
    }

    /// Ends listening and all connections, and waits until the port is free.
    pub async fn shutdown(self) {
        self.leave().await;
    }
}

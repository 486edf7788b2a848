//! Buy with Prime: documents, typed answers, token, transport.
//!
//! Owns everything that goes over the wire to BwP and how its answers are read. Knows nothing of
//! lanes, events or Postgres; what an answer means for an event is decided in
//! [`crate::dispatch::verdict`].

pub mod answer;
pub mod client;
pub mod deadline;
pub mod documents;
pub mod exchange;
mod grant;
mod text;
pub mod token;
mod transport;
pub mod view;
mod wire;

pub use grant::{Credentials, SecretSource};
pub use transport::http;

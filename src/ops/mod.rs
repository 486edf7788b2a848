//! What operators see of the running process: health, metrics, state, log. It owns the ops port and the names of the
//! metrics; it reads what the loops report and never looks at Kafka, Postgres or Buy with Prime itself.

pub mod http;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
pub mod state;
pub mod traces;

//! The alias table as operators see it: loading it, looking something up in it, writing all of it out.
//!
//! | file | what it does |
//! |---|---|
//! | `import` | rows from a file, batch by batch, under the same locks as intake |
//! | `lanes` | lanes for the orders of a batch, many at a time |
//! | `fresh`, `known` | rows of orders of which nobody has heard, put in as they are; rows that are there already, left alone |
//! | `export` | all rows of a target, as a stream |
//! | `get`, `changes` | single rows, with what they replaced; all that was replaced in an order |
//! | `waiting` | what is waited for, in numbers |

mod changes;
mod export;
mod fresh;
mod get;
mod import;
mod known;
mod lanes;
mod waiting;

pub use super::alias_rows::Effect;
pub use changes::NameChange;
pub(super) use changes::changes_of;
pub use get::{Entry, Replaced, Wanted};
pub use import::{Import, Importing};
pub(super) use lanes::lanes_of;
pub use waiting::Waiting;

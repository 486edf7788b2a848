//! Planning, pure: snapshots, what Buy with Prime is known to hold, and names, to the next mutation or the reason why there is
//! none; and from an answer to what is known then.
//!
//! Owns every rule of the contract about returns, refunds, shipments and orders. Does no I/O and reads no clock: the ledger
//! loads a [`Lane`], [`Lane::turn`] says what to do, the dispatcher does it and hands back what came of it.
//!
//! | file | idea |
//! |---|---|
//! | `rank`, `wanted`, `facet` | which snapshot counts, member by member |
//! | `subject`, `names` | things and what they are called |
//! | `thing`, `things`, `known`, `effect` | what Buy with Prime is known to hold, and how an accepted entry changes it |
//! | `returns`, `refunds`, `shipments`, `orders` | the rules of each kind: what to do for one thing |
//! | `lane`, `groups`, `survey`, `turn`, `expire`, `draft` | one order: look over its things, settle, send, read or rest |
//! | `answers`, `compare`, `learn` | what an answer, a read, or the lack of one makes of it |

pub mod answers;
pub mod compare;
pub mod draft;
pub mod effect;
mod expire;
pub mod facet;
pub mod groups;
pub mod json;
mod known;
pub mod lane;
pub mod learn;
pub mod names;
pub mod orders;
pub mod outcome;
pub mod rank;
pub mod refunds;
pub mod returns;
pub mod shipments;
pub mod step;
pub mod subject;
pub mod survey;
pub mod thing;
pub mod things;
pub mod turn;
pub mod wanted;

pub use lane::Lane;
pub use step::Rules;
pub use turn::{Next, Turn};

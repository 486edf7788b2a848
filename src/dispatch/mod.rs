//! Dispatch: claim, plan, send, judge, settle.

pub mod verdict;

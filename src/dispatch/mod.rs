//! Dispatch: claim, plan, send, judge, settle.


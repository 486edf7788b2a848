//! bwp-sync.

//! What several events make of each other.

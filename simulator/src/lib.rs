//! A stand-in for the Buy with Prime API.

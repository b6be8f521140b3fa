//! The runtime, tried with real containers.

#[macro_use]
mod host;
mod basics;

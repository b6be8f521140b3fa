//! The real shim with real containers, through its client.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod crash;
mod exec;
mod foreign;
mod health;
mod life;
mod restart;
mod stop;
mod streams;
mod versions;
mod workshop;

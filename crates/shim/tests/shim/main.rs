//! The real shim with real containers, through its client.

mod crash;
mod exec;
mod life;
mod restart;
mod streams;
mod workshop;

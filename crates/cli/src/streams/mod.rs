//! The streams of a container or an exec, joined to ours.

pub(crate) mod demultiplex;
mod hijacked;

pub(crate) use hijacked::{Ended, Streams, Unbuffered, relay};

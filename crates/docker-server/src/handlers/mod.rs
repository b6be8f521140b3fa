//! One function for each path.
//!
//! A handler parses its request, makes one call into the engine, and words the answer. A rule
//! about containers does not belong here, even if only Docker has it.

pub(crate) mod containers;
mod download;
pub(crate) mod events;
pub(crate) mod exec;
mod host_warnings;
pub(crate) mod images;
pub(crate) mod missing;
pub(crate) mod networks;
mod prune;
mod streams;
pub(crate) mod system;
pub(crate) mod volumes;

//! The runtime configuration (`config.json`), as the specification's own crate types it.

pub use oci_spec::runtime::*;

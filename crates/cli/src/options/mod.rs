//! The values of flags: pure functions from what was typed to what is meant.
//!
//! Each refuses what Docker's client refuses, in its words, and nothing more.

pub(crate) mod booleans;
pub(crate) mod capabilities;
pub(crate) mod cpus;
pub(crate) mod csv;
pub(crate) mod devices;
pub(crate) mod domains;
pub(crate) mod durations;
pub(crate) mod environment;
pub(crate) mod filters;
pub(crate) mod gpus;
pub(crate) mod hosts;
pub(crate) mod key_values;
pub(crate) mod labels;
pub(crate) mod links;
pub(crate) mod mounts;
pub(crate) mod network_modes;
pub(crate) mod numbers;
pub(crate) mod paths;
pub(crate) mod platforms;
pub(crate) mod ports;
pub(crate) mod references;
pub(crate) mod restart;
pub(crate) mod security;
pub(crate) mod sizes;
pub(crate) mod subnets;
pub(crate) mod sysctls;
pub(crate) mod throttles;
pub(crate) mod times;
pub(crate) mod ulimits;
pub(crate) mod volumes;

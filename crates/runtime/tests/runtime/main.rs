//! The runtime, tried with real containers.

// In helpers as well as in tests.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod host;

mod basics;
mod cgroups;
mod command_line;
mod errors;
mod exec;
mod files;
mod hooks;
mod labels;
mod limits;
mod mounts;
mod namespaces;
mod privileges;
mod rootless;
mod safety;
mod scheduling;
mod seccomp;
mod sub_cgroups;
mod switches;
mod terminal;

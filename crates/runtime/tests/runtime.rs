//! The runtime, tried with real containers.

#[macro_use]
mod host;

mod basics;
mod cgroups;
mod errors;
mod exec;
mod files;
mod hooks;
mod namespaces;
mod privileges;
mod terminal;

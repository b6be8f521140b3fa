//! `system`: the engine itself.

mod df;
mod dial_stdio;
mod disk_usage_details;
mod disk_usage_rows;
mod events;
mod info;
mod inspect;
mod prune;
mod version;

pub(crate) use events::EVENTS;
pub(crate) use info::INFO;
pub(crate) use inspect::INSPECT;
pub(crate) use version::VERSION;

use crate::command_line::Command;

pub(crate) static GROUP: Command = Command::group(
    "system",
    "Manage Docker",
    &[&df::DF, &dial_stdio::DIAL_STDIO, &EVENTS, &INFO, &prune::PRUNE],
);

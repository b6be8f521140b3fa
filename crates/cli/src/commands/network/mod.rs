//! `network`: everything about networks.

mod connect;
mod create;
mod disconnect;
mod inspect;
mod list;
pub(crate) mod prune;
mod rm;

pub(crate) use inspect::document;

use crate::command_line::Command;

pub(crate) static GROUP: Command = Command::group(
    "network",
    "Manage networks",
    &[
        &connect::CONNECT,
        &create::CREATE,
        &disconnect::DISCONNECT,
        &inspect::INSPECT,
        &list::LS,
        &prune::PRUNE,
        &rm::RM,
    ],
);

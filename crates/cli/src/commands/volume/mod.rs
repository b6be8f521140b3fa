//! `volume`: everything about volumes.

mod create;
mod inspect;
mod list;
pub(crate) mod prune;
mod rm;

pub(crate) use inspect::document;
pub(crate) use list::VolumeRow;

use crate::command_line::Command;

pub(crate) static GROUP: Command = Command::group(
    "volume",
    "Manage volumes",
    &[&create::CREATE, &inspect::INSPECT, &list::LS, &prune::PRUNE, &rm::RM],
);

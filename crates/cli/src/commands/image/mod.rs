//! `image`: everything about images.

mod history;
mod import;
mod inspect;
mod list;
mod load;
pub(crate) mod prune;
mod pull;
mod rm;
mod save;
mod tag;

pub(crate) use history::HISTORY;
pub(crate) use import::IMPORT;
pub(crate) use inspect::document;
pub(crate) use list::{IMAGES, ImageRow};
pub(crate) use load::LOAD;
pub(crate) use pull::PULL;
pub(crate) use rm::RMI;
pub(crate) use save::{SAVE, write_archive};
pub(crate) use tag::TAG;

use crate::command_line::Command;

pub(crate) static GROUP: Command = Command::group(
    "image",
    "Manage images",
    &[
        &HISTORY,
        &IMPORT,
        &inspect::INSPECT,
        &LOAD,
        &list::LS,
        &prune::PRUNE,
        &PULL,
        &rm::RM,
        &SAVE,
        &TAG,
    ],
);

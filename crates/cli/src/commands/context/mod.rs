//! `context`: engines by name.

mod create;
mod inspect;
mod list;
mod rm;
mod show;
mod switch;

use crate::command_line::Command;

pub(crate) static GROUP: Command = Command::group(
    "context",
    "Manage contexts",
    &[&create::CREATE, &inspect::INSPECT, &list::LS, &rm::RM, &show::SHOW, &switch::USE],
);

//! `container`: everything about containers.

mod attach;
mod commit;
mod cp;
mod create;
mod creation;
mod creation_flags;
mod debug;
mod diff;
mod exec;
mod export;
pub(crate) mod inspect;
mod kill;
pub(crate) mod list;
pub(crate) mod listed;
mod logs;
mod pause;
mod port;
pub(crate) mod prune;
mod rename;
mod restart;
mod rm;
mod run;
mod start;
mod stats;
mod stop;
mod top;
mod unpause;
mod update;
mod wait;
mod why;

pub(crate) use attach::ATTACH;
pub(crate) use commit::COMMIT;
pub(crate) use cp::CP;
pub(crate) use create::{CREATE, pull_request};
pub(crate) use debug::DEBUG;
pub(crate) use diff::DIFF;
pub(crate) use exec::EXEC;
pub(crate) use export::EXPORT;
pub(crate) use kill::KILL;
pub(crate) use list::PS;
pub(crate) use logs::LOGS;
pub(crate) use pause::PAUSE;
pub(crate) use port::PORT;
pub(crate) use rename::RENAME;
pub(crate) use restart::RESTART;
pub(crate) use rm::RM;
pub(crate) use run::RUN;
pub(crate) use start::START;
pub(crate) use stats::STATS;
pub(crate) use stop::STOP;
pub(crate) use top::TOP;
pub(crate) use unpause::UNPAUSE;
pub(crate) use update::UPDATE;
pub(crate) use wait::WAIT;
pub(crate) use why::WHY;

use crate::command_line::Command;

pub(crate) static GROUP: Command = Command::group(
    "container",
    "Manage containers",
    &[
        &ATTACH,
        &COMMIT,
        &CP,
        &CREATE,
        &DEBUG,
        &DIFF,
        &EXEC,
        &EXPORT,
        &inspect::INSPECT,
        &KILL,
        &LOGS,
        &list::LS,
        &PAUSE,
        &PORT,
        &prune::PRUNE,
        &RENAME,
        &RESTART,
        &RM,
        &RUN,
        &START,
        &STATS,
        &STOP,
        &TOP,
        &UNPAUSE,
        &UPDATE,
        &WAIT,
        &WHY,
    ],
);

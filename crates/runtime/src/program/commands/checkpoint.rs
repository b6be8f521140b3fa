//! `checkpoint` and `restore`, which this runtime does not do yet.

use crate::command_line::{Call, Command, Count};
use crate::exit_code::ExitCode;

pub(super) const CHECKPOINT: Command = Command {
    arguments: Count::AtLeast(0),
    has_flags_anywhere: false,
    ..Command::new("checkpoint", "checkpoint a running container (not supported)", refuse)
};

pub(super) const RESTORE: Command = Command {
    arguments: Count::AtLeast(0),
    has_flags_anywhere: false,
    ..Command::new("restore", "restore a container from a checkpoint (not supported)", refuse)
};

fn refuse(_call: &Call) -> anyhow::Result<ExitCode> {
    anyhow::bail!("checkpoints of running containers are not supported by this runtime")
}

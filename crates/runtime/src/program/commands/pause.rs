//! `pause` and `resume`.

use anyhow::bail;

use crate::command_line::{Call, Command};
use crate::exit_code::ExitCode;
use crate::record::{Known, Status};

pub(super) const PAUSE: Command =
    Command::new("pause", "pause suspends all processes inside the container", pause);

pub(super) const RESUME: Command =
    Command::new("resume", "resumes all processes that have been previously paused", resume);

fn pause(call: &Call) -> anyhow::Result<ExitCode> {
    let known = Known::open(&call.root, call.id())?;
    let container = known.container()?;
    match (known.status_of(container.as_ref()), container) {
        (Status::Running | Status::Created, Some(container)) => container.cgroup().freeze()?,
        _ => bail!("container not running"),
    }
    Ok(ExitCode::SUCCESS)
}

fn resume(call: &Call) -> anyhow::Result<ExitCode> {
    let known = Known::open(&call.root, call.id())?;
    let container = known.container()?;
    match (known.status_of(container.as_ref()), container) {
        (Status::Paused, Some(container)) => container.cgroup().thaw()?,
        _ => bail!("container not paused"),
    }
    Ok(ExitCode::SUCCESS)
}

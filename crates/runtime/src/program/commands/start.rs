//! `start`.

use anyhow::{Context as _, bail};

use crate::command_line::{Call, Command};
use crate::exit_code::ExitCode;
use crate::record::{Known, Status};

pub(super) const COMMAND: Command =
    Command::new("start", "executes the user defined process in a created container", start);

fn start(call: &Call) -> anyhow::Result<ExitCode> {
    let known = Known::open(&call.root, call.id())?;
    let container = known.container()?;
    let socket = match known.status_of(container.as_ref()) {
        Status::Created => known.folder.take_start_socket()?,
        Status::Stopped => bail!("cannot start a container that has stopped"),
        Status::Running => bail!("cannot start an already running container"),
        Status::Paused => bail!("cannot start a container in the paused state"),
    };
    let mut container = container.context("cannot start a container that has stopped")?;
    call.log.debug(|| format!("starting process {}", known.record.pid));
    container.start_by_socket(socket)?;
    for warning in container.warnings() {
        call.log.warning(warning);
    }
    Ok(ExitCode::SUCCESS)
}

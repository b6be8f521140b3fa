//! `delete`.

use anyhow::bail;
use rustix::process::Signal;

use crate::command_line::{Call, Command, Flag};
use crate::exit_code::ExitCode;
use crate::record::{DoesNotExist, Folder, Known, Status};

pub(super) const COMMAND: Command = Command {
    flags: &[Flag::switch(
        "force",
        "Forcibly deletes the container if it is still running (uses SIGKILL)",
    )
    .short("f")],
    ..Command::new(
        "delete",
        "delete any resources held by the container often used with detached container",
        delete,
    )
};

fn delete(call: &Call) -> anyhow::Result<ExitCode> {
    let is_forced = call.values.is_on("force");
    let known = match Known::open(&call.root, call.id()) {
        Err(error) if error.is::<DoesNotExist>() => {
            if Folder::of(&call.root, call.id())?.remove_unfinished()? {
                // With force, what is not there is as good as deleted.
                return if is_forced { Ok(ExitCode::SUCCESS) } else { Err(error) };
            }
            Known::open(&call.root, call.id())?
        }
        known => known?,
    };
    let container = known.container()?;
    let status = known.status_of(container.as_ref());
    // A created container runs nothing yet that could mind.
    if !is_forced && !matches!(status, Status::Stopped | Status::Created) {
        let (id, status) = (call.id(), status.as_str());
        bail!("cannot delete container {id} that is not stopped: {status}");
    }
    call.log.debug(|| format!("deleting a {} container", status.as_str()));
    let warnings = match container {
        Some(container) => {
            rustix::process::pidfd_send_signal(container.pidfd(), Signal::KILL).ok();
            container.delete()?
        }
        None => {
            let record = &known.record;
            runtime::clean_up(&record.id, &record.spec, &record.bundle, &record.cgroup)?
        }
    };
    warnings.iter().for_each(|warning| call.log.warning(warning));
    known.folder.remove()?;
    Ok(ExitCode::SUCCESS)
}

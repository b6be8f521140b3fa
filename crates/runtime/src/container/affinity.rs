//! The processors that a new process may use: `process.execCPUAffinity`, or all.
//!
//! Set on both sides of the change of cgroup: which processors a control group leaves a process
//! is decided when it gets there.

use oci::runtime::ExecCPUAffinity;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::ProcessError;
use crate::plan::scheduling::processors;

/// This process's own processors, to be given back to it.
pub(super) struct Confined(Option<CpuSet>);

/// Confines this process, and with it the child that it is about to clone, to the processors
/// that a further process has before it is in the container's cgroup.
pub(super) fn take_initial(affinity: Option<&ExecCPUAffinity>) -> Result<Confined, ProcessError> {
    let Some(list) = affinity.and_then(|affinity| affinity.initial().as_deref()) else {
        return Ok(Confined(None));
    };
    let own = sched_getaffinity(None)
        .map_err(|error| ProcessError::system("ask for the own processors")(error.into()))?;
    set(None, list, "process.execCPUAffinity.initial")?;
    Ok(Confined(Some(own)))
}

impl Drop for Confined {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            // They were this process's a moment ago.
            let _ = sched_setaffinity(None, own);
        }
    }
}

/// Gives a process its processors once it is in the container's cgroup.
pub(super) fn set_final(
    process: Pid,
    affinity: Option<&ExecCPUAffinity>,
) -> Result<(), ProcessError> {
    let Some(affinity) = affinity else {
        reset(process);
        return Ok(());
    };
    match affinity.cpu_affinity_final() {
        Some(list) => set(Some(process), list, "process.execCPUAffinity.final"),
        // The kernel decides.
        None => Ok(()),
    }
}

/// Lets a process use all processors that its cgroup has: what its maker was confined to, by
/// an administrator or by a service manager, is not the container's business.
pub(super) fn reset(process: Pid) {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|processor| all.set(processor));
    // Where it is refused, the process has what its maker has.
    let _ = sched_setaffinity(Some(process), &all);
}

fn set(process: Option<Pid>, list: &str, field: &str) -> Result<(), ProcessError> {
    let set = processors(list).map_err(|reason| ProcessError::invalid(field, reason))?;
    sched_setaffinity(process, &set)
        .map_err(|error| ProcessError::invalid(field, std::io::Error::from(error).to_string()))
}

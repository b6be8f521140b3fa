//! The processors that a new process may use: `process.execCPUAffinity`, or all.
//!
//! Set by the parent, on both sides of the change of cgroup: which processors a control group
//! leaves a process is decided when it gets there.

use oci::runtime::ExecCPUAffinity;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::ProcessError;
use crate::plan::scheduling::processors;

/// Before the process is in the container's cgroup.
pub(super) fn set_initial(
    process: Pid,
    affinity: Option<&ExecCPUAffinity>,
) -> Result<(), ProcessError> {
    match affinity.and_then(|affinity| affinity.initial().as_deref()) {
        Some(list) => set(process, list, "process.execCPUAffinity.initial"),
        None => Ok(()),
    }
}

/// Once it is.
pub(super) fn set_final(
    process: Pid,
    affinity: Option<&ExecCPUAffinity>,
) -> Result<(), ProcessError> {
    let Some(affinity) = affinity else {
        reset(process);
        return Ok(());
    };
    match affinity.cpu_affinity_final() {
        Some(list) => set(process, list, "process.execCPUAffinity.final"),
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

fn set(process: Pid, list: &str, field: &str) -> Result<(), ProcessError> {
    let set = processors(list).map_err(|reason| ProcessError::invalid(field, reason))?;
    sched_setaffinity(Some(process), &set)
        .map_err(|error| ProcessError::invalid(field, std::io::Error::from(error).to_string()))
}

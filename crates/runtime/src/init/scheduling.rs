//! How the kernel treats the process: its turns at the processors and disks, where its memory
//! comes from, and which kernel it takes this one for.

use linux::scheduling::{set_io_priority, set_memory_policy, set_personality, set_scheduler};

use crate::plan::scheduling;

use super::{Doing as _, ProcessInit, StepError};

pub(super) fn set(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    if let Some(scheduler) = process.process.scheduler() {
        let attributes = scheduling::scheduler(scheduler).map_err(StepError::Refused)?;
        set_scheduler(attributes).doing(|| "process.scheduler".to_owned())?;
    }
    if let Some(priority) = process.process.io_priority() {
        let (class, level) = scheduling::io_priority(priority).map_err(StepError::Refused)?;
        set_io_priority(class, level).doing(|| "process.ioPriority".to_owned())?;
    }
    if let Some(personality) = process.treatment.personality.as_ref() {
        let number = scheduling::personality(personality).map_err(StepError::Refused)?;
        set_personality(number).doing(|| "linux.personality".to_owned())?;
    }
    if let Some(policy) = process.treatment.memory_policy.as_ref() {
        let policy = scheduling::memory_policy(policy).map_err(StepError::Refused)?;
        set_memory_policy(policy.mode, &policy.nodes).doing(|| "linux.memoryPolicy".to_owned())?;
    }
    Ok(())
}

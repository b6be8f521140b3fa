//! A time namespace: clocks of the container's own.
//!
//! Like a pid namespace, a new one is for a process's later children. But unlike there, the
//! process may move in itself afterwards; and until the first process is in it, its clocks can
//! be set: see `time_namespaces(7)`.

use std::fmt::Write as _;

use linux::namespaces::Namespaces;
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{ContainerInit, Doing as _, StepError};

pub(super) fn enter(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    if !init.plan.has_new_time_namespace {
        return Ok(());
    }
    linux::namespaces::unshare(Namespaces::TIME)?;
    set_clocks(init)?;
    let proc = init.process.host_proc.as_ref().expect("it is opened by an earlier step");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let made = openat(proc, "self/ns/time_for_children", flags, Mode::empty())?;
    Ok(move_into_link_name_space(std::os::fd::AsFd::as_fd(&made), Some(LinkNameSpaceType::Time))?)
}

fn set_clocks(init: &ContainerInit<'_>) -> Result<(), StepError> {
    let mut lines = String::new();
    for (clock, offset) in init.linux.time_offsets().iter().flatten() {
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        writeln!(lines, "{clock} {seconds} {nanoseconds}").expect("a string takes all");
    }
    if lines.is_empty() {
        return Ok(());
    }
    let proc = init.process.host_proc.as_ref().expect("it is opened by an earlier step");
    // The files of a process that cannot be dumped belong to the host's root, which a user
    // namespace has no rights over. Nothing but this program's memory is in reach meanwhile, and
    // only for whoever has all rights in the same user namespace.
    if init.plan.has_user_namespace() {
        set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(proc, "self/timens_offsets", flags, Mode::empty());
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // All in one: the second of two writes would find the first clock set.
    file.and_then(|file| rustix::io::write(&file, lines.as_bytes()))
        .doing(|| "linux.timeOffsets".to_owned())?;
    Ok(())
}

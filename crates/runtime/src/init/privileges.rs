//! Giving up what the process shall not have: ids, capabilities, system calls.
//!
//! The ids change first and the permitted capabilities survive it (`PR_SET_KEEPCAPS`), since
//! installing a filter may still need one. The effective ones are the configuration's own only
//! at the end.

use std::os::fd::AsFd as _;

use oci::runtime::{Capabilities, Capability, LinuxCapabilities};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::channel::Message;

use super::{Doing as _, FilterSource, ProcessInit, StepError};

pub(super) fn change_user(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    drop_bounding(wanted(process, LinuxCapabilities::bounding))?;
    set_keep_capabilities(true)?;
    let identity = &process.identity;
    let groups: Vec<Gid> =
        identity.additional_groups.iter().map(|group| Gid::from_raw(*group)).collect();
    match set_thread_groups(&groups) {
        // A user namespace whose maker had no right to map groups forbids it.
        Err(Errno::PERM) if groups.is_empty() => {}
        Err(Errno::PERM) if is_forbidden_to_change_groups() => process.warn(
            "process.user.additionalGids: an ordinary user's container has no further groups"
                .to_owned(),
        )?,
        result => result.doing(|| "the additional groups".to_owned())?,
    }
    let group = Gid::from_raw(identity.group);
    set_thread_res_gid(group, group, group).doing(|| format!("group {group:?}"))?;
    let user = Uid::from_raw(identity.user);
    set_thread_res_uid(user, user, user).doing(|| format!("user {user:?}"))?;
    // The change of ids has set it as the kernel saw fit.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let umask = process.process.user().umask().unwrap_or(0o022);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask & 0o777));
    Ok(())
}

/// Asked on the way of an error only, of the container's own `/proc`: whoever has prepared that
/// can but have a warning instead of the error.
fn is_forbidden_to_change_groups() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}

fn drop_bounding(kept: CapabilitySet) -> Result<(), StepError> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel knows no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error).doing(|| "the bounding set".to_owned()),
        }
    }
    Ok(())
}

pub(super) fn set_capabilities(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let present = capabilities(None)?;
    let inheritable = wanted(process, LinuxCapabilities::inheritable);
    // What this process itself lacks it cannot give.
    let permitted = wanted(process, LinuxCapabilities::permitted) & present.permitted;
    let sets = CapabilitySets {
        effective: wanted(process, LinuxCapabilities::effective) & permitted,
        permitted,
        inheritable: inheritable & present.permitted,
    };
    let has_filter = !matches!(process.filter, FilterSource::None);
    // A filter may be installed with CAP_SYS_ADMIN or without new privileges.
    let has_new_privileges = process.process.no_new_privileges() != Some(true);
    let for_filter = if has_filter && has_new_privileges {
        CapabilitySet::SYS_ADMIN & present.permitted
    } else {
        CapabilitySet::empty()
    };
    // That one goes at `execve`, which makes the permitted capabilities anew from the other sets:
    // under a filter that may forbid `capset` it could not be given up by hand.
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: sets.effective | for_filter,
            permitted: sets.permitted | for_filter,
            ..sets
        },
    )?;
    clear_ambient_capability_set()?;
    warn_of_ambient(process, permitted & inheritable)?;
    for capability in wanted(process, LinuxCapabilities::ambient) & permitted & inheritable {
        configure_capability_in_ambient_set(capability, true)
            .doing(|| "the ambient set".to_owned())?;
    }
    if !has_new_privileges {
        set_no_new_privs(true)?;
    }
    Ok(())
}

/// Whether the program will be allowed what a file's mode forbids.
pub(super) fn may_override_permissions(process: &ProcessInit<'_>) -> bool {
    wanted(process, LinuxCapabilities::effective).contains(CapabilitySet::DAC_OVERRIDE)
}

/// A capability that is not both permitted and inheritable cannot be ambient.
fn warn_of_ambient(process: &ProcessInit<'_>, possible: CapabilitySet) -> Result<(), StepError> {
    let capabilities = process.process.capabilities().as_ref();
    for capability in capabilities.and_then(|sets| sets.ambient().as_ref()).into_iter().flatten() {
        if !possible.contains(flag_of(*capability)) {
            process.warn(format!(
                "can't raise ambient capability CAP_{capability}: operation not permitted"
            ))?;
        }
    }
    Ok(())
}

pub(super) fn receive_filter(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    if let FilterSource::Parent { flags } = process.filter {
        let Message::Filter(program) = process.await_message()? else {
            return Err(StepError::Refused("the parent answered out of turn".to_owned()));
        };
        process.filter = FilterSource::Here(program.into(), flags);
    }
    Ok(())
}

pub(super) fn install_filter(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let FilterSource::Here(program, flags) = &process.filter else { return Ok(()) };
    if let Some(listener) = linux::seccomp::install(program, *flags)? {
        process
            .channel
            .hand_over_listener(listener.as_fd())
            .doing(|| "the listener for the seccomp agent".to_owned())?;
        // To close it may be one of the things that the filter asks about; `execve` does it.
        std::mem::forget(listener);
    }
    Ok(())
}

/// One of the configuration's sets. Without any configuration there are none.
fn wanted(
    process: &ProcessInit<'_>,
    set: fn(&LinuxCapabilities) -> &Option<Capabilities>,
) -> CapabilitySet {
    let Some(capabilities) = process.process.capabilities() else { return CapabilitySet::empty() };
    set(capabilities)
        .iter()
        .flatten()
        .map(|capability| flag_of(*capability))
        .fold(CapabilitySet::empty(), CapabilitySet::union)
}

fn flag_of(capability: Capability) -> CapabilitySet {
    match capability {
        Capability::AuditControl => CapabilitySet::AUDIT_CONTROL,
        Capability::AuditRead => CapabilitySet::AUDIT_READ,
        Capability::AuditWrite => CapabilitySet::AUDIT_WRITE,
        Capability::BlockSuspend => CapabilitySet::BLOCK_SUSPEND,
        Capability::Bpf => CapabilitySet::BPF,
        Capability::CheckpointRestore => CapabilitySet::CHECKPOINT_RESTORE,
        Capability::Chown => CapabilitySet::CHOWN,
        Capability::DacOverride => CapabilitySet::DAC_OVERRIDE,
        Capability::DacReadSearch => CapabilitySet::DAC_READ_SEARCH,
        Capability::Fowner => CapabilitySet::FOWNER,
        Capability::Fsetid => CapabilitySet::FSETID,
        Capability::IpcLock => CapabilitySet::IPC_LOCK,
        Capability::IpcOwner => CapabilitySet::IPC_OWNER,
        Capability::Kill => CapabilitySet::KILL,
        Capability::Lease => CapabilitySet::LEASE,
        Capability::LinuxImmutable => CapabilitySet::LINUX_IMMUTABLE,
        Capability::MacAdmin => CapabilitySet::MAC_ADMIN,
        Capability::MacOverride => CapabilitySet::MAC_OVERRIDE,
        Capability::Mknod => CapabilitySet::MKNOD,
        Capability::NetAdmin => CapabilitySet::NET_ADMIN,
        Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
        Capability::NetBroadcast => CapabilitySet::NET_BROADCAST,
        Capability::NetRaw => CapabilitySet::NET_RAW,
        Capability::Perfmon => CapabilitySet::PERFMON,
        Capability::Setgid => CapabilitySet::SETGID,
        Capability::Setfcap => CapabilitySet::SETFCAP,
        Capability::Setpcap => CapabilitySet::SETPCAP,
        Capability::Setuid => CapabilitySet::SETUID,
        Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
        Capability::SysBoot => CapabilitySet::SYS_BOOT,
        Capability::SysChroot => CapabilitySet::SYS_CHROOT,
        Capability::SysModule => CapabilitySet::SYS_MODULE,
        Capability::SysNice => CapabilitySet::SYS_NICE,
        Capability::SysPacct => CapabilitySet::SYS_PACCT,
        Capability::SysPtrace => CapabilitySet::SYS_PTRACE,
        Capability::SysRawio => CapabilitySet::SYS_RAWIO,
        Capability::SysResource => CapabilitySet::SYS_RESOURCE,
        Capability::SysTime => CapabilitySet::SYS_TIME,
        Capability::SysTtyConfig => CapabilitySet::SYS_TTY_CONFIG,
        Capability::Syslog => CapabilitySet::SYSLOG,
        Capability::WakeAlarm => CapabilitySet::WAKE_ALARM,
    }
}

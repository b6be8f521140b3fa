//! What the process may use, and how early the kernel kills it.

use oci::runtime::{PosixRlimit, PosixRlimitType};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Doing as _, ProcessInit, StepError};

pub(super) fn open_host_proc(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    process.host_proc = Some(rustix::fs::open("/proc", flags, Mode::empty())?);
    Ok(())
}

/// A lower score than the parent's takes CAP_SYS_RESOURCE; without it the parent's stays.
pub(super) fn adjust_memory_score(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let Some(score) = process.process.oom_score_adj() else { return Ok(()) };
    let proc = process.host_proc.as_ref().expect("it is opened by an earlier step");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(proc, "self/oom_score_adj", flags, Mode::empty());
    match file.and_then(|file| rustix::io::write(&file, score.to_string().as_bytes())) {
        Ok(_) => Ok(()),
        // Whoever has led this process here has set it already.
        Err(Errno::ACCESS) if memory_score(process) == Some(i64::from(score)) => Ok(()),
        Err(Errno::ACCESS) => process.warn(format!(
            "process.oomScoreAdj: {score} needs CAP_SYS_RESOURCE, which this process lacks"
        )),
        Err(error) => Err(error.into()),
    }
}

fn memory_score(process: &ProcessInit<'_>) -> Option<i64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file =
        openat(process.host_proc.as_ref()?, "self/oom_score_adj", flags, Mode::empty()).ok()?;
    let mut bytes = [0; 16];
    let length = rustix::io::read(&file, &mut bytes).ok()?;
    std::str::from_utf8(&bytes[..length]).ok()?.trim().parse().ok()
}

/// A limit that this host does not allow is lowered to what it does.
pub(super) fn set_resource_limits(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    for limit in process.rlimits {
        let resource = resource_of(limit.typ());
        let wanted = as_rlimit(limit);
        match setrlimit(resource, wanted) {
            Err(Errno::PERM) => clamp(process, limit, resource, wanted)?,
            result => result.doing(|| limit.typ().to_string())?,
        }
    }
    Ok(())
}

fn clamp(
    process: &ProcessInit<'_>,
    limit: &PosixRlimit,
    resource: Resource,
    wanted: Rlimit,
) -> Result<(), StepError> {
    let largest = largest(resource, wanted);
    let possible = Rlimit {
        current: smaller(wanted.current, largest),
        maximum: smaller(wanted.maximum, largest),
    };
    setrlimit(resource, possible).doing(|| limit.typ().to_string())?;
    process.warn(format!(
        "process.rlimits: {} is limited to {} on this host; {} was asked for",
        limit.typ(),
        largest.map_or("unlimited".to_owned(), |largest| largest.to_string()),
        limit.hard(),
    ))
}

/// The largest that the kernel takes, which is found by trying: who may raise limits may still not
/// have more descriptors than `fs.nr_open`, and there is no `/proc` to read that from any more.
fn largest(resource: Resource, wanted: Rlimit) -> Option<u64> {
    let mut taken = getrlimit(resource).maximum?;
    let mut refused = wanted.maximum.unwrap_or(u64::MAX);
    while refused.saturating_sub(taken) > 1 {
        let middle = taken + (refused - taken) / 2;
        let attempt =
            Rlimit { current: smaller(wanted.current, Some(middle)), maximum: Some(middle) };
        match setrlimit(resource, attempt) {
            Ok(()) => taken = middle,
            Err(_) => refused = middle,
        }
    }
    Some(taken)
}

/// `None` is without limit.
fn smaller(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn as_rlimit(limit: &PosixRlimit) -> Rlimit {
    let number = |number: u64| (number != u64::MAX).then_some(number);
    Rlimit { current: number(limit.soft()), maximum: number(limit.hard()) }
}

fn resource_of(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_the_largest() {
        assert_eq!(smaller(None, Some(3)), Some(3));
        assert_eq!(smaller(Some(2), None), Some(2));
        assert_eq!(smaller(Some(5), Some(3)), Some(3));
        assert_eq!(smaller(None, None), None);
    }
}

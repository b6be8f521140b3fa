//! How the kernel is to treat a process, from the configuration's words to its numbers.
//!
//! Each function both checks a field, before anything is made, and reads it, in the new
//! process: what went well once goes well again.

use linux::scheduling::{IoClass, SchedulerAttributes};
use oci::runtime::{
    IOPriorityClass, LinuxIOPriority, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain,
    LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType, MemoryPolicyModeType,
    Scheduler,
};
use rustix::thread::CpuSet;

/// The last number that a node of the memory can have, in the largest kernels.
const NODE_MAX: u32 = 1023;

/// The last number of a processor that [`CpuSet`] has room for.
const PROCESSOR_MAX: u32 = CpuSet::MAX_CPU as u32 - 1;

/// The memory's nodes and how to use them, as [`linux::scheduling::set_memory_policy`] wants it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    pub(crate) mode: i32,
    pub(crate) nodes: Vec<u64>,
}

pub(crate) fn scheduler(scheduler: &Scheduler) -> Result<SchedulerAttributes, String> {
    use LinuxSchedulerPolicy::{
        SchedBatch, SchedDeadline, SchedFifo, SchedIdle, SchedIso, SchedOther, SchedRr,
    };
    let policy = *scheduler.policy();
    let nice = scheduler.nice().unwrap_or(0);
    if matches!(policy, SchedOther | SchedBatch) && !(-20..=19).contains(&nice) {
        return Err(format!("a nice value of {nice} is not from -20 to 19"));
    }
    let priority = scheduler.priority().unwrap_or(0);
    if priority != 0 && !matches!(policy, SchedFifo | SchedRr) {
        return Err(
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy".into()
        );
    }
    let times = [scheduler.runtime(), scheduler.deadline(), scheduler.period()];
    let [runtime, deadline, period] = times.map(|time| time.unwrap_or(0));
    if policy != SchedDeadline && [runtime, deadline, period] != [0; 3] {
        return Err("scheduler runtime/deadline/period can only be specified for SchedDeadline \
                    policy"
            .into());
    }
    Ok(SchedulerAttributes {
        policy: match policy {
            SchedOther => 0,
            SchedFifo => 1,
            SchedRr => 2,
            SchedBatch => 3,
            SchedIso => 4,
            SchedIdle => 5,
            SchedDeadline => 6,
        },
        flags: scheduler.flags().iter().flatten().fold(0, |flags, flag| flags | flag_of(*flag)),
        nice,
        priority: u32::try_from(priority).map_err(|_| format!("a priority of {priority}"))?,
        runtime,
        deadline,
        period,
        ..SchedulerAttributes::default()
    })
}

/// The flags of `sched_setattr(2)`.
fn flag_of(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

pub(crate) fn io_priority(priority: &LinuxIOPriority) -> Result<(IoClass, u8), String> {
    let class = match priority.class() {
        IOPriorityClass::IoprioClassRt => IoClass::RealTime,
        IOPriorityClass::IoprioClassBe => IoClass::BestEffort,
        IOPriorityClass::IoprioClassIdle => IoClass::Idle,
    };
    let level = u8::try_from(priority.priority()).ok().filter(|level| *level <= 7);
    let level = level.ok_or_else(|| format!("{} is not from 0 to 7", priority.priority()))?;
    Ok((class, level))
}

/// The number for `personality(2)`.
pub(crate) fn personality(personality: &LinuxPersonality) -> Result<u32, String> {
    if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err("flags are not supported: the specification knows none yet".to_owned());
    }
    Ok(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    })
}

pub(crate) fn memory_policy(policy: &LinuxMemoryPolicy) -> Result<MemoryPolicy, String> {
    use MemoryPolicyModeType::{
        MpolBind, MpolDefault, MpolInterleave, MpolLocal, MpolPreferred, MpolPreferredMany,
        MpolWeightedInterleave,
    };
    let text = policy.nodes().as_deref().unwrap_or_default();
    let nodes = numbers(text, NODE_MAX)
        .map_err(|error| format!("invalid memory policy nodes {text:?}: {error}"))?;
    let (mode, has_right_count) = match policy.mode() {
        MpolDefault => (0, nodes.is_empty()),
        MpolPreferred => (1, true),
        MpolBind => (2, !nodes.is_empty()),
        MpolInterleave => (3, !nodes.is_empty()),
        MpolLocal => (4, nodes.is_empty()),
        MpolPreferredMany => (5, !nodes.is_empty()),
        MpolWeightedInterleave => (6, !nodes.is_empty()),
    };
    if !has_right_count {
        let wanted = if nodes.is_empty() { "at least one node" } else { "0 nodes" };
        return Err(format!("memory policy mode requires {wanted} but got {}", nodes.len()));
    }
    let flags = policy.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
                MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
                MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
            }
    });
    let mut mask = vec![0; nodes.last().map_or(0, |last| *last as usize / 64 + 1)];
    for node in nodes {
        mask[node as usize / 64] |= 1 << (node % 64);
    }
    Ok(MemoryPolicy { mode: mode | flags, nodes: mask })
}

/// The processors of a list like `0-3,7`.
pub(crate) fn processors(list: &str) -> Result<CpuSet, String> {
    let mut set = CpuSet::new();
    for number in numbers(list, PROCESSOR_MAX)? {
        set.set(number as usize);
    }
    if set.count() == 0 {
        return Err("no processor is named".to_owned());
    }
    Ok(set)
}

/// The numbers of a list like `0-3,7`, in order, each once.
fn numbers(list: &str, max: u32) -> Result<Vec<u32>, String> {
    let mut numbers = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let number = |text: &str| match text.trim().parse::<u32>() {
            Ok(number) if number <= max => Ok(number),
            Ok(number) => Err(format!("{number} is above {max}")),
            Err(_) => Err(format!("`{text}` is no number")),
        };
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("`{part}` goes backwards"));
        }
        numbers.extend(first..=last);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(numbers("7,0-2, 1", 9), Ok(vec![0, 1, 2, 7]));
        assert_eq!(numbers("", 9), Ok(vec![]));
        assert_eq!(numbers("3-1", 9), Err("`3-1` goes backwards".to_owned()));
        assert_eq!(numbers("0-10", 9), Err("10 is above 9".to_owned()));
        assert_eq!(numbers("a", 9), Err("`a` is no number".to_owned()));
    }

    #[track_caller]
    fn policy(json: serde_json::Value) -> Result<MemoryPolicy, String> {
        memory_policy(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn nodes_become_a_mask() {
        let bound = json!({"mode": "MPOL_BIND", "nodes": "0,65", "flags": ["MPOL_F_STATIC_NODES"]});
        assert_eq!(policy(bound), Ok(MemoryPolicy { mode: 2 | 1 << 15, nodes: vec![1, 2] }));
        let none = json!({"mode": "MPOL_DEFAULT"});
        assert_eq!(policy(none), Ok(MemoryPolicy { mode: 0, nodes: vec![] }));
    }

    #[test]
    fn some_modes_want_nodes_and_some_none() {
        let refusal = policy(json!({"mode": "MPOL_DEFAULT", "nodes": "0-7"})).unwrap_err();
        assert_eq!(refusal, "memory policy mode requires 0 nodes but got 8");
        let refusal = policy(json!({"mode": "MPOL_BIND"})).unwrap_err();
        assert_eq!(refusal, "memory policy mode requires at least one node but got 0");
    }

    #[test]
    fn a_scheduler_is_checked() {
        let read = |json| scheduler(&serde_json::from_value(json).unwrap());
        let round = json!({"policy": "SCHED_RR", "priority": 3, "flags": ["SCHED_RESET_ON_FORK"]});
        let round = read(round).unwrap();
        assert_eq!((round.policy, round.priority, round.flags), (2, 3, 1));
        assert!(read(json!({"policy": "SCHED_OTHER", "nice": 20})).is_err());
        assert!(read(json!({"policy": "SCHED_OTHER", "priority": 1})).is_err());
        assert!(read(json!({"policy": "SCHED_FIFO", "runtime": 1})).is_err());
    }
}

//! `linux.seccomp`: from the configuration's rules to a program that the kernel runs at every
//! system call.
//!
//! ```text
//!  which architecture? ──▶ a binary search over the number ──▶ an answer
//!          │                                              └──▶ checks of arguments ──▶ an answer
//!          └─ another one: kill
//! ```
//!
//! Numbers that get the same answer are one range, so that the search is a few comparisons
//! deep. A call newer than the newest one that the rules name gets ENOSYS, not the default
//! answer: programs then fall back to an older call, where EPERM would make them fail.
//!
//! x32 is no architecture of its own for the kernel: it is x86-64 with bit 30 of the number
//! set, so its rules are further up on the same line of numbers.

mod architectures;
mod conditions;
#[cfg(test)]
mod interpreter;
mod search;

use std::collections::HashMap;

use linux::seccomp::{FilterFlags, INSTRUCTIONS_MAX, Instruction};
use oci::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSyscall};

use crate::error::ProcessError;

use architectures::{Architecture, Width};
use conditions::Conditions;
use search::{Line, Range, Verdict};

/// A filter ready to be installed.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) flags: FilterFlags,
}

/// Why a filter could not be made: the field below `linux.seccomp`, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilterError {
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl From<FilterError> for ProcessError {
    fn from(error: FilterError) -> Self {
        Self::invalid(format!("linux.seccomp.{}", error.field), error.reason)
    }
}

/// What the kernel does with a call: the values that a filter returns.
mod answer {
    pub(super) const KILL_PROCESS: u32 = 0x8000_0000;
    pub(super) const KILL_THREAD: u32 = 0;
    pub(super) const TRAP: u32 = 0x0003_0000;
    pub(super) const ERRNO: u32 = 0x0005_0000;
    pub(super) const TRACE: u32 = 0x7ff0_0000;
    pub(super) const LOG: u32 = 0x7ffc_0000;
    pub(super) const ALLOW: u32 = 0x7fff_0000;
}

/// What calls of an architecture get that the configuration does not list.
const FOREIGN_ARCHITECTURE: u32 = answer::KILL_THREAD;

const ERRNO_MAX: u32 = 4095;

/// Compiles the rules.
pub(crate) fn compile(rules: &LinuxSeccomp) -> Result<Filter, FilterError> {
    let default = answer_of(rules.default_action(), rules.default_errno_ret(), "defaultAction")?;
    let unknown = answer_to_unknown(rules.default_action(), default);
    let architectures = architectures::listed(rules.architectures().as_deref())?;
    let syscalls = rules.syscalls().as_deref().unwrap_or_default();

    let named = Named::new(syscalls)?;
    let line = |group: &[Architecture]| {
        let mut ranges = Vec::new();
        for architecture in group {
            ranges.extend(named.ranges(architecture, default, unknown));
        }
        ranges.extend(end_of_the_line(group, default));
        Line { architecture: group[0].kernel_number, ranges }
    };
    let lines = architectures::by_kernel_number(&architectures).map(line).collect();
    let instructions = search::program(lines, FOREIGN_ARCHITECTURE);
    if instructions.len() > INSTRUCTIONS_MAX {
        return Err(FilterError {
            field: "syscalls".to_owned(),
            reason: format!("the rules need {} instructions", instructions.len()),
        });
    }
    Ok(Filter { instructions, flags: flags_of(rules)? })
}

/// What is behind the calls of the architectures on one line of numbers.
fn end_of_the_line(group: &[Architecture], default: u32) -> Vec<Range> {
    let last = group.last().expect("a group has a member");
    let mut ranges = Vec::new();
    if let Some(limit) = last.last_number {
        ranges.push(Range { start: limit + 1, verdict: Verdict::Answer(FOREIGN_ARCHITECTURE) });
    }
    if last.has_minus_one {
        // A debugger that skips a call leaves -1 as its number.
        ranges.push(Range { start: u32::MAX, verdict: Verdict::Answer(default) });
    }
    ranges
}

/// The rules by the names of their calls.
struct Named<'a> {
    rules: Vec<Rule>,
    /// The rules of each name, by index, in the configuration's order: the first and, rarely,
    /// others.
    by_name: HashMap<&'a str, (usize, Vec<usize>)>,
}

/// One rule of the configuration, whatever calls it is for.
struct Rule {
    /// For arguments of 64 and of 32 bits. Each list of conditions is enough by itself.
    alternatives: [Vec<Conditions>; 2],
    answer: u32,
}

impl<'a> Named<'a> {
    fn new(syscalls: &'a [LinuxSyscall]) -> Result<Self, FilterError> {
        let mut named = Self {
            rules: Vec::with_capacity(syscalls.len()),
            by_name: HashMap::with_capacity(syscalls.iter().map(|rule| rule.names().len()).sum()),
        };
        for (at, syscall) in syscalls.iter().enumerate() {
            named.rules.push(Rule::new(at, syscall)?);
            for name in syscall.names() {
                let rules = named.by_name.entry(name);
                rules.and_modify(|(_, others)| others.push(at)).or_insert((at, Vec::new()));
            }
        }
        Ok(named)
    }

    /// The line of numbers of one architecture, cut where the verdict changes.
    ///
    /// Goes through the calls of the architecture, not through the names: a name that it does
    /// not have is no mistake, since profiles name the calls of all architectures and of
    /// kernels to come.
    fn ranges(&self, architecture: &Architecture, default: u32, unknown: u32) -> Vec<Range> {
        let mut calls: Vec<(u32, &(usize, Vec<usize>))> = architecture
            .calls()
            .filter_map(|(number, name)| Some((number, self.by_name.get(name)?)))
            .collect();
        calls.sort_unstable_by_key(|(number, _)| *number);
        let mut ranges = Vec::with_capacity(calls.len());
        let mut next = architecture.first_number;
        for (number, rules) in calls {
            if number > next {
                ranges.push(Range { start: next, verdict: Verdict::Answer(default) });
            }
            let verdict = self.verdict(rules, architecture.width, default);
            ranges.push(Range { start: number, verdict });
            next = number + 1;
        }
        ranges.push(Range { start: next, verdict: Verdict::Answer(unknown) });
        ranges
    }

    /// What all rules for one call come to. A rule without conditions holds for whatever the
    /// others do not catch, wherever it stands.
    fn verdict(&self, rules: &(usize, Vec<usize>), width: Width, default: u32) -> Verdict {
        let (first, others) = rules;
        let rules = std::iter::once(first).chain(others).map(|at| &self.rules[*at]);
        let alternatives = rules.flat_map(|rule| {
            rule.alternatives[width as usize].iter().map(|conditions| (conditions, rule.answer))
        });
        let mut otherwise = None;
        let mut checks: Vec<(Conditions, u32)> = Vec::new();
        for (conditions, answer) in alternatives {
            if conditions.is_empty() {
                otherwise.get_or_insert(answer);
            } else {
                checks.push((conditions.clone(), answer));
            }
        }
        let otherwise = otherwise.unwrap_or(default);
        // The first that holds decides, so only at the end can one be left out.
        while checks.pop_if(|(_, answer)| *answer == otherwise).is_some() {}
        if checks.is_empty() {
            return Verdict::Answer(otherwise);
        }
        Verdict::Checks { checks, otherwise }
    }
}

impl Rule {
    fn new(at: usize, syscall: &LinuxSyscall) -> Result<Self, FilterError> {
        let field = || format!("syscalls[{at}]");
        let answer = answer_of(syscall.action(), syscall.errno_ret(), &field())?;
        let alternatives = |width| {
            conditions::alternatives(syscall.args().as_deref(), width)
                .map_err(|reason| FilterError { field: format!("{}.args", field()), reason })
        };
        Ok(Self {
            alternatives: [alternatives(Width::Bits64)?, alternatives(Width::Bits32)?],
            answer,
        })
    }
}

/// What a call gets that is newer than all that the rules name.
fn answer_to_unknown(action: LinuxSeccompAction, default: u32) -> u32 {
    match action {
        LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog => default,
        _ => answer::ERRNO | rustix::io::Errno::NOSYS.raw_os_error().cast_unsigned(),
    }
}

fn answer_of(
    action: LinuxSeccompAction,
    errno: Option<u32>,
    field: &str,
) -> Result<u32, FilterError> {
    let errno = errno.unwrap_or(rustix::io::Errno::PERM.raw_os_error().cast_unsigned());
    let refused = |reason: &str| FilterError { field: field.to_owned(), reason: reason.to_owned() };
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            answer::KILL_THREAD
        }
        LinuxSeccompAction::ScmpActKillProcess => answer::KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => answer::TRAP,
        LinuxSeccompAction::ScmpActErrno if errno > ERRNO_MAX => {
            return Err(refused("errnoRet is larger than any error number"));
        }
        LinuxSeccompAction::ScmpActErrno => answer::ERRNO | errno,
        LinuxSeccompAction::ScmpActTrace => answer::TRACE | (errno & 0xffff),
        LinuxSeccompAction::ScmpActLog => answer::LOG,
        LinuxSeccompAction::ScmpActAllow => answer::ALLOW,
        LinuxSeccompAction::ScmpActNotify => {
            return Err(refused("SCMP_ACT_NOTIFY is not supported"));
        }
    })
}

/// The flags to install a filter with.
pub(crate) fn flags_of(rules: &LinuxSeccomp) -> Result<FilterFlags, FilterError> {
    // What runc does where nothing is said: the mitigation costs much and is not about
    // containers.
    let Some(flags) = rules.flags() else { return Ok(FilterFlags::SPEC_ALLOW) };
    let mut known = FilterFlags::empty();
    for flag in flags {
        known |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => FilterFlags::LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => FilterFlags::TSYNC,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FilterFlags::SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                return Err(FilterError {
                    field: "flags".to_owned(),
                    reason: format!("{flag} is not supported"),
                });
            }
        };
    }
    Ok(known)
}

#[cfg(test)]
mod tests;

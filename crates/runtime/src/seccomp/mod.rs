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
//!
//! What rules mean together is what libseccomp makes of them, by which runc and Docker are
//! known; a test holds the two side by side.

mod architectures;
mod conditions;
#[cfg(test)]
mod interpreter;
mod multiplexed;
mod rules;
mod search;
mod verdicts;

use linux::seccomp::{FilterFlags, INSTRUCTIONS_MAX, Instruction};

use crate::error::ProcessError;

use architectures::Architecture;
use search::Line;

pub(crate) use rules::Rules;

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

impl FilterError {
    fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
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
    pub(super) const NOTIFY: u32 = 0x7fc0_0000;
    pub(super) const TRACE: u32 = 0x7ff0_0000;
    pub(super) const LOG: u32 = 0x7ffc_0000;
    pub(super) const ALLOW: u32 = 0x7fff_0000;
}

/// What calls of an architecture get that the configuration does not list.
const FOREIGN_ARCHITECTURE: u32 = answer::KILL_THREAD;

/// Compiles the rules for this machine.
pub(crate) fn compile(rules: &Rules<'_>) -> Result<Filter, FilterError> {
    compile_for(rules, &architectures::listed(rules.architectures))
}

/// The same for another machine, by its name in Rust.
pub(crate) fn compile_for_machine(rules: &Rules<'_>, machine: &str) -> Result<Filter, FilterError> {
    let machine = architectures::run_by(machine);
    compile_for(rules, &architectures::listed_of(machine, rules.architectures))
}

/// The name of every call of a machine's.
pub(crate) fn call_names(machine: &str) -> impl Iterator<Item = &'static str> {
    architectures::run_by(machine).iter().flat_map(Architecture::calls).map(|(_, name)| name)
}

fn compile_for(rules: &Rules<'_>, architectures: &[Architecture]) -> Result<Filter, FilterError> {
    let by_name = rules.by_name();
    let line = |group: &[Architecture]| Line {
        architecture: group[0].kernel_number,
        ranges: rules.ranges(&by_name, group),
    };
    let lines = architectures::by_kernel_number(architectures).map(line).collect();
    let instructions = search::program(lines, FOREIGN_ARCHITECTURE);
    if instructions.len() > INSTRUCTIONS_MAX {
        let reason = format!(
            "the rules need {} instructions, and the kernel takes {INSTRUCTIONS_MAX}",
            instructions.len()
        );
        return Err(FilterError::new("syscalls", reason));
    }
    Ok(Filter { instructions, flags: rules.flags })
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

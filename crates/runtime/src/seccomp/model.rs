//! What rules mean, said as plainly as can be, for tests: a walk over the list for every call.

use std::collections::BTreeMap;

use oci::runtime::{LinuxSeccomp, LinuxSeccompOperator, LinuxSyscall};

use super::architectures::{Architecture, Words};
use super::interpreter::Call;
use super::rules::Rules;
use super::{FOREIGN_ARCHITECTURE, answer};

/// What a call has to get.
pub(super) struct Model<'a> {
    seccomp: &'a LinuxSeccomp,
    rules: Rules<'a>,
    architectures: Vec<Known<'a>>,
}

/// An architecture with what its numbers mean.
struct Known<'a> {
    architecture: &'a Architecture,
    names: BTreeMap<u32, &'static str>,
    /// The newest number that the rules name.
    newest: Option<u32>,
}

/// A verdict, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Of an architecture that is not listed.
    Foreign,
    /// Newer than all that the rules name.
    Newer,
    /// By the rules for its name, or the default.
    ByName { name: Option<&'static str>, answer: u32 },
}

impl<'a> Model<'a> {
    pub(super) fn new(seccomp: &'a LinuxSeccomp, architectures: &'a [Architecture]) -> Self {
        let rules = Rules::new(seccomp).unwrap();
        let mut model = Self { seccomp, rules, architectures: Vec::new() };
        for architecture in architectures {
            let names: BTreeMap<u32, &'static str> = architecture.calls().collect();
            let is_named = |(number, name): &(&u32, &&str)| {
                !architecture.is_private(**number) && model.is_named(architecture, name)
            };
            let newest = names.iter().rfind(is_named).map(|(number, _)| *number);
            model.architectures.push(Known { architecture, names, newest });
        }
        model
    }

    /// The verdict's value in a filter.
    pub(super) fn answer(&self, verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Foreign => FOREIGN_ARCHITECTURE,
            Verdict::Newer => self.rules.unknown,
            Verdict::ByName { answer, .. } => answer,
        }
    }

    pub(super) fn verdict(&self, call: Call) -> Verdict {
        let same = |known: &&Known<'_>| known.architecture.kernel_number == call.architecture;
        let Some(last) = self.architectures.iter().rfind(same) else { return Verdict::Foreign };
        if call.number == u32::MAX && last.architecture.has_minus_one {
            return Verdict::ByName { name: None, answer: self.rules.default };
        }
        let holds = |known: &&Known<'_>| {
            let last = known.architecture.last_number.unwrap_or(u32::MAX);
            same(known) && (known.architecture.first_number..=last).contains(&call.number)
        };
        match self.architectures.iter().rfind(holds) {
            Some(known) => self.verdict_in(known, call),
            None => Verdict::Foreign,
        }
    }

    fn verdict_in(&self, known: &Known<'_>, call: Call) -> Verdict {
        let Known { architecture, names, newest } = known;
        let name = names.get(&call.number).copied();
        let is_named = name.is_some_and(|name| self.is_named(architecture, name));
        let is_newer = newest.is_some_and(|newest| call.number > newest);
        let is_unknown = architecture.has_unknown_zero && call.number == 0 && newest.is_some();
        if is_unknown || (is_newer && !is_named) {
            return Verdict::Newer;
        }
        let answer = name.and_then(|name| self.answer_by_name(architecture, name, call));
        Verdict::ByName { name, answer: answer.unwrap_or(self.rules.default) }
    }

    /// Whether a rule is about a call, be it by a call that this one stands for.
    fn is_named(&self, architecture: &Architecture, name: &str) -> bool {
        let has_rule = |name: &str| self.rules_of(name).next().is_some();
        let stands_for = architecture.multiplexed_by(name);
        has_rule(name)
            || stands_for.is_some_and(|stands_for| {
                stands_for
                    .calls
                    .iter()
                    .any(|(name, _)| self.rules_that_count(name).next().is_some())
            })
    }

    fn rules_of(&self, name: &str) -> impl Iterator<Item = (usize, &'a LinuxSyscall)> {
        let rules = self.seccomp.syscalls().iter().flatten().enumerate();
        rules.filter(move |(_, rule)| rule.names().iter().any(|one| one == name))
    }

    fn rules_that_count(&self, name: &str) -> impl Iterator<Item = (u32, &'a LinuxSyscall)> {
        let answers = self.rules_of(name).map(|(at, rule)| (self.rules.answer_at(at), rule));
        answers.filter(|(answer, _)| *answer != self.rules.default)
    }

    fn answer_by_name(&self, architecture: &Architecture, name: &str, call: Call) -> Option<u32> {
        let is_free = |rule: &LinuxSyscall| rule.args().iter().flatten().next().is_none();
        let own = || self.rules_that_count(name);
        if let Some((answer, _)) = own().find(|(_, rule)| is_free(rule)) {
            return Some(answer);
        }
        let mask = if architecture.words == Words::One { u64::from(u32::MAX) } else { u64::MAX };
        if let Some(multiplexer) = architecture.multiplexed_by(name) {
            for (inner, selector) in multiplexer.calls {
                if call.arguments[0] & multiplexer.mask != *selector {
                    continue;
                }
                let holds = |(_, rule): &(u32, &LinuxSyscall)| holds(rule, call, mask, true);
                if let Some((answer, _)) = self.rules_that_count(inner).find(holds) {
                    return Some(answer);
                }
            }
        }
        own().find(|(_, rule)| holds(rule, call, mask, false)).map(|(answer, _)| answer)
    }
}

/// Whether a rule's conditions hold, with or without those on the first argument.
fn holds(rule: &LinuxSyscall, call: Call, mask: u64, is_first_hidden: bool) -> bool {
    let conditions = || rule.args().iter().flatten();
    let is_repeated = conditions()
        .any(|one| conditions().filter(|other| other.index() == one.index()).count() > 1);
    let holds = |condition: &oci::runtime::LinuxSeccompArg| {
        let argument = call.arguments[condition.index()] & mask;
        let value = condition.value() & mask;
        if is_first_hidden && condition.index() == 0 {
            return true;
        }
        match condition.op() {
            LinuxSeccompOperator::ScmpCmpNe => argument != value,
            LinuxSeccompOperator::ScmpCmpLt => argument < value,
            LinuxSeccompOperator::ScmpCmpLe => argument <= value,
            LinuxSeccompOperator::ScmpCmpEq => argument == value,
            LinuxSeccompOperator::ScmpCmpGe => argument >= value,
            LinuxSeccompOperator::ScmpCmpGt => argument > value,
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                argument & value == condition.value_two().unwrap_or(0) & value
            }
        }
    };
    if is_repeated { conditions().any(holds) } else { conditions().all(holds) }
}

/// What a default that refuses makes of calls to come.
pub(super) const ENOSYS: u32 = answer::ERRNO | 38;

//! What each call gets, as ranges of an architecture's numbers.

use super::FOREIGN_ARCHITECTURE;
use super::architectures::Architecture;
use super::conditions::{Condition, Conditions};
use super::multiplexed::Multiplexer;
use super::rules::{ByName, Rules};
use super::search::{Range, Verdict};

impl Rules<'_> {
    /// The line of numbers of architectures that the kernel does not tell apart, cut where the
    /// verdict changes.
    pub(super) fn ranges(&self, by_name: &ByName<'_>, group: &[Architecture]) -> Vec<Range> {
        let mut line = Line { ranges: Vec::new() };
        for architecture in group {
            self.add_ranges(by_name, architecture, &mut line);
        }
        let last = group.last().expect("a group has a member");
        if let Some(limit) = last.last_number {
            line.go_on(limit + 1, Verdict::Answer(FOREIGN_ARCHITECTURE));
        }
        if last.has_minus_one {
            // A debugger that skips a call leaves -1 as its number.
            line.go_on(u32::MAX, Verdict::Answer(self.default));
        }
        line.ranges
    }

    /// Goes through the calls of the architecture, not through the names: a name that it does
    /// not have is no mistake, since profiles name the calls of all architectures and of
    /// kernels to come.
    fn add_ranges(&self, by_name: &ByName<'_>, architecture: &Architecture, line: &mut Line) {
        let verdict_on = |(number, name)| {
            let verdict = self.verdict(by_name, architecture, name)?;
            Some((number, verdict))
        };
        let mut verdicts = architecture.calls().filter_map(verdict_on).peekable();
        // Where the rules name no call at all, none is newer than they are.
        let has_newest = verdicts.peek().is_some_and(|(first, _)| !architecture.is_private(*first));
        let unknown = Verdict::Answer(if has_newest { self.unknown } else { self.default });
        let mut next = architecture.first_number;
        if architecture.has_unknown_zero {
            line.go_on(next, unknown.clone());
            next += 1;
        }
        for (number, verdict) in verdicts {
            if number < next {
                continue;
            }
            if number > next {
                let is_newer = architecture.is_private(number);
                let default = Verdict::Answer(self.default);
                line.go_on(next, if is_newer { unknown.clone() } else { default });
            }
            line.go_on(number, verdict);
            next = number + 1;
        }
        line.go_on(next, unknown);
    }

    /// What all rules for one call come to: a rule without conditions is the only one that
    /// counts, wherever it stands. Otherwise the first whose conditions hold. `None` if there is
    /// no rule.
    fn verdict(
        &self,
        by_name: &ByName<'_>,
        architecture: &Architecture,
        name: &str,
    ) -> Option<Verdict> {
        let own = by_name.get(name);
        let rules = || own.into_iter().flat_map(|rules| self.of_name(rules));
        if let Some(rule) = rules().find(|rule| rule.has_no_conditions) {
            return Some(Verdict::Answer(rule.answer));
        }
        let mut checks = match architecture.multiplexed_by(name) {
            Some(multiplexer) => self.multiplexed(by_name, multiplexer),
            None => Vec::new(),
        };
        for rule in rules() {
            let alternatives = rule.alternatives.iter();
            checks.extend(alternatives.map(|conditions| (conditions.clone(), rule.answer)));
        }
        if checks.is_empty() {
            return own.map(|_| Verdict::Answer(self.default));
        }
        Some(Verdict::Checks { checks, words: architecture.words, otherwise: self.default })
    }

    /// What the rules for the calls behind a multiplexer make of it. Their first argument is not
    /// the call's own there, so what they say of that is left out.
    fn multiplexed(
        &self,
        by_name: &ByName<'_>,
        multiplexer: &Multiplexer,
    ) -> Vec<(Conditions, u32)> {
        let mut checks = Vec::new();
        for (name, selector) in multiplexer.calls {
            for rule in by_name.get(name).into_iter().flat_map(|rules| self.of_name(rules)) {
                for conditions in &rule.alternatives {
                    let selector = Condition::selector(multiplexer.mask, *selector);
                    let others = conditions.iter().filter(|other| !other.is_about_first_argument());
                    let all = std::iter::once(&selector).chain(others).copied().collect();
                    checks.push((all, rule.answer));
                }
            }
        }
        checks
    }
}

/// A line of numbers in the making.
struct Line {
    ranges: Vec<Range>,
}

impl Line {
    /// From `start` on, `verdict` holds.
    fn go_on(&mut self, start: u32, verdict: Verdict) {
        if self.ranges.last().is_none_or(|last| last.verdict != verdict) {
            self.ranges.push(Range { start, verdict });
        }
    }
}

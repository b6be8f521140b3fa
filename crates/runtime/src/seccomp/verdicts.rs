//! What each call gets, as ranges of an architecture's numbers.

use super::FOREIGN_ARCHITECTURE;
use super::architectures::Architecture;
use super::conditions::{Condition, Conditions};
use super::multiplexed::Multiplexer;
use super::rules::{ByName, OfName, Rules};
use super::search::{Range, Verdict};

impl Rules<'_> {
    /// The line of numbers of architectures that the kernel does not tell apart, cut where the
    /// verdict changes.
    pub(super) fn ranges(&self, by_name: &ByName<'_>, group: &[Architecture]) -> Vec<Range> {
        let mut ranges = Vec::with_capacity(group.len() * by_name.len());
        for architecture in group {
            self.add_ranges(by_name, architecture, &mut ranges);
        }
        let last = group.last().expect("a group has a member");
        if let Some(limit) = last.last_number {
            ranges.push(Range { start: limit + 1, verdict: Verdict::Answer(FOREIGN_ARCHITECTURE) });
        }
        if last.has_minus_one {
            // A debugger that skips a call leaves -1 as its number.
            ranges.push(Range { start: u32::MAX, verdict: Verdict::Answer(self.default) });
        }
        ranges
    }

    /// Goes through the calls of the architecture, not through the names: a name that it does
    /// not have is no mistake, since profiles name the calls of all architectures and of
    /// kernels to come.
    fn add_ranges(
        &self,
        by_name: &ByName<'_>,
        architecture: &Architecture,
        ranges: &mut Vec<Range>,
    ) {
        let verdicts = self.verdicts(by_name, architecture);
        // Where the rules name no call at all, none is newer than they are.
        let has_newest = verdicts.iter().any(|(number, _)| !architecture.is_private(*number));
        let unknown = if has_newest { self.unknown } else { self.default };
        let mut next = architecture.first_number;
        if architecture.has_unknown_zero {
            ranges.push(Range { start: 0, verdict: Verdict::Answer(unknown) });
            next = 1;
        }
        for (number, verdict) in verdicts {
            if number < next {
                continue;
            }
            if number > next {
                let is_newer = architecture.is_private(number);
                let gap = if is_newer { unknown } else { self.default };
                ranges.push(Range { start: next, verdict: Verdict::Answer(gap) });
            }
            ranges.push(Range { start: number, verdict });
            next = number + 1;
        }
        ranges.push(Range { start: next, verdict: Verdict::Answer(unknown) });
    }

    /// The verdict on each call that a rule is for, by number.
    fn verdicts(&self, by_name: &ByName<'_>, architecture: &Architecture) -> Vec<(u32, Verdict)> {
        let verdict = |(number, name)| {
            let multiplexer = architecture.multiplexed_by(name);
            let checks = match multiplexer {
                Some(multiplexer) => self.multiplexed(by_name, multiplexer),
                None => Vec::new(),
            };
            let own = by_name.get(name);
            if own.is_none() && checks.is_empty() {
                return None;
            }
            Some((number, self.verdict(own, checks, architecture)))
        };
        let mut verdicts: Vec<(u32, Verdict)> = architecture.calls().filter_map(verdict).collect();
        verdicts.sort_unstable_by_key(|(number, _)| *number);
        verdicts
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

    /// What all rules for one call come to: a rule without conditions is the only one that
    /// counts, wherever it stands. Otherwise the first whose conditions hold.
    fn verdict(
        &self,
        own: Option<&OfName>,
        mut checks: Vec<(Conditions, u32)>,
        architecture: &Architecture,
    ) -> Verdict {
        for rule in own.into_iter().flat_map(|rules| self.of_name(rules)) {
            if rule.alternatives.iter().any(Vec::is_empty) {
                return Verdict::Answer(rule.answer);
            }
            let alternatives = rule.alternatives.iter();
            checks.extend(alternatives.map(|conditions| (conditions.clone(), rule.answer)));
        }
        if checks.is_empty() {
            return Verdict::Answer(self.default);
        }
        Verdict::Checks { checks, words: architecture.words, otherwise: self.default }
    }
}

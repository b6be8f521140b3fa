//! The search over the numbers of calls, as instructions.
//!
//! A program is written from its end to its beginning, since jumps lead forward only: when a
//! jump is written, all that it can lead to is there. Answers are shared. A conditional jump
//! reaches 255 instructions far; what is farther away gets a copy of the answer, or a plain
//! jump, which reaches any distance.

use linux::seccomp::Instruction;

use super::architectures::Words;
use super::conditions::{self, Conditions};

// Operations of classic BPF; see the kernel's `linux/bpf_common.h`.
const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_GREATER_EQUAL: u16 = 0x35;
pub(super) const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

// Places in what the kernel shows of a call (`struct seccomp_data`).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The farthest that a conditional jump reaches.
const JUMP_MAX: usize = 255;

/// What to do with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Answer(u32),
    /// The answer of the first check that holds.
    Checks {
        checks: Vec<(Conditions, u32)>,
        words: Words,
        otherwise: u32,
    },
}

/// Numbers from `start` up to the next range.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) verdict: Verdict,
}

/// One architecture's line of numbers, in order.
pub(super) struct Line {
    pub(super) architecture: u32,
    pub(super) ranges: Vec<Range>,
}

pub(super) fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD_WORD, jump_true: 0, jump_false: 0, operand: offset }
}

pub(super) fn answer(value: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand: value }
}

/// Finds the line of a call's architecture and its number's range there, and answers; calls of
/// other architectures get `foreign`.
pub(super) fn program(lines: Vec<Line>, foreign: u32) -> Vec<Instruction> {
    let mut writer = BackwardWriter::default();
    let mut otherwise = writer.answer(foreign);
    for Line { architecture, ranges } in lines.into_iter().rev() {
        let search = writer.search(&ranges);
        // One range only may have found its answer further down.
        writer.go_to(search);
        let line = writer.push(load(NUMBER));
        otherwise = writer.jump_if(JUMP_EQUAL, architecture, line, otherwise);
    }
    // The first comparison is where the program begins, behind this.
    writer.go_to(otherwise);
    writer.push(load(ARCHITECTURE));
    writer.finish()
}

/// A program, last instruction first.
#[derive(Default)]
struct BackwardWriter {
    reversed: Vec<Instruction>,
    /// The latest place of each answer.
    answers: Vec<(u32, Place)>,
}

/// An instruction, by its distance from the end.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(usize);

impl BackwardWriter {
    fn push(&mut self, instruction: Instruction) -> Place {
        self.reversed.push(instruction);
        Place(self.reversed.len() - 1)
    }

    /// How many instructions the next one written would have to skip to get to `place`.
    fn distance(&self, place: Place) -> usize {
        self.reversed.len() - 1 - place.0
    }

    /// Writes the search. Where it begins, which is what was written last unless there is one
    /// range only.
    fn search(&mut self, ranges: &[Range]) -> Place {
        let [lower @ .., last] = ranges else { unreachable!("a line has a range") };
        if lower.is_empty() {
            return self.verdict(&last.verdict);
        }
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        let above = self.search(upper);
        let below = self.search(lower);
        self.jump_if(JUMP_GREATER_EQUAL, upper[0].start, above, below)
    }

    fn verdict(&mut self, verdict: &Verdict) -> Place {
        match verdict {
            Verdict::Answer(value) => self.answer(*value),
            Verdict::Checks { checks, words, otherwise } => {
                self.push(answer(*otherwise));
                for (conditions, value) in checks.iter().rev() {
                    self.reversed.extend(conditions::rule(conditions, *words, *value).iter().rev());
                }
                Place(self.reversed.len() - 1)
            }
        }
    }

    /// An answer in reach, or a new one. Some room is left for what is between it and its jump.
    fn answer(&mut self, value: u32) -> Place {
        const IN_REACH: usize = JUMP_MAX / 2;
        let known = self.answers.iter().position(|(known, _)| *known == value);
        if let Some(known) = known
            && self.distance(self.answers[known].1) < IN_REACH
        {
            return self.answers[known].1;
        }
        let place = self.push(answer(value));
        match known {
            Some(known) => self.answers[known].1 = place,
            None => self.answers.push((value, place)),
        }
        place
    }

    /// Writes a comparison that leads to one of two places.
    fn jump_if(&mut self, comparison: u16, operand: u32, yes: Place, no: Place) -> Place {
        // A plain jump takes one instruction itself, hence the room for two.
        let yes = self.bring_into_reach(yes);
        let no = self.bring_into_reach(no);
        let short = |distance| u8::try_from(distance).expect("it was brought into reach");
        let (jump_true, jump_false) = (short(self.distance(yes)), short(self.distance(no)));
        self.push(Instruction { code: comparison, jump_true, jump_false, operand })
    }

    fn bring_into_reach(&mut self, place: Place) -> Place {
        if self.distance(place) + 1 < JUMP_MAX {
            return place;
        }
        let target = self.reversed[place.0];
        if target.code == RETURN { self.push(target) } else { self.far_jump(place) }
    }

    fn far_jump(&mut self, place: Place) -> Place {
        let operand = u32::try_from(self.distance(place)).expect("a program is 4096 at most");
        self.push(Instruction { code: JUMP, jump_true: 0, jump_false: 0, operand })
    }

    /// Makes sure that the next instruction written is followed by `place`.
    fn go_to(&mut self, place: Place) {
        if self.distance(place) > 0 {
            self.far_jump(place);
        }
    }

    fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }
}

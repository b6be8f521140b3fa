//! The search over the numbers of calls, as instructions.
//!
//! A conditional jump reaches 255 instructions far, a plain one any distance: where the first
//! does not do, it jumps over the second.

use linux::seccomp::Instruction;

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

/// What to do with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Answer(u32),
    /// The answer of the first check that holds.
    Checks {
        checks: Vec<(Conditions, u32)>,
        otherwise: u32,
    },
}

/// Numbers from `start` up to the next range.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) verdict: Verdict,
}

pub(super) fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD_WORD, jump_true: 0, jump_false: 0, operand: offset }
}

pub(super) fn load_architecture() -> Instruction {
    load(ARCHITECTURE)
}

pub(super) fn answer(value: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand: value }
}

/// Runs `block`, which always answers, for one architecture only.
pub(super) fn if_architecture(number: u32, block: Vec<Instruction>) -> Vec<Instruction> {
    let mut program = skip_unless(JUMP_EQUAL, number, block.len());
    program.extend(block);
    program
}

/// Goes on with the next instruction if the comparison holds, or behind the next `length`.
fn skip_unless(comparison: u16, operand: u32, length: usize) -> Vec<Instruction> {
    if let Ok(jump_false) = u8::try_from(length) {
        return vec![Instruction { code: comparison, jump_true: 0, jump_false, operand }];
    }
    vec![Instruction { code: comparison, jump_true: 1, jump_false: 0, operand }, far_jump(length)]
}

/// Goes on behind the next `length` instructions if the comparison holds.
fn skip_if(comparison: u16, operand: u32, length: usize) -> Vec<Instruction> {
    if let Ok(jump_true) = u8::try_from(length) {
        return vec![Instruction { code: comparison, jump_true, jump_false: 0, operand }];
    }
    vec![Instruction { code: comparison, jump_true: 0, jump_false: 1, operand }, far_jump(length)]
}

fn far_jump(length: usize) -> Instruction {
    let operand = u32::try_from(length).expect("a program has 4096 instructions at most");
    Instruction { code: JUMP, jump_true: 0, jump_false: 0, operand }
}

/// Looks the call's number up in `ranges`, which are in order, and answers.
pub(super) fn program(mut ranges: Vec<Range>) -> Vec<Instruction> {
    ranges.dedup_by(|later, earlier| later.verdict == earlier.verdict);
    let mut program = vec![load(NUMBER)];
    program.extend(search(&ranges));
    program
}

fn search(ranges: &[Range]) -> Vec<Instruction> {
    if let [range] = ranges {
        return code_of(&range.verdict);
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let below = search(lower);
    let mut program = skip_if(JUMP_GREATER_EQUAL, upper[0].start, below.len());
    program.extend(below);
    program.extend(search(upper));
    program
}

fn code_of(verdict: &Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Answer(value) => vec![answer(*value)],
        Verdict::Checks { checks, otherwise } => checks
            .iter()
            .flat_map(|(conditions, value)| conditions::rule(conditions, *value))
            .chain([answer(*otherwise)])
            .collect(),
    }
}

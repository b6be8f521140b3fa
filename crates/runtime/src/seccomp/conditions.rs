//! Checks of a call's arguments.
//!
//! The kernel's filters compare 32 bits at a time, so a 64-bit argument takes two comparisons:
//! of the upper half, and where that does not decide, of the lower.

use linux::seccomp::Instruction;
use oci::runtime::{LinuxSeccompArg, LinuxSeccompOperator};

use super::architectures::Words;
use super::search::{AND, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, answer, load};

/// Arguments that a call can have.
const ARGUMENTS_MAX: usize = 6;

/// Where the first argument is in what the kernel shows of a call.
const FIRST_ARGUMENT: u32 = 16;

/// Conditions that all have to hold.
pub(super) type Conditions = Vec<Condition>;

/// What one argument has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    argument: u32,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equal { mask: u64, value: u64 },
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Greater(u64),
    GreaterOrEqual(u64),
}

/// The conditions of one rule. Each list is enough by itself: a rule that names one argument
/// twice means either of the two, as it always has for runc.
pub(super) fn alternatives(
    arguments: Option<&[LinuxSeccompArg]>,
) -> Result<Vec<Conditions>, String> {
    let conditions: Conditions =
        arguments.unwrap_or_default().iter().map(Condition::new).collect::<Result<_, _>>()?;
    let is_repeated = |condition: &Condition| {
        conditions.iter().filter(|other| other.argument == condition.argument).count() > 1
    };
    if conditions.iter().any(is_repeated) {
        return Ok(conditions.into_iter().map(|condition| vec![condition]).collect());
    }
    Ok(vec![conditions])
}

impl Condition {
    fn new(argument: &LinuxSeccompArg) -> Result<Self, String> {
        let index = argument.index();
        let number = u32::try_from(index).ok().filter(|_| index < ARGUMENTS_MAX);
        let number = number.ok_or_else(|| format!("a call has no argument {index}"))?;
        let value = argument.value();
        let test = match argument.op() {
            LinuxSeccompOperator::ScmpCmpNe => Test::NotEqual(value),
            LinuxSeccompOperator::ScmpCmpLt => Test::Less(value),
            LinuxSeccompOperator::ScmpCmpLe => Test::LessOrEqual(value),
            LinuxSeccompOperator::ScmpCmpEq => Test::Equal { mask: u64::MAX, value },
            LinuxSeccompOperator::ScmpCmpGe => Test::GreaterOrEqual(value),
            LinuxSeccompOperator::ScmpCmpGt => Test::Greater(value),
            // The first value is the mask, the second what has to be left. What the mask hides
            // of that does not count, as it never has for runc.
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                Test::Equal { mask: value, value: argument.value_two().unwrap_or(0) & value }
            }
        };
        Ok(Self { argument: number, test })
    }

    /// That the first argument, less what `mask` hides, is `value`.
    pub(super) fn selector(mask: u64, value: u64) -> Self {
        Self { argument: 0, test: Test::Equal { mask, value } }
    }

    pub(super) fn is_about_first_argument(&self) -> bool {
        self.argument == 0
    }

    /// Goes on behind itself if it holds.
    fn code(self, words: Words) -> Vec<Pending> {
        let place = FIRST_ARGUMENT + self.argument * 8;
        let (high, low) = match words {
            Words::Two => (Some(place + 4), place),
            Words::TwoBigEndian => (Some(place), place + 4),
            Words::One => (None, place),
        };
        let mut code = Vec::new();
        if let Some(high) = high {
            code.push(Pending::Plain(load(high)));
            code.extend(self.test.code_high());
        }
        code.push(Pending::Plain(load(low)));
        code.extend(self.test.code_low());
        code
    }
}

/// An instruction whose jumps are not aimed yet.
#[derive(Debug, Clone, Copy)]
enum Pending {
    Plain(Instruction),
    Jump { comparison: u16, operand: u32, if_true: Target, if_false: Target },
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Next,
    /// Behind the condition.
    Holds,
    /// Behind the rule.
    Fails,
}

fn jump(comparison: u16, operand: u32, if_true: Target, if_false: Target) -> Pending {
    Pending::Jump { comparison, operand, if_true, if_false }
}

fn high(value: u64) -> u32 {
    u32::try_from(value >> 32).expect("32 bits are left")
}

fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).expect("32 bits are left")
}

fn masked(mask: u32) -> Option<Pending> {
    let and = Instruction { code: AND, jump_true: 0, jump_false: 0, operand: mask };
    (mask != u32::MAX).then_some(Pending::Plain(and))
}

impl Test {
    /// The upper half decides unless it is equal.
    fn code_high(self) -> Vec<Pending> {
        use Target::{Fails, Holds, Next};
        match self {
            Self::Equal { mask, value } => masked(high(mask))
                .into_iter()
                .chain([jump(JUMP_EQUAL, high(value), Next, Fails)])
                .collect(),
            Self::NotEqual(value) => vec![jump(JUMP_EQUAL, high(value), Next, Holds)],
            Self::Less(value) | Self::LessOrEqual(value) => vec![
                jump(JUMP_GREATER, high(value), Fails, Next),
                jump(JUMP_EQUAL, high(value), Next, Holds),
            ],
            Self::Greater(value) | Self::GreaterOrEqual(value) => vec![
                jump(JUMP_GREATER, high(value), Holds, Next),
                jump(JUMP_EQUAL, high(value), Next, Fails),
            ],
        }
    }

    fn code_low(self) -> Vec<Pending> {
        use Target::{Fails, Holds};
        match self {
            Self::Equal { mask, value } => masked(low(mask))
                .into_iter()
                .chain([jump(JUMP_EQUAL, low(value), Holds, Fails)])
                .collect(),
            Self::NotEqual(value) => vec![jump(JUMP_EQUAL, low(value), Fails, Holds)],
            Self::Less(value) => vec![jump(JUMP_GREATER_EQUAL, low(value), Fails, Holds)],
            Self::LessOrEqual(value) => vec![jump(JUMP_GREATER, low(value), Fails, Holds)],
            Self::Greater(value) => vec![jump(JUMP_GREATER, low(value), Holds, Fails)],
            Self::GreaterOrEqual(value) => {
                vec![jump(JUMP_GREATER_EQUAL, low(value), Holds, Fails)]
            }
        }
    }
}

/// Answers `yes` if all conditions hold, and goes on behind itself otherwise.
pub(super) fn rule(conditions: &[Condition], words: Words, yes: u32) -> Vec<Instruction> {
    let parts: Vec<Vec<Pending>> =
        conditions.iter().map(|condition| condition.code(words)).collect();
    // The answer is behind the conditions, and behind it is where a failure leads.
    let length: usize = parts.iter().map(Vec::len).sum::<usize>() + 1;
    let mut program = Vec::with_capacity(length);
    for part in parts {
        let end = program.len() + part.len();
        for pending in part {
            let at = program.len();
            let distance = |target| {
                let to = match target {
                    Target::Next => at + 1,
                    Target::Holds => end,
                    Target::Fails => length,
                };
                u8::try_from(to - at - 1).expect("six conditions are 36 instructions")
            };
            program.push(match pending {
                Pending::Plain(instruction) => instruction,
                Pending::Jump { comparison, operand, if_true, if_false } => Instruction {
                    code: comparison,
                    jump_true: distance(if_true),
                    jump_false: distance(if_false),
                    operand,
                },
            });
        }
    }
    program.push(answer(yes));
    program
}

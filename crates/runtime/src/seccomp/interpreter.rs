//! Runs a filter as the kernel would, for tests.

use linux::seccomp::Instruction;

/// A system call as a filter sees it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call {
    pub(super) architecture: u32,
    pub(super) number: u32,
    pub(super) arguments: [u64; 6],
}

/// The filter's answer, and how many instructions it took.
pub(super) fn run(program: &[Instruction], call: Call) -> (u32, usize) {
    let mut accumulator = 0;
    let mut at = 0;
    for steps in 1.. {
        let Instruction { code, jump_true, jump_false, operand } = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jump_true } else { jump_false });
        match code {
            0x20 => accumulator = word(call, operand),
            0x05 => at += operand as usize,
            0x15 => at += jump(accumulator == operand),
            0x25 => at += jump(accumulator > operand),
            0x35 => at += jump(accumulator >= operand),
            0x54 => accumulator &= operand,
            0x06 => return (operand, steps),
            code => panic!("unknown instruction {code:#x}"),
        }
    }
    unreachable!("the loop has no end")
}

/// The kernel shows a call's number, its architecture, its place in the program and its six
/// arguments, each in the machine's order of bytes.
fn word(call: Call, offset: u32) -> u32 {
    const LITTLE_ENDIAN: u32 = 0x4000_0000;
    assert!(offset.is_multiple_of(4) && offset < 64, "{offset} is no word of a call");
    let halves = |long: u64| [long & u64::from(u32::MAX), long >> 32];
    match offset / 4 {
        0 => call.number,
        1 => call.architecture,
        2 | 3 => 0,
        word => {
            let [low, high] = halves(call.arguments[word as usize / 2 - 2]);
            let is_first = word % 2 == 0;
            let is_low = is_first == (call.architecture & LITTLE_ENDIAN != 0);
            u32::try_from(if is_low { low } else { high }).unwrap()
        }
    }
}

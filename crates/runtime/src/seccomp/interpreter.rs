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

fn word(call: Call, offset: u32) -> u32 {
    let mut bytes = Vec::new();
    bytes.extend(call.number.to_le_bytes());
    bytes.extend(call.architecture.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    for argument in call.arguments {
        bytes.extend(argument.to_le_bytes());
    }
    let at = offset as usize;
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

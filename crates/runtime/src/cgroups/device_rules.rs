//! Which devices a container may use: from the configuration's list to what each version of
//! cgroups understands.
//!
//! The list is read as the kernel reads writes to version 1's `devices.allow` and
//! `devices.deny`: it starts with everything denied; a rule for all devices sets the default
//! and forgets the exceptions; any other rule adds an exception or takes one back.

use linux::bpf::Instruction;
use oci::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

/// `BPF_DEVCG_ACC_*` of the kernel.
const MAKE_NODE: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const EVERY_ACCESS: u8 = MAKE_NODE | READ | WRITE;

/// The rules in force after the whole list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceRules {
    allowed_by_default: bool,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    device: Devices,
    access: u8,
}

/// One device, or all of a major number, or all of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Devices {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
}

/// `BPF_DEVCG_DEV_*` of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block = 1,
    Character = 2,
}

/// What every container may do, whatever the list says, as runc grants it: make any node (it
/// can still not open it), and use the harmless devices and its own terminals.
const ALWAYS_ALLOWED: [Exception; 10] = [
    allowed(Kind::Character, None, None, MAKE_NODE),
    allowed(Kind::Block, None, None, MAKE_NODE),
    allowed(Kind::Character, Some(1), Some(3), EVERY_ACCESS), // null
    allowed(Kind::Character, Some(1), Some(5), EVERY_ACCESS), // zero
    allowed(Kind::Character, Some(1), Some(7), EVERY_ACCESS), // full
    allowed(Kind::Character, Some(1), Some(8), EVERY_ACCESS), // random
    allowed(Kind::Character, Some(1), Some(9), EVERY_ACCESS), // urandom
    allowed(Kind::Character, Some(5), Some(0), EVERY_ACCESS), // tty
    allowed(Kind::Character, Some(5), Some(2), EVERY_ACCESS), // ptmx
    allowed(Kind::Character, Some(136), None, EVERY_ACCESS),  // pts/*
];

const fn allowed(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u8) -> Exception {
    Exception { device: Devices { kind, major, minor }, access }
}

impl DeviceRules {
    pub(super) fn new(list: &[LinuxDeviceCgroup]) -> Self {
        let mut rules = Self { allowed_by_default: false, exceptions: Vec::new() };
        for rule in list {
            rules.apply(rule);
        }
        for exception in ALWAYS_ALLOWED {
            rules.change(true, exception);
        }
        rules
    }

    /// Whether there is nothing to enforce.
    pub(super) fn allow_everything(&self) -> bool {
        self.allowed_by_default && self.exceptions.is_empty()
    }

    fn apply(&mut self, rule: &LinuxDeviceCgroup) {
        let access = access_of(rule.access().as_deref());
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        let (major, minor) = (number(rule.major()), number(rule.minor()));
        let kind = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::B => Kind::Block,
            LinuxDeviceType::C | LinuxDeviceType::U => Kind::Character,
            // A FIFO is no device: nobody asks.
            LinuxDeviceType::P => return,
            LinuxDeviceType::A => {
                self.allowed_by_default = rule.allow();
                self.exceptions.clear();
                return;
            }
        };
        self.change(rule.allow(), Exception { device: Devices { kind, major, minor }, access });
    }

    fn change(&mut self, allow: bool, change: Exception) {
        let same = self.exceptions.iter_mut().find(|known| known.device == change.device);
        match (allow == self.allowed_by_default, same) {
            (false, Some(known)) => known.access |= change.access,
            (false, None) => self.exceptions.push(change),
            (true, Some(known)) => known.access &= !change.access,
            (true, None) => {}
        }
        self.exceptions.retain(|known| known.access != 0);
    }

    /// The lines to write to `devices.allow` and `devices.deny` of version 1, in order.
    pub(super) fn version1_lines(&self) -> Vec<(&'static str, String)> {
        let (default, other) = if self.allowed_by_default {
            ("devices.allow", "devices.deny")
        } else {
            ("devices.deny", "devices.allow")
        };
        let exceptions = self.exceptions.iter().map(|exception| (other, exception.to_string()));
        [(default, "a".to_owned())].into_iter().chain(exceptions).collect()
    }

    /// The list as systemd has it (`DeviceAllow`), which knows no denials. `None` where all but
    /// some are allowed. What systemd cannot say (a minor number of any major) is left out.
    pub(super) fn systemd_list(&self) -> Option<Vec<(String, String)>> {
        let entry = |exception: &Exception| {
            let Devices { kind, major, minor } = exception.device;
            let name = match kind {
                Kind::Block => "block",
                Kind::Character => "char",
            };
            let path = match (major, minor) {
                (Some(major), Some(minor)) => format!("/dev/{name}/{major}:{minor}"),
                (Some(major), None) => format!("{name}-{major}"),
                (None, None) => format!("{name}-*"),
                (None, Some(_)) => return None,
            };
            Some((path, exception.letters()))
        };
        (!self.allowed_by_default).then(|| self.exceptions.iter().filter_map(entry).collect())
    }

    /// A program of type `cgroup_device`: 1 to allow, 0 to deny.
    pub(super) fn program(&self) -> Vec<Instruction> {
        let mut program = vec![
            // The context: (access << 16 | kind), major, minor; 32 bits each.
            load(KIND, 0),
            copy(ACCESS, KIND),
            immediate(AND, KIND, 0xffff),
            immediate(SHIFT_RIGHT, ACCESS, 16),
            load(MAJOR, 4),
            load(MINOR, 8),
        ];
        for exception in &self.exceptions {
            program.extend(self.check(exception));
        }
        program.extend(answer(self.allowed_by_default));
        program
    }

    fn check(&self, exception: &Exception) -> Vec<Instruction> {
        let Exception { device, access } = exception;
        let mut check = vec![unless(NOT_EQUAL, KIND, device.kind as u32)];
        if *access != EVERY_ACCESS {
            check.push(copy(SCRATCH, ACCESS));
            check.push(immediate(AND, SCRATCH, (*access).into()));
            check.push(if self.allowed_by_default {
                // One denied kind of access among those asked for is enough.
                unless(EQUAL, SCRATCH, 0)
            } else {
                // All that are asked for have to be allowed.
                unless_equal_registers(SCRATCH, ACCESS)
            });
        }
        check.extend(device.major.map(|major| unless(NOT_EQUAL, MAJOR, major)));
        check.extend(device.minor.map(|minor| unless(NOT_EQUAL, MINOR, minor)));
        check.extend(answer(!self.allowed_by_default));
        aim_jumps_behind(&mut check);
        check
    }
}

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Devices { kind, major, minor } = self.device;
        f.write_str(match kind {
            Kind::Block => "b ",
            Kind::Character => "c ",
        })?;
        match major {
            Some(major) => write!(f, "{major}:")?,
            None => f.write_str("*:")?,
        }
        match minor {
            Some(minor) => write!(f, "{minor} ")?,
            None => f.write_str("* ")?,
        }
        f.write_str(&self.letters())
    }
}

impl Exception {
    fn letters(&self) -> String {
        let letters = [(READ, 'r'), (WRITE, 'w'), (MAKE_NODE, 'm')].into_iter();
        letters.filter(|(bit, _)| self.access & bit != 0).map(|(_, letter)| letter).collect()
    }
}

fn access_of(text: Option<&str>) -> u8 {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return EVERY_ACCESS };
    text.bytes().fold(0, |access, letter| {
        access
            | match letter {
                b'r' => READ,
                b'w' => WRITE,
                b'm' => MAKE_NODE,
                _ => 0,
            }
    })
}

// Registers.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

// Operations; see the kernel's `linux/bpf_common.h` and `linux/bpf.h`.
const ALU32: u8 = 0x04;
const JMP32: u8 = 0x06;
const OPERAND_IS_REGISTER: u8 = 0x08;
const AND: u8 = 0x50;
const SHIFT_RIGHT: u8 = 0x70;
const MOVE: u8 = 0xb0;
const EQUAL: u8 = 0x10;
const NOT_EQUAL: u8 = 0x50;
const LOAD_WORD: u8 = 0x61;
const EXIT: u8 = 0x95;

fn load(to: u8, offset: i16) -> Instruction {
    Instruction { code: LOAD_WORD, registers: to | CONTEXT << 4, offset, immediate: 0 }
}

fn copy(to: u8, from: u8) -> Instruction {
    Instruction {
        code: ALU32 | MOVE | OPERAND_IS_REGISTER,
        registers: to | from << 4,
        offset: 0,
        immediate: 0,
    }
}

fn immediate(operation: u8, to: u8, value: u32) -> Instruction {
    Instruction {
        code: ALU32 | operation,
        registers: to,
        offset: 0,
        immediate: value.cast_signed(),
    }
}

/// Leaves the check if the comparison holds. [`aim_jumps_behind`] fills in the distance.
fn unless(comparison: u8, register: u8, value: u32) -> Instruction {
    Instruction {
        code: JMP32 | comparison,
        registers: register,
        offset: 0,
        immediate: value.cast_signed(),
    }
}

fn unless_equal_registers(left: u8, right: u8) -> Instruction {
    Instruction {
        code: JMP32 | NOT_EQUAL | OPERAND_IS_REGISTER,
        registers: left | right << 4,
        offset: 0,
        immediate: 0,
    }
}

fn answer(allow: bool) -> [Instruction; 2] {
    [
        immediate(MOVE, RESULT, allow.into()),
        Instruction { code: EXIT, registers: 0, offset: 0, immediate: 0 },
    ]
}

/// Makes each jump of a check lead to what comes after it.
fn aim_jumps_behind(check: &mut [Instruction]) {
    let length = check.len();
    for (at, instruction) in check.iter_mut().enumerate() {
        if instruction.code & 0x07 == JMP32 {
            instruction.offset =
                i16::try_from(length - at - 1).expect("a check has ten instructions");
        }
    }
}

#[cfg(test)]
mod tests {
    use oci::runtime::LinuxDeviceCgroupBuilder;

    use super::*;

    fn rule(
        allow: bool,
        kind: LinuxDeviceType,
        numbers: [i64; 2],
        access: &str,
    ) -> LinuxDeviceCgroup {
        let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
        if numbers[0] >= 0 {
            rule = rule.major(numbers[0]);
        }
        if numbers[1] >= 0 {
            rule = rule.minor(numbers[1]);
        }
        rule.build().unwrap()
    }

    fn deny_all() -> LinuxDeviceCgroup {
        rule(false, LinuxDeviceType::A, [-1, -1], "rwm")
    }

    /// Runs a program as the kernel would.
    fn run(program: &[Instruction], kind: Kind, access: u8, major: u32, minor: u32) -> bool {
        let context = [u32::from(access) << 16 | kind as u32, major, minor];
        let mut registers = [0u32; 11];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let to = usize::from(pair & 0xf);
            let from = registers[usize::from(pair >> 4)];
            let value =
                if code & OPERAND_IS_REGISTER != 0 { from } else { immediate.cast_unsigned() };
            at += 1;
            match code & !OPERAND_IS_REGISTER {
                LOAD_WORD => registers[to] = context[usize::try_from(offset).unwrap() / 4],
                code if code == ALU32 | MOVE => registers[to] = value,
                code if code == ALU32 | AND => registers[to] &= value,
                code if code == ALU32 | SHIFT_RIGHT => registers[to] >>= value,
                code if code == JMP32 | EQUAL && registers[to] == value => {
                    at += usize::try_from(offset).unwrap();
                }
                code if code == JMP32 | NOT_EQUAL && registers[to] != value => {
                    at += usize::try_from(offset).unwrap();
                }
                code if code & 7 == JMP32 => {}
                EXIT => return registers[0] == 1,
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn what_is_not_allowed_is_denied() {
        let program = DeviceRules::new(&[deny_all()]).program();
        assert!(run(&program, Kind::Character, READ | WRITE, 1, 3));
        assert!(run(&program, Kind::Character, MAKE_NODE, 10, 229));
        assert!(!run(&program, Kind::Character, READ, 10, 229));
        assert!(!run(&program, Kind::Block, READ | WRITE, 1, 3));
    }

    #[test]
    fn an_exception_covers_only_the_access_it_names() {
        let rules = DeviceRules::new(&[deny_all(), rule(true, LinuxDeviceType::C, [10, 229], "r")]);
        let program = rules.program();
        assert!(run(&program, Kind::Character, READ, 10, 229));
        assert!(!run(&program, Kind::Character, READ | WRITE, 10, 229));
    }

    #[test]
    fn rules_for_one_device_add_up() {
        let rules = DeviceRules::new(&[
            rule(true, LinuxDeviceType::C, [10, 229], "r"),
            rule(true, LinuxDeviceType::C, [10, 229], "w"),
        ]);
        assert!(run(&rules.program(), Kind::Character, READ | WRITE, 10, 229));
    }

    #[test]
    fn a_denial_after_allowing_all_takes_out_one_device() {
        let rules = DeviceRules::new(&[
            rule(true, LinuxDeviceType::A, [-1, -1], ""),
            rule(false, LinuxDeviceType::B, [8, -1], "w"),
        ]);
        let program = rules.program();
        assert!(!run(&program, Kind::Block, READ | WRITE, 8, 0));
        assert!(run(&program, Kind::Block, READ, 8, 0));
        assert!(run(&program, Kind::Block, READ | WRITE, 9, 0));
    }

    #[test]
    fn a_privileged_container_needs_no_rules() {
        assert!(
            DeviceRules::new(&[rule(true, LinuxDeviceType::A, [-1, -1], "rwm")]).allow_everything()
        );
        assert!(!DeviceRules::new(&[deny_all()]).allow_everything());
    }

    #[test]
    fn systemd_gets_a_list() {
        let rules = [rule(true, LinuxDeviceType::C, [10, -1], "rw")];
        let list = DeviceRules::new(&rules).systemd_list().unwrap();
        assert_eq!(list[0], ("char-10".to_owned(), "rw".to_owned()));
        assert!(list.contains(&("/dev/char/1:3".to_owned(), "rwm".to_owned())));
        assert!(list.contains(&("block-*".to_owned(), "m".to_owned())));
        let everything = rule(true, LinuxDeviceType::A, [-1, -1], "rwm");
        assert_eq!(DeviceRules::new(&[everything]).systemd_list(), None);
    }

    #[test]
    fn version_1_gets_lines() {
        let lines =
            DeviceRules::new(&[rule(true, LinuxDeviceType::C, [10, -1], "rw")]).version1_lines();
        assert_eq!(lines[0], ("devices.deny", "a".to_owned()));
        assert!(lines.contains(&("devices.allow", "c 10:* rw".to_owned())));
    }
}

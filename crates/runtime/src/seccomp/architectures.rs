//! The architectures whose calls a filter can tell apart, and their tables of numbers.

use oci::runtime::Arch;

use super::multiplexed::MULTIPLEXERS;

/// Where the words of an argument are in what the kernel shows of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// The lower one first.
    Two,
    /// The upper one first.
    TwoBigEndian,
    /// One that counts. The upper half of a register is none of the call's business.
    One,
}

/// One architecture, as the kernel tells it apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Architecture {
    name: Arch,
    /// `AUDIT_ARCH_*`.
    pub(super) kernel_number: u32,
    pub(super) words: Words,
    pub(super) first_number: u32,
    /// The largest number that can be this architecture's, where another one follows.
    pub(super) last_number: Option<u32>,
    /// Whether -1 is to be taken for a call of this architecture.
    pub(super) has_minus_one: bool,
    /// Whether `socketcall` and `ipc` stand for calls that also have numbers of their own.
    pub(super) has_multiplexers: bool,
    /// Whether number 0 is what the kernel makes of numbers that it does not know.
    pub(super) has_unknown_zero: bool,
    /// Calls outside of the numbering, which no new call follows.
    private: &'static [(u32, &'static str)],
    /// The name of a number, if there is such a call.
    name_of: fn(u32) -> Option<&'static str>,
    /// The largest number that has a name.
    newest: u32,
}

/// Bit 30 of a number says that the call is x32's.
const X32_BIT: u32 = 0x4000_0000;

const X86_64: Architecture = Architecture {
    name: Arch::ScmpArchX86_64,
    kernel_number: 0xc000_003e,
    words: Words::Two,
    first_number: 0,
    last_number: Some(X32_BIT - 1),
    has_minus_one: true,
    has_multiplexers: false,
    has_unknown_zero: false,
    private: &[],
    name_of: |number| Some(syscalls::x86_64::Sysno::new(number as usize)?.name()),
    newest: syscalls::x86_64::Sysno::last().id().cast_unsigned(),
};

const X32: Architecture = Architecture {
    name: Arch::ScmpArchX32,
    words: Words::One,
    first_number: X32_BIT,
    last_number: None,
    name_of: x32_name,
    // Above are the numbers that only it has, whatever they mean to x86-64.
    newest: X32_BIT
        | if X86_64.newest < X32_ONLY_FIRST { X86_64.newest } else { X32_ONLY_FIRST - 1 },
    ..X86_64
};

const X86: Architecture = Architecture {
    name: Arch::ScmpArchX86,
    kernel_number: 0x4000_0003,
    words: Words::One,
    last_number: None,
    has_minus_one: false,
    has_multiplexers: true,
    name_of: |number| Some(plain(syscalls::x86::Sysno::new(number as usize)?.name())),
    newest: syscalls::x86::Sysno::last().id().cast_unsigned(),
    ..X86_64
};

const AARCH64: Architecture = Architecture {
    name: Arch::ScmpArchAarch64,
    kernel_number: 0xc000_00b7,
    last_number: None,
    has_minus_one: false,
    name_of: |number| generic_name(number, syscalls::aarch64::Sysno::new(number as usize)?.name()),
    newest: syscalls::aarch64::Sysno::last().id().cast_unsigned(),
    ..X86_64
};

const ARM: Architecture = Architecture {
    name: Arch::ScmpArchArm,
    kernel_number: 0x4000_0028,
    words: Words::One,
    private: &ARM_PRIVATE,
    name_of: |number| Some(plain(syscalls::arm::Sysno::new(number as usize)?.name())),
    newest: syscalls::arm::Sysno::last().id().cast_unsigned(),
    ..AARCH64
};

/// See the kernel's `arch/arm/include/uapi/asm/unistd.h`.
const ARM_PRIVATE: [(u32, &str); 6] = [
    (0xf_0001, "breakpoint"),
    (0xf_0002, "cacheflush"),
    (0xf_0003, "usr26"),
    (0xf_0004, "usr32"),
    (0xf_0005, "set_tls"),
    (0xf_0006, "get_tls"),
];

const RISCV64: Architecture = Architecture {
    name: Arch::ScmpArchRiscv64,
    kernel_number: 0xc000_00f3,
    name_of: |number| generic_name(number, syscalls::riscv64::Sysno::new(number as usize)?.name()),
    newest: syscalls::riscv64::Sysno::last().id().cast_unsigned(),
    ..AARCH64
};

const LOONGARCH64: Architecture = Architecture {
    name: Arch::ScmpArchLoongarch64,
    kernel_number: 0xc000_0102,
    name_of: |number| {
        generic_name(number, syscalls::loongarch64::Sysno::new(number as usize)?.name())
    },
    newest: syscalls::loongarch64::Sysno::last().id().cast_unsigned(),
    ..AARCH64
};

const PPC64LE: Architecture = Architecture {
    name: Arch::ScmpArchPpc64le,
    kernel_number: 0xc000_0015,
    has_multiplexers: true,
    name_of: |number| Some(plain(syscalls::powerpc64::Sysno::new(number as usize)?.name())),
    newest: syscalls::powerpc64::Sysno::last().id().cast_unsigned(),
    ..AARCH64
};

const S390X: Architecture = Architecture {
    name: Arch::ScmpArchS390x,
    kernel_number: 0x8000_0016,
    words: Words::TwoBigEndian,
    has_multiplexers: true,
    has_unknown_zero: true,
    name_of: |number| Some(plain(syscalls::s390x::Sysno::new(number as usize)?.name())),
    newest: syscalls::s390x::Sysno::last().id().cast_unsigned(),
    ..AARCH64
};

/// A name of the table, some of which are words of Rust too.
fn plain(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// Numbers that the common list of calls keeps for 32-bit architectures.
const GENERIC_32_BIT: std::ops::RangeInclusive<u32> = 403..=423;

/// A name of the list that newer 64-bit architectures have in common.
fn generic_name(number: u32, name: &'static str) -> Option<&'static str> {
    match name {
        _ if GENERIC_32_BIT.contains(&number) => None,
        // What the rest of the world calls it, profiles included.
        "fstatat" => Some("newfstatat"),
        name => Some(name),
    }
}

/// What a kernel for `machine` (a name of Rust's) runs: its own calls first. In order of the
/// kernel's numbers, x32 right after its elder sister.
pub(super) const fn run_by(machine: &str) -> &'static [Architecture] {
    match machine.as_bytes() {
        b"x86_64" => &[X86_64, X32, X86],
        b"aarch64" => &[AARCH64, ARM],
        b"riscv64" => &[RISCV64],
        b"loongarch64" => &[LOONGARCH64],
        b"powerpc64" if cfg!(target_endian = "little") => &[PPC64LE],
        b"s390x" => &[S390X],
        _ => panic!("there is no table of this machine's calls"),
    }
}

/// Known when this is compiled, so that the tables of other machines are left out.
const RUN_HERE: &[Architecture] = run_by(std::env::consts::ARCH);

/// The machine's own architecture, and those of its others that the configuration lists. One
/// that this machine cannot run needs no rules: its calls never come.
///
/// The machine's own is always there, listed or not, as it is for runc: without it no program
/// could be run at all.
pub(super) fn listed(names: &[Arch]) -> Vec<Architecture> {
    listed_of(RUN_HERE, names)
}

pub(super) fn listed_of(machine: &[Architecture], names: &[Arch]) -> Vec<Architecture> {
    let [native, others @ ..] = machine else { unreachable!("a machine has an architecture") };
    let others = others.iter().filter(|architecture| names.contains(&architecture.name));
    std::iter::once(native).chain(others).copied().collect()
}

/// Groups those that the kernel does not tell apart.
pub(super) fn by_kernel_number(
    architectures: &[Architecture],
) -> impl Iterator<Item = &[Architecture]> {
    architectures.chunk_by(|one, other| one.kernel_number == other.kernel_number)
}

impl Architecture {
    /// Every call with its number, in order.
    pub(super) fn calls(&self) -> impl Iterator<Item = (u32, &'static str)> {
        let name_of = self.name_of;
        let x32_only = (self.name == Arch::ScmpArchX32).then_some(x32_only_numbers());
        (self.first_number..=self.newest)
            .chain(x32_only.into_iter().flatten())
            .filter_map(move |number| Some((number, name_of(number)?)))
            .chain(self.private.iter().copied())
    }

    /// Whether a number is one of those that no new call follows.
    pub(super) fn is_private(&self, number: u32) -> bool {
        self.private.first().is_some_and(|(first, _)| number >= *first)
    }

    /// What a call named `name` stands for here besides itself: names and selectors.
    pub(super) fn multiplexed_by(
        &self,
        name: &str,
    ) -> Option<&'static super::multiplexed::Multiplexer> {
        let is_one = |multiplexer: &&super::multiplexed::Multiplexer| multiplexer.name == name;
        MULTIPLEXERS.iter().find(is_one).filter(|_| self.has_multiplexers)
    }
}

/// Calls whose structures differ between x32 and x86-64 have numbers of their own for x32; see
/// the kernel's `syscall_64.tbl`. The others share theirs. Here are x86-64's numbers of them.
const X32_ONLY: [u32; 36] = [
    13, 15, 16, 19, 20, 45, 46, 47, 59, 101, 127, 128, 129, 131, 222, 244, 246, 247, 273, 274, 278,
    279, 295, 296, 297, 299, 307, 310, 311, 54, 55, 206, 209, 322, 327, 328,
];

/// And some x32 does not have at all.
const NOT_OF_X32: [u32; 14] =
    [134, 156, 174, 177, 178, 180, 205, 211, 214, 215, 236, 335, 336, 453];

/// x86-64's numbers that mean nothing to x32, as bits: the question comes up for every call.
const IS_FOREIGN_TO_X32: [u64; 8] = {
    let mut bits = [0; 8];
    let mut at = 0;
    while at < X32_ONLY.len() + NOT_OF_X32.len() {
        let number =
            if at < X32_ONLY.len() { X32_ONLY[at] } else { NOT_OF_X32[at - X32_ONLY.len()] };
        bits[(number / 64) as usize] |= 1 << (number % 64);
        at += 1;
    }
    bits
};

/// The number of the first that only x32 has.
const X32_ONLY_FIRST: u32 = 512;

fn x32_only_numbers() -> std::ops::Range<u32> {
    let first = X32_BIT | X32_ONLY_FIRST;
    first..first + u32::try_from(X32_ONLY.len()).expect("there are 36")
}

fn x32_name(number: u32) -> Option<&'static str> {
    let number = number & !X32_BIT;
    if let Some(at) = number.checked_sub(X32_ONLY_FIRST) {
        return (X86_64.name_of)(*X32_ONLY.get(at as usize)?);
    }
    let is_foreign = IS_FOREIGN_TO_X32[(number / 64) as usize] & 1 << (number % 64) != 0;
    if is_foreign { None } else { (X86_64.name_of)(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x32_has_numbers_of_its_own() {
        let numbers: Vec<(u32, &str)> = X32.calls().collect();
        for (number, name) in
            [(0, "read"), (514, "ioctl"), (512, "rt_sigaction"), (547, "pwritev2")]
        {
            assert!(numbers.contains(&(X32_BIT | number, name)), "{name}");
        }
        assert_eq!(numbers.iter().filter(|(_, name)| *name == "ioctl").count(), 1);
    }

    #[test]
    fn calls_come_in_order() {
        for machine in ["x86_64", "aarch64", "riscv64", "loongarch64", "powerpc64", "s390x"] {
            for architecture in run_by(machine) {
                let numbers = architecture.calls().map(|(number, _)| number);
                assert!(numbers.is_sorted_by(|one, next| one < next), "{:?}", architecture.name);
            }
        }
    }

    #[test]
    fn the_machines_own_is_always_listed() {
        let names = |names: &[Arch]| -> Vec<Arch> {
            listed_of(run_by("aarch64"), names).iter().map(|listed| listed.name).collect()
        };
        use Arch::{ScmpArchAarch64, ScmpArchArm, ScmpArchMips};
        assert_eq!(names(&[]), [ScmpArchAarch64]);
        assert_eq!(names(&[ScmpArchArm, ScmpArchMips]), [ScmpArchAarch64, ScmpArchArm]);
    }
}

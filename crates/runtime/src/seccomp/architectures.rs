//! The architectures whose calls a filter can tell apart, and their tables of numbers.

use oci::runtime::Arch;

use super::FilterError;

/// How wide the arguments of a call are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Bits64 = 0,
    Bits32 = 1,
}

/// One architecture, as the kernel tells it apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Architecture {
    name: Arch,
    /// `AUDIT_ARCH_*`.
    pub(super) kernel_number: u32,
    pub(super) width: Width,
    pub(super) first_number: u32,
    /// The largest number that can be this architecture's, where another one follows.
    pub(super) last_number: Option<u32>,
    /// Whether -1 is to be taken for a call of this architecture.
    pub(super) has_minus_one: bool,
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
    width: Width::Bits64,
    first_number: 0,
    last_number: Some(X32_BIT - 1),
    has_minus_one: true,
    name_of: |number| Some(syscalls::x86_64::Sysno::new(number as usize)?.name()),
    newest: syscalls::x86_64::Sysno::last().id().cast_unsigned(),
};

const X32: Architecture = Architecture {
    name: Arch::ScmpArchX32,
    width: Width::Bits32,
    first_number: X32_BIT,
    last_number: None,
    has_minus_one: true,
    name_of: x32_name,
    newest: X32_BIT | X86_64.newest,
    ..X86_64
};

const X86: Architecture = Architecture {
    name: Arch::ScmpArchX86,
    kernel_number: 0x4000_0003,
    width: Width::Bits32,
    first_number: 0,
    last_number: None,
    has_minus_one: false,
    name_of: |number| Some(syscalls::x86::Sysno::new(number as usize)?.name()),
    newest: syscalls::x86::Sysno::last().id().cast_unsigned(),
};

const AARCH64: Architecture = Architecture {
    name: Arch::ScmpArchAarch64,
    kernel_number: 0xc000_00b7,
    width: Width::Bits64,
    first_number: 0,
    last_number: None,
    has_minus_one: false,
    name_of: |number| Some(syscalls::aarch64::Sysno::new(number as usize)?.name()),
    newest: syscalls::aarch64::Sysno::last().id().cast_unsigned(),
};

const ARM: Architecture = Architecture {
    name: Arch::ScmpArchArm,
    kernel_number: 0x4000_0028,
    width: Width::Bits32,
    first_number: 0,
    last_number: None,
    has_minus_one: false,
    name_of: |number| Some(syscalls::arm::Sysno::new(number as usize)?.name()),
    newest: syscalls::arm::Sysno::last().id().cast_unsigned(),
};

/// In order of the kernel's numbers, x32 right after its elder sister.
const KNOWN: [Architecture; 5] = [X86_64, X32, X86, AARCH64, ARM];

#[cfg(target_arch = "x86_64")]
const NATIVE: Arch = Arch::ScmpArchX86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Arch = Arch::ScmpArchAarch64;

impl Architecture {
    /// Every call with its number, in no order.
    pub(super) fn calls(&self) -> impl Iterator<Item = (u32, &'static str)> {
        let name_of = self.name_of;
        let x32_only = (self.name == Arch::ScmpArchX32).then_some(x32_only_numbers());
        (self.first_number..=self.newest)
            .chain(x32_only.into_iter().flatten())
            .filter_map(move |number| Some((number, name_of(number)?)))
    }
}

/// The architectures that the configuration lists, or the machine's own. One that this
/// machine cannot run needs no rules: its calls never come.
pub(super) fn listed(names: Option<&[Arch]>) -> Result<Vec<Architecture>, FilterError> {
    let native = [NATIVE];
    let names = names.filter(|names| !names.is_empty()).unwrap_or(&native);
    let is_listed = |architecture: &&Architecture| {
        names.iter().any(|name| {
            *name == architecture.name
                || (*name == Arch::ScmpArchNative && architecture.name == NATIVE)
        })
    };
    let listed: Vec<Architecture> = KNOWN.iter().filter(is_listed).copied().collect();
    if listed.is_empty() {
        return Err(FilterError {
            field: "architectures".to_owned(),
            reason: format!("none of them runs here; {NATIVE} would"),
        });
    }
    Ok(listed)
}

/// Groups those that the kernel does not tell apart.
pub(super) fn by_kernel_number(
    architectures: &[Architecture],
) -> impl Iterator<Item = &[Architecture]> {
    architectures.chunk_by(|one, other| one.kernel_number == other.kernel_number)
}

/// Calls whose structures differ between x32 and x86-64 have numbers of their own for x32; see
/// the kernel's `syscall_64.tbl`. The others share theirs. Here are x86-64's numbers of them.
const X32_ONLY: [u32; 36] = [
    13, 15, 16, 19, 20, 45, 46, 47, 59, 101, 127, 128, 129, 131, 222, 244, 246, 247, 273, 274, 278,
    279, 295, 296, 297, 299, 307, 310, 311, 54, 55, 206, 209, 322, 327, 328,
];

/// The same as bits, since the question comes up for every call.
const IS_X32_ONLY: [u64; 8] = {
    let mut bits = [0; 8];
    let mut at = 0;
    while at < X32_ONLY.len() {
        bits[(X32_ONLY[at] / 64) as usize] |= 1 << (X32_ONLY[at] % 64);
        at += 1;
    }
    bits
};

/// The number of the first of them.
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
    let is_other = IS_X32_ONLY[(number / 64) as usize] & 1 << (number % 64) == 0;
    if is_other { (X86_64.name_of)(number) } else { None }
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
}

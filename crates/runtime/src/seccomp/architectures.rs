//! The architectures whose calls a filter can tell apart, and their tables of numbers.

use std::str::FromStr as _;

use oci::runtime::Arch;

use super::FilterError;

/// How wide the arguments of a call are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Bits32,
    Bits64,
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
    resolve: fn(&str) -> Option<u32>,
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
    resolve: |name| number(syscalls::x86_64::Sysno::from_str(name).ok()?.id()),
};

const X32: Architecture = Architecture {
    name: Arch::ScmpArchX32,
    first_number: X32_BIT,
    last_number: None,
    has_minus_one: true,
    resolve: |name| Some(X32_BIT | x32_number(name)?),
    ..X86_64
};

const X86: Architecture = Architecture {
    name: Arch::ScmpArchX86,
    kernel_number: 0x4000_0003,
    width: Width::Bits32,
    first_number: 0,
    last_number: None,
    has_minus_one: false,
    resolve: |name| number(syscalls::x86::Sysno::from_str(name).ok()?.id()),
};

const AARCH64: Architecture = Architecture {
    name: Arch::ScmpArchAarch64,
    kernel_number: 0xc000_00b7,
    width: Width::Bits64,
    first_number: 0,
    last_number: None,
    has_minus_one: false,
    resolve: |name| number(syscalls::aarch64::Sysno::from_str(name).ok()?.id()),
};

const ARM: Architecture = Architecture {
    name: Arch::ScmpArchArm,
    kernel_number: 0x4000_0028,
    width: Width::Bits32,
    first_number: 0,
    last_number: None,
    has_minus_one: false,
    resolve: |name| number(syscalls::arm::Sysno::from_str(name).ok()?.id()),
};

/// In order of the kernel's numbers, x32 right after its elder sister.
const KNOWN: [Architecture; 5] = [X86_64, X32, X86, AARCH64, ARM];

#[cfg(target_arch = "x86_64")]
const NATIVE: Arch = Arch::ScmpArchX86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Arch = Arch::ScmpArchAarch64;

impl Architecture {
    pub(super) fn number_of(&self, name: &str) -> Option<u32> {
        (self.resolve)(name)
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

fn number(id: i32) -> Option<u32> {
    u32::try_from(id).ok()
}

/// Calls whose structures differ between x32 and x86-64 have numbers of their own; see the
/// kernel's `syscall_64.tbl`. The others share theirs.
fn x32_number(name: &str) -> Option<u32> {
    const FIRST: u32 = 512;
    const NAMES: [&str; 36] = [
        "rt_sigaction",
        "rt_sigreturn",
        "ioctl",
        "readv",
        "writev",
        "recvfrom",
        "sendmsg",
        "recvmsg",
        "execve",
        "ptrace",
        "rt_sigpending",
        "rt_sigtimedwait",
        "rt_sigqueueinfo",
        "sigaltstack",
        "timer_create",
        "mq_notify",
        "kexec_load",
        "waitid",
        "set_robust_list",
        "get_robust_list",
        "vmsplice",
        "move_pages",
        "preadv",
        "pwritev",
        "rt_tgsigqueueinfo",
        "recvmmsg",
        "sendmmsg",
        "process_vm_readv",
        "process_vm_writev",
        "setsockopt",
        "getsockopt",
        "io_setup",
        "io_submit",
        "execveat",
        "preadv2",
        "pwritev2",
    ];
    match NAMES.iter().position(|known| *known == name) {
        Some(at) => u32::try_from(at).ok().map(|at| FIRST + at),
        None => (X86_64.resolve)(name),
    }
}

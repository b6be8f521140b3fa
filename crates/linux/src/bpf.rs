//! Programs that decide which devices the processes of a cgroup may use.
//!
//! Version 2 of cgroups has no files for device rules: a small BPF program attached to the
//! cgroup is asked at each `open` and `mknod` instead.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// One instruction of extended BPF, as the kernel reads it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

const BPF_PROG_LOAD: c_int = 5;
const BPF_PROG_ATTACH: c_int = 8;
const BPF_PROG_DETACH: c_int = 9;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of cgroups further up are asked as well.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct LoadArguments {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct AttachArguments {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Loads a program of type `cgroup_device`.
pub fn load_device_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let arguments = LoadArguments {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(instructions.len())
            .map_err(|_| io::ErrorKind::InvalidInput)?,
        instructions: instructions.as_ptr().expose_provenance() as u64,
        // Without helper functions any licence will do; the string has to be there.
        license: c"Apache-2.0".as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    // SAFETY: the kernel reads `arguments`, of the size that we state, the instructions and
    // the licence during the call, and verifies the program before it accepts it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const arguments,
            size_of::<LoadArguments>(),
        )
    };
    match RawFd::try_from(result) {
        // SAFETY: a non-negative result is a descriptor the kernel has just opened for us.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Asks `program` about devices from now on in `cgroup` and below.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    attachment(BPF_PROG_ATTACH, cgroup, program, BPF_F_ALLOW_MULTI)
}

/// Takes back [`attach_device_program`].
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    attachment(BPF_PROG_DETACH, cgroup, program, 0)
}

fn attachment(
    command: c_int,
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    flags: u32,
) -> io::Result<()> {
    let arguments = AttachArguments {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        flags,
    };
    // SAFETY: the kernel reads `arguments`, of the size that we state, during the call; the
    // borrows keep both descriptors open for as long.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, &raw const arguments, size_of::<AttachArguments>())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

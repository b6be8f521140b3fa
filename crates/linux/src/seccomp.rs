//! Installing a system call filter, and answering what it asks.

mod questions;

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

pub use questions::{Question, Reply, answer, next_question};

/// One instruction of classic BPF, as the kernel reads it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub jump_true: u8,
    /// Instructions to skip if it does not.
    pub jump_false: u8,
    pub operand: u32,
}

/// The most instructions that the kernel takes.
pub const INSTRUCTIONS_MAX: usize = 4096;

bitflags::bitflags! {
    /// Flags of a filter. See `seccomp(2)`.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct FilterFlags: u64 {
        const TSYNC = libc::SECCOMP_FILTER_FLAG_TSYNC;
        const LOG = libc::SECCOMP_FILTER_FLAG_LOG;
        const SPEC_ALLOW = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        /// Somebody is to be asked about some calls.
        const NEW_LISTENER = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        /// Only a signal that kills gets a call back that is being answered. Linux 5.19.
        const WAIT_KILLABLE_RECV = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    }
}

/// Installs `program` for this process and its children, for ever. With
/// [`FilterFlags::NEW_LISTENER`], hands back the descriptor by which its questions are answered.
///
/// Needs CAP_SYS_ADMIN in the process's user namespace, or `no_new_privs`.
///
/// See `seccomp(2)` and `seccomp_unotify(2)`.
pub fn install(program: &[Instruction], flags: FilterFlags) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` has the layout of `struct sock_filter`; the kernel copies `len` of
    // them during the call and checks the program before it uses it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags.bits(),
            &raw const program,
        )
    };
    match RawFd::try_from(result) {
        Ok(listener @ 0..) if flags.contains(FilterFlags::NEW_LISTENER) => {
            // SAFETY: the kernel has just opened it for us, as we asked by the flag.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(listener) }))
        }
        Ok(0) => Ok(None),
        // With TSYNC, the number of a thread that cannot have the filter.
        Ok(1..) => Err(io::ErrorKind::ResourceBusy.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

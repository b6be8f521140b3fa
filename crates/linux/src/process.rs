//! Making processes, and what a process does to itself right before `execve`.
//!
//! [`clone_process`] is `fork` with everything `clone3(2)` adds: fresh namespaces, a pidfd and
//! a cgroup to be born in. The child has a copy of the parent's memory but of no other thread,
//! which is only sound when there is no other thread: so it is refused then.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::process::Pid;

use crate::namespaces::Namespaces;

/// `struct clone_args`, as the kernel reads it.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Start the child in the cgroup given. libc types it too narrowly.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which of the two processes returned from [`clone_process`].
#[derive(Debug)]
pub enum Cloned {
    Parent { child: Pid, pidfd: OwnedFd },
    Child,
}

/// Clones this process into `namespaces` of its own and, on cgroup v2, into `cgroup`.
///
/// The child shares nothing with its parent: memory is copied, descriptors are duplicated.
/// It should end with [`execute`] or [`exit`], so that it never drops what it inherited.
///
/// Fails with [`io::ErrorKind::Unsupported`] in a process with more than one thread: another
/// thread may hold the allocator's lock, and would never release it in the child.
///
/// See `clone3(2)`. Needs Linux 5.7 with a cgroup, 5.3 otherwise.
pub fn clone_process(namespaces: Namespaces, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    clone(namespaces, cgroup, Parenthood::Own)
}

/// The same, but the child is one of this process's parent. This process gets its pidfd, and
/// its parent is told of its end as of this process's own.
///
/// See `clone(2)`, CLONE_PARENT.
pub fn clone_sibling(namespaces: Namespaces, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    clone(namespaces, cgroup, Parenthood::Shared)
}

/// Whose child a new process is.
#[derive(Clone, Copy)]
enum Parenthood {
    Own,
    Shared,
}

fn clone(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    parenthood: Parenthood,
) -> io::Result<Cloned> {
    if !is_single_threaded() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "cannot clone a process that has several threads",
        ));
    }
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArguments {
        flags: namespaces.bits() | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd).addr() as u64,
        ..CloneArguments::default()
    };
    match parenthood {
        Parenthood::Own => arguments.exit_signal = libc::SIGCHLD as u64,
        // The signal is this process's own.
        Parenthood::Shared => arguments.flags |= libc::CLONE_PARENT as u64,
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    (&raw mut pidfd).expose_provenance();
    // SAFETY: the kernel reads `arguments`, of the size that we state, and writes a descriptor
    // to `pidfd`; both live until the call returns. Without CLONE_VM and without a stack the
    // child goes on here on its own copy of this stack, as after `fork`. There is no other
    // thread (checked above) whose locks the child could find taken for ever.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) };
    match i32::try_from(result).ok() {
        Some(0) => Ok(Cloned::Child),
        Some(raw @ 1..) => {
            let child = Pid::from_raw(raw).expect("it is positive");
            // SAFETY: the kernel has just opened it for us (CLONE_PIDFD) and the parent alone.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { child, pidfd })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether this process has one thread only.
fn is_single_threaded() -> bool {
    // SAFETY: "if the caller is single threaded, this flag has no effect", and otherwise the call
    // fails with no effect either: see `unshare(2)`, CLONE_THREAD.
    unsafe { libc::unshare(libc::CLONE_THREAD) == 0 }
}

/// Runs `program` in place of this process. Comes back only with the reason why not.
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: `program` and each string of the two lists end with NUL, each list ends with a
    // null pointer, and all of it lives until the call returns, which it does only on failure.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Gives a program that is started the foreground of the terminal that is its standard input, if
/// that is one, before it begins: one that found itself in the background would be stopped. It
/// has to have a group of its own (`process_group(0)`).
pub fn take_foreground_in(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between `fork` and `execve` only functions are called that are async-signal-safe
    // (`signal-safety(7)`). All zeroes are valid signal sets, which are filled in before use.
    unsafe {
        command.pre_exec(|| {
            let mut background_write: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut background_write);
            libc::sigaddset(&raw mut background_write, libc::SIGTTOU);
            // A group that is not in the foreground yet would be stopped for this.
            libc::sigprocmask(libc::SIG_BLOCK, &raw const background_write, &raw mut before);
            // It fails without a terminal, where there is nothing to take.
            libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpgrp());
            libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
            Ok(())
        });
    }
}

/// Ends this process at once: no destructors, no flush of buffers that a parent also holds.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes a plain number and does not return.
    unsafe { libc::_exit(code) }
}

/// Puts every signal back to its default action and lets every signal through.
///
/// An ignored or blocked signal stays so across `execve`, so a program started by a parent
/// that ignores SIGPIPE (as every Rust program does) would misbehave.
pub fn reset_signals() {
    /// At least as large as any architecture's `struct sigaction`; zeroes are the default
    /// action with no flags.
    const DEFAULT_ACTION: [u64; 8] = [0; 8];
    const SIGNAL_SET_BYTES: usize = 8;
    for signal in 1..=SIGNAL_MAX {
        // Not by the C library, which keeps two signals to itself.
        // SAFETY: the kernel reads one `struct sigaction` during the call. Installing the
        // default action runs no code of ours; SIGKILL and SIGSTOP are refused, as they may.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT_ACTION.as_ptr(),
                std::ptr::null_mut::<libc::c_void>(),
                SIGNAL_SET_BYTES,
            );
        }
    }
    // SAFETY: all zeroes is a valid `sigset_t`, which `sigemptyset` then fills in; the kernel
    // reads it during the call.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// The largest number of a signal.
const SIGNAL_MAX: libc::c_int = 64;

/// Closes every descriptor from `first` up except `kept`.
///
/// Only for a child that never returns to its parent's code: whatever the parent held open,
/// as an [`OwnedFd`] or otherwise, is closed under it.
///
/// See `close_range(2)`. Needs Linux 5.9.
pub fn close_descriptors_from(first: u32, kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    kept.sort_unstable();
    let mut first = first;
    for kept in kept {
        if kept > first {
            close_range(first, kept - 1, 0)?;
        }
        first = first.max(kept + 1);
    }
    close_range(first, u32::MAX, 0)
}

/// Marks every descriptor from `first` up to be closed by `execve`.
pub fn close_on_execute_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Lets the descriptors from `first` to before `end` stay open across `execve`. All of them
/// have to be open, and not owned by this program.
pub fn keep_on_execute(first: u32, end: u32) -> io::Result<()> {
    for descriptor in first..end {
        let descriptor = RawFd::try_from(descriptor).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: `F_SETFD` reads no memory of ours, and fails on a number that is not open.
        if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The first of the descriptors from `first` to before `end` that is not open.
pub fn first_closed_descriptor(first: u32, end: u32) -> Option<u32> {
    (first..end).find(|descriptor| {
        // SAFETY: `F_GETFD` reads no memory of ours, and fails on a number that is not open.
        RawFd::try_from(*descriptor)
            .map_or(true, |descriptor| unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0)
    })
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: plain numbers. The callers state that nobody uses the closed descriptors again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives this process another session keyring than its parent's: the one of that name which it
/// may search, or else a fresh one. Its number comes back.
///
/// See `keyctl(2)`, `KEYCTL_JOIN_SESSION_KEYRING`.
pub fn join_keyring(name: &CStr) -> io::Result<i32> {
    // SAFETY: the kernel reads `name` up to its NUL during the call.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr())
    };
    i32::try_from(result).ok().filter(|keyring| *keyring >= 0).ok_or_else(io::Error::last_os_error)
}

/// libc lacks it.
const KEYCTL_SETPERM: libc::c_int = 5;

/// Says what may be done with a keyring, and by whom. See `keyctl(2)`, `KEYCTL_SETPERM`.
pub fn set_keyring_permissions(keyring: i32, permissions: u32) -> io::Result<()> {
    // SAFETY: plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, keyring, permissions) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Runs `body` in a forked process and hands back what it returns, for code that must be
/// the only thread of its process (tests, above all, run on threads of their own).
///
/// A panic in `body` comes back as an error with its message already on standard error.
pub fn in_forked_process(body: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: glibc's `fork` leaves its own locks usable in the child, the allocator's
    // included. The child runs `body` and ends; it never returns into the caller.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        exit(code);
    }
    let Some(child) = Pid::from_raw(child).filter(|_| child > 0) else {
        return Err(io::Error::last_os_error());
    };
    let status = rustix::io::retry_on_intr(|| {
        rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())
    })?;
    let status = status.map(|(_, status)| status);
    Ok(status.and_then(|status| status.exit_status()).unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    #[test]
    fn a_clone_runs_in_its_own_namespaces() {
        let code = in_forked_process(|| {
            match clone_process(Namespaces::PID | Namespaces::MOUNT, None).unwrap() {
                Cloned::Child => exit(rustix::process::getpid().as_raw_nonzero().get() + 40),
                Cloned::Parent { pidfd, .. } => {
                    let status = waitid(
                        WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)),
                        WaitIdOptions::EXITED,
                    )
                    .unwrap()
                    .unwrap();
                    status.exit_status().unwrap()
                }
            }
        });
        // The first process of a pid namespace has number 1.
        assert_eq!(code.unwrap(), 41);
    }

    #[test]
    fn a_process_with_threads_is_not_cloned() {
        let thread = std::thread::spawn(|| clone_process(Namespaces::empty(), None));
        let error = thread.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn only_kept_descriptors_stay_open() {
        let code = in_forked_process(|| {
            let kept = std::fs::File::open("/dev/null").unwrap();
            let lost = std::fs::File::open("/dev/null").unwrap();
            close_descriptors_from(3, &[std::os::fd::AsFd::as_fd(&kept)]).unwrap();
            assert!(kept.metadata().is_ok());
            assert!(lost.metadata().is_err());
            exit(7);
        });
        assert_eq!(code.unwrap(), 7);
    }
}

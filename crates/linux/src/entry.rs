//! A program's first instructions, before those of the C library.
//!
//! A program that runs processes in containers has to be executed from a
//! [read-only view](crate::mounts::read_only_view) of its file. Executing itself again from
//! `main` would start the C library, which asks the processor for its features one by one (under
//! some hypervisors 0.65 ms), and everything up to `main` twice. So it is done here, with
//! nothing but system calls.
//!
//! To be named to the linker as the program's entry (`--entry`); see [`entry_read_only`].
//!
//! [`main_at_once`](crate::main_at_once) leaves out what Rust does before `main`.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::IntoRawFd as _;

/// Makes a function that returns an exit code the program's start, without what Rust's own
/// does before it that a short-lived program has no use for. Goes with `#![no_main]`.
#[macro_export]
macro_rules! main_at_once {
    ($main:expr) => {
        // SAFETY: with `no_main`, no other symbol of this name is in the program.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            $crate::entry::start($main)
        }
    };
}

/// What remains of the start: the standard streams are there, and a pipe that nobody reads is an
/// error and no signal.
///
/// For [`main_at_once`](crate::main_at_once) alone.
pub fn start(main: fn() -> u8) -> i32 {
    let prepared = fill_standard_streams().and_then(|()| crate::signals::ignore(libc::SIGPIPE));
    if prepared.is_err() {
        return 1;
    }
    let code = main();
    // If nobody reads it, there is nobody to be told.
    let _ = io::stdout().flush();
    code.into()
}

/// A stream that is closed would be taken by the next file that is opened, and that file read and
/// written as if it were the stream.
fn fill_standard_streams() -> io::Result<()> {
    for stream in 0..=2 {
        // SAFETY: reads no memory of ours, and fails on a number that is no open descriptor.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } < 0 {
            // It gets the lowest number that is free, which is the stream's, and keeps it.
            let _ = File::options().read(true).write(true).open("/dev/null")?.into_raw_fd();
        }
    }
    Ok(())
}

/// Where a program starts that is to be executed from a read-only view of its file, if one of
/// its arguments is `create`, `run` or `exec`. Goes on to the C library's `_start`.
///
/// Only ever a short cut: whatever fails here (a process without privileges cannot make the
/// view) is left to the program itself, which has to look whether its file is read-only. An
/// argument that happens to read so although it is none of the commands costs some time.
///
/// Not to be called: the linker makes it the program's entry.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
// SAFETY: no other symbol of this name is in any of our programs.
#[unsafe(no_mangle)]
pub extern "C" fn entry_read_only() -> ! {
    // The kernel enters with the arguments on the stack: their number, their addresses, a null,
    // the environment's addresses, a null. r12 keeps the stack and r13 what `_start` expects in
    // rdx; system calls change rax, rcx and r11 alone.
    std::arch::naked_asm!(
        "mov r12, rsp",
        "mov r13, rdx",
        "sub rsp, 128", // room for `struct statfs`, 120 bytes, and `struct mount_attr`, 32
        "cld",
        // Is there a command that needs it?
        "lea rbx, [r12 + 8]",
        "2:",
        "mov rsi, [rbx]",
        "add rbx, 8",
        "test rsi, rsi",
        "jz 9f",
        // No read leaves the strings: at least the program's own name follows the last one.
        "mov eax, [rsi]",
        "cmp eax, 0x006e7572", // "run\0"
        "je 4f",
        "cmp eax, 0x63657865", // "exec"
        "je 3f",
        "cmp eax, 0x61657263", // "crea"
        "jne 2b",
        "cmp dword ptr [rsi + 3], 0x00657461", // "ate\0"; an `a` is read twice
        "jne 2b",
        "jmp 4f",
        "3:",
        "cmp byte ptr [rsi + 4], 0",
        "jne 2b",
        // statfs("/proc/self/exe", rsp): the flags are at 80, bit 0 of them is ST_RDONLY.
        "4:",
        "mov eax, {statfs}",
        "lea rdi, [rip + 5f]",
        "mov rsi, rsp",
        "syscall",
        "test rax, rax",
        "jnz 9f",
        "test byte ptr [rsp + 80], 1",
        "jnz 9f",
        // open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
        "mov eax, {open_tree}",
        "mov rdi, {at_fdcwd}",
        "lea rsi, [rip + 5f]",
        "mov edx, {open_tree_flags}",
        "syscall",
        "test rax, rax",
        "js 9f",
        "mov r14, rax",
        // mount_setattr(view, "", AT_EMPTY_PATH, {{.attr_set = MOUNT_ATTR_RDONLY}}, 32)
        "mov qword ptr [rsp], {read_only}",
        "mov qword ptr [rsp + 8], 0",
        "mov qword ptr [rsp + 16], 0",
        "mov qword ptr [rsp + 24], 0",
        "mov eax, {mount_setattr}",
        "mov rdi, r14",
        "lea rsi, [rip + 6f]",
        "mov edx, {at_empty_path}",
        "mov r10, rsp",
        "mov r8d, 32",
        "syscall",
        "test rax, rax",
        "jnz 8f",
        // execveat(view, "", arguments, environment, AT_EMPTY_PATH); comes back on failure.
        "mov eax, {execveat}",
        "mov rdi, r14",
        "lea rsi, [rip + 6f]",
        "lea rdx, [r12 + 8]",
        "mov r10, [r12]",
        "lea r10, [r12 + 8 * r10 + 16]",
        "mov r8d, {at_empty_path}",
        "syscall",
        "8:",
        "mov eax, {close}",
        "mov rdi, r14",
        "syscall",
        "9:",
        "mov rsp, r12",
        "mov rdx, r13",
        "jmp {start}",
        "5: .asciz \"/proc/self/exe\"",
        "6: .asciz \"\"",
        statfs = const libc::SYS_statfs,
        open_tree = const libc::SYS_open_tree,
        mount_setattr = const libc::SYS_mount_setattr,
        execveat = const libc::SYS_execveat,
        close = const libc::SYS_close,
        at_fdcwd = const libc::AT_FDCWD,
        at_empty_path = const libc::AT_EMPTY_PATH,
        open_tree_flags = const libc::OPEN_TREE_CLONE as i32 | libc::OPEN_TREE_CLOEXEC as i32,
        read_only = const libc::MOUNT_ATTR_RDONLY,
        start = sym c_library_start,
    )
}

#[cfg(target_arch = "x86_64")]
// SAFETY: every C library for Linux has this symbol, at which its programs start.
unsafe extern "C" {
    #[link_name = "_start"]
    fn c_library_start() -> !;
}

//! The kernel, asked directly.

use core::arch::{asm, global_asm};
use core::ffi::CStr;

// The entry point: the kernel starts the program here, with its arguments on the stack. They
// are not used. The stack pointer is aligned as functions expect it.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".global _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {main}",
    main = sym crate::hello_main,
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".global _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "b {main}",
    main = sym crate::hello_main,
);

/// Numbers of system calls.
#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const READ: usize = 0;
    pub(super) const WRITE: usize = 1;
    pub(super) const CLOSE: usize = 3;
    pub(super) const GETPID: usize = 39;
    pub(super) const GETDENTS: usize = 217;
    pub(super) const EXIT: usize = 231;
    pub(super) const OPENAT: usize = 257;
    pub(super) const READLINKAT: usize = 267;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const READ: usize = 63;
    pub(super) const WRITE: usize = 64;
    pub(super) const CLOSE: usize = 57;
    pub(super) const GETPID: usize = 172;
    pub(super) const GETDENTS: usize = 61;
    pub(super) const EXIT: usize = 94;
    pub(super) const OPENAT: usize = 56;
    pub(super) const READLINKAT: usize = 78;
}

/// "From the current folder", which the absolute paths used here do not care about.
const CURRENT_FOLDER: usize = -100_isize as usize;

/// Makes a system call with up to four arguments.
///
/// # Safety
///
/// Arguments that are addresses must be good for what the call does with them.
unsafe fn call(number: usize, arguments: [usize; 4]) -> isize {
    let [first, second, third, fourth] = arguments;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's convention: these registers carry the arguments, and it destroys
    // no others than the ones named. What the call does with them the caller answers for.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; on this processor the kernel preserves every other register.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") first as isize => result,
            in("x1") second,
            in("x2") third,
            in("x3") fourth,
            options(nostack),
        );
    }
    result
}

/// Ends the program.
pub(crate) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: the call takes a number, and does not return.
        unsafe { call(number::EXIT, [status as usize, 0, 0, 0]) };
    }
}

pub(crate) fn process_id() -> isize {
    // SAFETY: the call takes nothing.
    unsafe { call(number::GETPID, [0; 4]) }
}

/// Writes everything to the standard output. Whether that worked.
pub(crate) fn write_all(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads `bytes.len()` bytes from where they are.
        let written = unsafe { call(number::WRITE, [1, bytes.as_ptr() as usize, bytes.len(), 0]) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => bytes = &bytes[written.min(bytes.len())..],
            _ => return false,
        }
    }
    true
}

fn open(path: &CStr) -> Option<usize> {
    // SAFETY: the kernel reads the path up to its NUL.
    let opened = unsafe { call(number::OPENAT, [CURRENT_FOLDER, path.as_ptr() as usize, 0, 0]) };
    usize::try_from(opened).ok()
}

fn close(file: usize) {
    // SAFETY: the descriptor is ours, and nobody uses it after this.
    unsafe { call(number::CLOSE, [file, 0, 0, 0]) };
}

/// The beginning of a file, as much as the buffer holds.
pub(crate) fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = open(path)?;
    let mut length = 0;
    while length < buffer.len() {
        let rest = &mut buffer[length..];
        // SAFETY: the kernel writes at most `rest.len()` bytes to where they belong.
        let read = unsafe { call(number::READ, [file, rest.as_mut_ptr() as usize, rest.len(), 0]) };
        match usize::try_from(read) {
            Ok(read) if read > 0 => length += read,
            _ => break,
        }
    }
    close(file);
    Some(&buffer[..length])
}

/// Where a symlink leads.
pub(crate) fn read_link<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let address = buffer.as_mut_ptr() as usize;
    // SAFETY: the kernel reads the path up to its NUL, and writes at most `buffer.len()` bytes.
    let length = unsafe {
        call(number::READLINKAT, [CURRENT_FOLDER, path.as_ptr() as usize, address, buffer.len()])
    };
    buffer.get(..usize::try_from(length).ok()?)
}

/// Calls `visit` with each name in a folder. Whether the folder could be read.
pub(crate) fn names_in(path: &CStr, mut visit: impl FnMut(&[u8])) -> bool {
    let Some(folder) = open(path) else { return false };
    let mut buffer = [0_u8; 4096];
    loop {
        let address = buffer.as_mut_ptr() as usize;
        // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer.
        let length = unsafe { call(number::GETDENTS, [folder, address, buffer.len(), 0]) };
        let entries = usize::try_from(length).ok().and_then(|length| buffer.get(..length));
        match entries {
            Some(entries) if !entries.is_empty() => visit_entries(entries, &mut visit),
            _ => break,
        }
    }
    close(folder);
    true
}

/// Entries of `getdents64`: 16 bytes, the entry's length in 2, the kind in 1, and the name.
fn visit_entries(mut entries: &[u8], visit: &mut impl FnMut(&[u8])) {
    while let [_, ..] = entries {
        let Some(&[low, high]) = entries.get(16..18) else { return };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let Some(entry) = entries.get(..length).filter(|entry| entry.len() > 19) else { return };
        let name = entry[19..].split(|byte| *byte == 0).next().unwrap_or_default();
        if !matches!(name, b"." | b"..") {
            visit(name);
        }
        entries = &entries[length..];
    }
}

//! Keeping a small process small that lives long after it did its work.

use std::io;

/// Gives the free memory of the C library's heap back to the kernel, which it otherwise keeps
/// for later.
///
/// See `malloc_trim(3)`. On another C library than glibc it does nothing.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the allocator takes its own locks, and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the program's code and constants out of this process's memory. What is used again
/// comes back by itself, page by page, from the file that is in the page cache anyway.
///
/// Code that ran once, at the start, otherwise counts for as long as the process lives.
pub fn release_program() -> io::Result<()> {
    for (start, length) in read_only_segments() {
        let start = std::ptr::without_provenance_mut::<libc::c_void>(start);
        // SAFETY: the kernel drops the pages and reads them from the file again when they are
        // touched. They are those of a segment that is not writable, so the file has what they
        // had; for Rust nothing changes.
        let result = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Start and length of those parts of this program's file that are mapped without the right to
/// write. Pages that are writable only while the program is loaded are not among them.
fn read_only_segments() -> Vec<(usize, usize)> {
    let page = rustix::param::page_size();
    program_headers()
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0)
        .map(|header| {
            let start = header.p_vaddr as usize & !(page - 1);
            let end = (header.p_vaddr + header.p_memsz) as usize;
            (start, end.next_multiple_of(page) - start)
        })
        .collect()
}

/// The headers of this program, as the kernel loaded it. None for a position-independent
/// program, whose addresses they do not tell.
fn program_headers() -> &'static [libc::Elf64_Phdr] {
    // SAFETY: reads the vector that the kernel put on the stack at the start.
    let (headers, count) =
        unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    let headers = std::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(headers as usize);
    if headers.is_null() {
        return &[];
    }
    // SAFETY: that is where the kernel says that it mapped that many headers of the program's
    // file, for as long as the program runs, and nobody writes to them.
    let headers = unsafe { std::slice::from_raw_parts(headers, count as usize) };
    let tells_addresses = headers.iter().any(|header| {
        header.p_type == libc::PT_LOAD && header.p_offset == 0 && header.p_vaddr != 0
    });
    if tells_addresses { headers } else { &[] }
}

/// The most memory, in KiB, that any process had of this one's children that it has waited for,
/// and of theirs.
///
/// See `getrusage(2)`, `RUSAGE_CHILDREN`.
pub fn peak_of_children() -> io::Result<u64> {
    // SAFETY: zeroes are a valid `struct rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `struct rusage` during the call.
    let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usage.ru_maxrss.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::in_forked_process;

    #[test]
    fn a_program_goes_on_after_its_code_was_taken_out() {
        let code = in_forked_process(|| {
            trim_heap();
            release_program().unwrap();
            let sum: u32 = (0..1000).map(|number| number.to_string().len() as u32).sum();
            i32::from(sum == 2890)
        });
        assert_eq!(code.unwrap(), 1);
    }

    #[test]
    fn only_what_nobody_writes_is_taken_out() {
        let segments = read_only_segments();
        if program_headers().is_empty() {
            assert!(segments.is_empty());
            return;
        }
        let code = (read_only_segments as fn() -> Vec<(usize, usize)>) as usize;
        assert!(segments.iter().any(|(start, length)| (*start..start + length).contains(&code)));
        static WRITABLE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
        let data = (&raw const WRITABLE).addr();
        assert!(!segments.iter().any(|(start, length)| (*start..start + length).contains(&data)));
    }
}

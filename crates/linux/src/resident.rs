//! Keeping a small process small that lives long after it did its work.

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

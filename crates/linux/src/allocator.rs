//! The C library's memory allocator.

/// Keeps the number of heaps small, whatever the number of threads.
///
/// Each thread that allocates at the same time as others gets a heap of its own, up to eight a
/// processor, and none is ever given back: a process with many threads that mostly wait pays
/// for all of them. See `mallopt(3)`.
pub fn limit_heaps(count: i32) {
    // SAFETY: `mallopt` takes two numbers and changes the allocator's own settings, under its
    // own lock.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, count) };
}

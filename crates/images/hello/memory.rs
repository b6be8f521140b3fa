//! The functions that the compiler may call without being asked to.

/// The core library's tables name it, for unwinding. Nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// # Safety
///
/// As C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, length: usize) -> *mut u8 {
    for index in 0..length {
        // SAFETY: the caller promises `length` bytes at both, which do not overlap.
        unsafe { *target.add(index) = *source.add(index) };
    }
    target
}

/// # Safety
///
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, length: usize) -> *mut u8 {
    if target.cast_const() <= source {
        // SAFETY: copying upwards reads each byte before it is overwritten.
        return unsafe { memcpy(target, source, length) };
    }
    for index in (0..length).rev() {
        // SAFETY: the caller promises `length` bytes at both; downwards, as the target is above.
        unsafe { *target.add(index) = *source.add(index) };
    }
    target
}

/// # Safety
///
/// As C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(target: *mut u8, value: i32, length: usize) -> *mut u8 {
    for index in 0..length {
        // SAFETY: the caller promises `length` bytes.
        unsafe { *target.add(index) = value as u8 };
    }
    target
}

/// # Safety
///
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    for index in 0..length {
        // SAFETY: the caller promises `length` bytes at both.
        let (one, other) = unsafe { (*one.add(index), *other.add(index)) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

/// # Safety
///
/// As C's `bcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    // SAFETY: the same promises.
    unsafe { memcmp(one, other, length) }
}

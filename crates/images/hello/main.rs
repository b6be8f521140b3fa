//! The program of the built-in image: says what isolates it.
//!
//! It is one static file that needs nothing of its surroundings, not even a C library, so
//! that the image is this file and no more. `build.rs` of the `images` crate compiles it.
//! Everything that it prints it has just asked the kernel; it knows nothing of Wharf.

#![no_std]
#![no_main]
// The functions that the compiler expects from a C library are in `memory`. Without this it
// would turn their loops into calls of themselves.
#![no_builtins]

mod kernel;
mod memory;
mod page;

/// Nothing here can panic; if it does, the program ends.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::exit(101)
}

/// Where the program begins, on a stack that `kernel::START` has aligned.
#[unsafe(no_mangle)]
extern "C" fn hello_main() -> ! {
    let written = page::print();
    kernel::exit(if written { 0 } else { 1 })
}

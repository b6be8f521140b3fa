//! `wharf-runtime`: the runtime as a program, with runc's command line.
//!
//! Between two calls a container is a folder below `--root`, see [`record`]. The container's
//! first process waits there, at a socket, to be started.
//!
//! Called as `docker-init`, it is the [init](init_program) of a container.

// Tests bring a start of their own.
#![cfg_attr(not(test), no_main)]

mod command_line;
mod commands;
mod documents;
mod exit_code;
mod foreground;
mod init_program;
mod log;
mod out_of_reach;
mod record;
mod root;
mod signal;
mod sockets;
mod users_reach;

use std::ffi::OsStr;
use std::path::Path;

use crate::exit_code::ExitCode;

// Rust's own start reads the list of mappings and prepares for overflows of the stack.
#[cfg(not(test))]
linux::main_at_once!(|| run().into());

#[cfg(test)]
fn main() {
    run();
}

fn run() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new(init_program::NAME)) {
        return init_program::main(words);
    }
    commands::main(&name.to_string_lossy(), words)
}

//! The user's terminal: raw mode, size, signals, the keys that detach.

mod detach_keys;
mod raw;
mod signals;
mod size;

pub(crate) use detach_keys::{DetachKeys, Detector};
pub(crate) use raw::{RawMode, restore_on_panic};
pub(crate) use signals::{Proxy, forward};
pub(crate) use size::{Resize, console_size};

use std::io::{self, IsTerminal as _};

use crate::failure::Failure;

/// Refuses to give a container's terminal something that is none as its input.
pub(crate) fn check_input(attach_stdin: bool, tty: bool) -> Result<(), Failure> {
    if tty && attach_stdin && !io::stdin().is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    Ok(())
}

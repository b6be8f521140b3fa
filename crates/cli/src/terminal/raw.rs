//! Raw mode: every key goes to the container as it is.
//!
//! A terminal left in raw mode is of no use to anybody, so the original settings are
//! kept where every way out can find them: the end of a command, a signal, a panic.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The settings to go back to, while the terminal is in raw mode.
static ORIGINAL: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal is in raw mode as long as this lives.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    /// Turns it on, if the input is a terminal at all.
    pub(crate) fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() && std::env::var_os("NORAW").is_none_or(|value| value.is_empty()) {
            let original = tcgetattr(&stdin)?;
            let mut raw = original.clone();
            raw.make_raw();
            *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(original);
            tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        }
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Goes back to the original settings, if they were changed.
pub(super) fn restore() {
    let original = ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(original) = original {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &original);
    }
}

/// A panic ends the program without unwinding, so no `drop` would be called.
pub(crate) fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        report(panic);
    }));
}

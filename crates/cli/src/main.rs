//! The command line: turns what a user types into API calls, and answers into text.
//!
//! It knows nothing of our engine but that API, so it drives a stock Docker engine as
//! well. It looks and exits as Docker's own client does, to the letter where scripts can
//! tell, and starts in far less time: constant tables instead of a command tree that is
//! built, blocking calls instead of a runtime.

mod command_line;
mod commands;
mod configuration;
mod failure;
mod options;
mod output;
mod program;
mod session;
mod streams;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    terminal::restore_on_panic();
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if words.first().is_some_and(|word| word == session::daemon::BECOME_DAEMON) {
        return leave(&session::daemon::become_daemon());
    }
    match program::run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => leave(&failure),
    }
}

fn leave(failure: &failure::Failure) -> ExitCode {
    if !failure.message.is_empty() {
        output::warn(&failure.text());
    }
    // A status is a byte; what does not fit is cut as the kernel cuts it.
    ExitCode::from((failure.status & 0xff) as u8)
}

//! Asking before something is lost.

use std::io;

use crate::failure::Failure;
use crate::output;

/// Whether the user says yes.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    output::print(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// Goes on if the user says yes or has said so before.
pub(crate) fn confirm_prune(is_forced: bool, warning: &str) -> Result<(), Failure> {
    if is_forced || confirm(&format!("{warning}\nAre you sure you want to continue?"))? {
        return Ok(());
    }
    Err(Failure::silent(0))
}

//! `wharf completion SHELL`: a script that teaches a shell our commands.

use crate::command_line::{Command, Parsed, Positional, shells};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static COMPLETION: Command =
    Command::new("completion", "Output shell completion code (bash, zsh, fish)", run)
        .takes(Positional::Exactly(1), "bash|zsh|fish");

fn run(_: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let shell = &parsed.arguments[0];
    let script = shells::script(shell).ok_or_else(|| {
        Failure::new(format!(
            "wharf completion: no shell named \"{shell}\": there are bash, zsh and fish"
        ))
    })?;
    output::print(&script)?;
    Ok(())
}

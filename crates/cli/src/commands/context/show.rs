//! `wharf context show`: the context in use.

use crate::command_line::{Command, Parsed, Positional};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static SHOW: Command =
    Command::new("show", "Print the name of the current context", run).takes(Positional::None, "");

fn run(session: &mut Session, _: &Parsed) -> Result<(), Failure> {
    output::print(&format!("{}\n", session.context_name()))?;
    Ok(())
}

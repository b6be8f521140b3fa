//! `wharf context rm`: forgets contexts.

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::output;
use crate::output::quote::quote;
use crate::session::{CONTEXT_DEFAULT, Session};

pub(crate) static RM: Command = Command::new("rm", "Remove one or more contexts", run)
    .aliases(&["remove"])
    .spellings(&["context rm", "context remove"])
    .takes(Positional::AtLeast(1), "CONTEXT [CONTEXT...]")
    .flags(&[&[Flag::switch("force", "Force the removal of a context in use").short('f')]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for name in &parsed.arguments {
        match remove(session, name, parsed.switch("force")) {
            Ok(()) => output::print(&format!("{name}\n"))?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::join(failures)
}

fn remove(session: &mut Session, name: &str, force: bool) -> Result<(), Failure> {
    if name == CONTEXT_DEFAULT {
        return Err(Failure::new("context \"default\" cannot be removed"));
    }
    if session.context_name() == name {
        if !force {
            return Err(Failure::new(format!(
                "context {} is in use, set -f flag to force remove",
                quote(name)
            )));
        }
        session.configuration_mut().set_current_context(None)?;
    }
    let contexts = session.contexts();
    if !force && contexts.get(name).is_err() {
        return Err(Failure::new(format!("context {} does not exist", quote(name))));
    }
    contexts.remove(name)
}

//! `wharf context use`: from now on, that engine.

use crate::command_line::{Command, Parsed, Positional};
use crate::failure::Failure;
use crate::output;
use crate::output::quote::quote;
use crate::session::{CONTEXT_DEFAULT, Session, environment};

pub(crate) static USE: Command = Command::new("use", "Set the current docker context", run)
    .takes(Positional::Exactly(1), "CONTEXT");

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let name = &parsed.arguments[0];
    let context = (name != CONTEXT_DEFAULT).then_some(name.as_str());
    if let Some(name) = context {
        session.contexts().get(name)?;
    }
    // Nothing is written where nothing changes.
    if session.configuration().current_context().as_deref() != context {
        session.configuration_mut().set_current_context(context)?;
    }
    output::print(&format!("{name}\n"))?;
    output::warn(&format!("Current context is now {}", quote(name)));
    if context.is_some() && environment("DOCKER_HOST").is_some() {
        output::warn(&format!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use {}, \
             either set the global --context flag, or unset DOCKER_HOST environment variable.",
            quote(name)
        ));
    }
    Ok(())
}

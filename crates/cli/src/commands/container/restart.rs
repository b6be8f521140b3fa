//! `wharf restart`: stops a container and starts it again.

use super::stop;
use crate::command_line::{Command, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static RESTART: Command = Command::new("restart", "Restart one or more containers", run)
    .spellings(&["container restart", "restart"])
    .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
    .flags(&[stop::FLAGS]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    stop::check(parsed)?;
    let client = session.client()?;
    let mut failures = Vec::new();
    for name in &parsed.arguments {
        let request = stop::request(parsed, container_path(name, "/restart"));
        match stop::end(client, name, request) {
            Ok(()) => output::print(&format!("{name}\n"))?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::join(failures)
}

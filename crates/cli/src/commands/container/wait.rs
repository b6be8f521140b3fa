//! `wharf wait`: waits until containers have ended, and prints their statuses.

use docker_api::client::Request;
use docker_api::containers::WaitResponse;

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static WAIT: Command = Command::new(
    "wait",
    "Block until one or more containers stop, then print their exit codes",
    run,
)
.spellings(&["container wait", "wait"])
.takes(Positional::AtLeast(1), "CONTAINER [CONTAINER...]");

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    let mut failures = Vec::new();
    for name in &parsed.arguments {
        match client.json::<WaitResponse>(Request::post(container_path(name, "/wait"))) {
            Ok(response) => output::print(&format!("{}\n", response.status_code))?,
            Err(error) => failures.push(error.into()),
        }
    }
    Failure::join(failures)
}

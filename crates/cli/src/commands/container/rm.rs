//! `wharf rm`: removes containers.

use docker_api::client::{Client, Request};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{container_path, parallel};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static RM: Command = Command::new("rm", "Remove one or more containers", run)
    .aliases(&["remove"])
    .spellings(&["container rm", "container remove", "rm"])
    .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
    .flags(&[&[
        Flag::switch("volumes", "Remove anonymous volumes associated with the container")
            .short('v'),
        Flag::switch("link", "Remove the specified link").short('l'),
        Flag::switch("force", "Force the removal of a running container (uses SIGKILL)").short('f'),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let results = parallel::all(session.client()?, &parsed.arguments, |client, name| {
        remove(client, parsed, name)
    });
    let mut failures = Vec::new();
    for (name, result) in parsed.arguments.iter().zip(results) {
        match result {
            Ok(()) => output::print(&format!("{name}\n"))?,
            // What is not there need not be removed.
            Err(failure) if parsed.switch("force") && failure.is_not_found => {
                output::warn(&failure.text());
            }
            Err(failure) => failures.push(failure),
        }
    }
    Failure::join(failures)
}

fn remove(client: &Client, parsed: &Parsed, name: &str) -> Result<(), Failure> {
    let name = name.trim_matches('/');
    if name.is_empty() {
        return Err(Failure::new("container name cannot be empty"));
    }
    let request = Request::delete(container_path(name, ""))
        .query_set("v", parsed.switch("volumes"))
        .query_set("link", parsed.switch("link"))
        .query_set("force", parsed.switch("force"));
    Ok(client.run(request)?)
}

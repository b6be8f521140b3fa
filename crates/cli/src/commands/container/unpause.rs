//! `wharf unpause`: lets a paused container go on.

use docker_api::client::Request;

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::{container_path, parallel};
use crate::failure::Failure;
use crate::session::Session;

pub(crate) static UNPAUSE: Command =
    Command::new("unpause", "Unpause all processes within one or more containers", run)
        .spellings(&["container unpause", "unpause"])
        .takes(Positional::AtLeast(1), "CONTAINER [CONTAINER...]");

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    parallel::for_each(session.client()?, &parsed.arguments, |client, name| {
        Ok(client.run(Request::post(container_path(name, "/unpause")))?)
    })
}

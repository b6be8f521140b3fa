//! `wharf pause`: stops every process of a container where it is.

use docker_api::client::Request;

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::{container_path, parallel};
use crate::failure::Failure;
use crate::session::Session;

pub(crate) static PAUSE: Command =
    Command::new("pause", "Pause all processes within one or more containers", run)
        .spellings(&["container pause", "pause"])
        .takes(Positional::AtLeast(1), "CONTAINER [CONTAINER...]");

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    parallel::for_each(session.client()?, &parsed.arguments, |client, name| {
        Ok(client.run(Request::post(container_path(name, "/pause")))?)
    })
}

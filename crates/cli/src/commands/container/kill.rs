//! `wharf kill`: sends a signal to a container's first process.

use docker_api::client::Request;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{container_path, parallel};
use crate::failure::Failure;
use crate::session::Session;

pub(crate) static KILL: Command = Command::new("kill", "Kill one or more running containers", run)
    .spellings(&["container kill", "kill"])
    .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
    .flags(&[&[Flag::text("signal", "Signal to send to the container").short('s')]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let signal = Some(parsed.text("signal")).filter(|signal| !signal.is_empty());
    parallel::for_each(session.client()?, &parsed.arguments, |client, name| {
        let request = Request::post(container_path(name, "/kill"));
        Ok(client.run(request.query_some("signal", signal))?)
    })
}

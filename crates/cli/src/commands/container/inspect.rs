//! `wharf container inspect`: everything about a container.

use docker_api::client::{Client, Request};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{INSPECT_FORMAT_HELP, container_path};
use crate::failure::Failure;
use crate::output::inspect::{self, Document};
use crate::session::Session;

pub(crate) static INSPECT: Command =
    Command::new("inspect", "Display detailed information on one or more containers", run)
        .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
        .flags(&[&[
            Flag::text("format", INSPECT_FORMAT_HELP).short('f'),
            Flag::switch("size", "Display total file sizes").short('s'),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    inspect::inspect(&parsed.arguments, parsed.text("format"), |name| {
        document(client, name, parsed.switch("size"))
    })
}

/// A container's document.
pub(crate) fn document(client: &Client, name: &str, with_size: bool) -> Result<Document, Failure> {
    let request = Request::get(container_path(name, "/json")).query_set("size", with_size);
    let bytes = client.send(request)?.bytes()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Document { text, absent: inspect::CONTAINER })
}

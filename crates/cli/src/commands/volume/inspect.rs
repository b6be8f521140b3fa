//! `wharf volume inspect`: everything about a volume.

use docker_api::client::{Client, Request, escape};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::INSPECT_FORMAT_HELP;
use crate::failure::Failure;
use crate::output::go_json;
use crate::output::inspect::{self, Document};
use crate::session::Session;

pub(crate) static INSPECT: Command =
    Command::new("inspect", "Display detailed information on one or more volumes", run)
        .takes(Positional::AtLeast(1), "[OPTIONS] VOLUME [VOLUME...]")
        .flags(&[&[Flag::text("format", INSPECT_FORMAT_HELP).short('f')]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    inspect::inspect(&parsed.arguments, parsed.text("format"), |name| document(client, name))
}

/// A volume's document.
pub(crate) fn document(client: &Client, name: &str) -> Result<Document, Failure> {
    let bytes = client.send(Request::get(format!("/volumes/{}", escape(name))))?.bytes()?;
    // Docker's client reads a volume and writes it anew, as Go writes.
    let text = go_json::escape_html(&String::from_utf8_lossy(&bytes));
    Ok(Document { text, absent: inspect::VOLUME })
}

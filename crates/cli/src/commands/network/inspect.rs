//! `wharf network inspect`: everything about a network.

use docker_api::client::{Client, Request, escape};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::INSPECT_FORMAT_HELP;
use crate::failure::Failure;
use crate::output::inspect::{self, Document};
use crate::session::Session;

pub(crate) static INSPECT: Command =
    Command::new("inspect", "Display detailed information on one or more networks", run)
        .takes(Positional::AtLeast(1), "[OPTIONS] NETWORK [NETWORK...]")
        .flags(&[&[
            Flag::text("format", INSPECT_FORMAT_HELP).short('f'),
            Flag::switch("verbose", "Verbose output for diagnostics").short('v'),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    inspect::inspect(&parsed.arguments, parsed.text("format"), |name| {
        document(client, name, parsed.switch("verbose"))
    })
}

/// A network's document.
pub(crate) fn document(client: &Client, name: &str, verbose: bool) -> Result<Document, Failure> {
    let verbose = verbose.then_some("true");
    let request =
        Request::get(format!("/networks/{}", escape(name))).query_some("verbose", verbose);
    let bytes = client.send(request)?.bytes()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Document { text, absent: inspect::NETWORK })
}

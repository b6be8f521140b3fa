//! `wharf rename`: gives a container another name.

use docker_api::client::Request;

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static RENAME: Command = Command::new("rename", "Rename a container", run)
    .spellings(&["container rename", "rename"])
    .takes(Positional::Exactly(2), "CONTAINER NEW_NAME");

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let [old, new] = [parsed.arguments[0].trim(), parsed.arguments[1].trim()];
    if old.is_empty() || new.is_empty() {
        return Err(Failure::new("Error: Neither old nor new names may be empty"));
    }
    let request = Request::post(container_path(old, "/rename")).query("name", new);
    if let Err(error) = session.client()?.run(request) {
        output::warn(&Failure::from(error).text());
        return Err(Failure::new(format!("Error: failed to rename container named {old}")));
    }
    Ok(())
}

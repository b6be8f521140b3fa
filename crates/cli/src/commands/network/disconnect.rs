//! `wharf network disconnect`: takes a container off a network.

use docker_api::client::{Request, escape};
use serde_json::json;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::session::Session;

pub(crate) static DISCONNECT: Command =
    Command::new("disconnect", "Disconnect a container from a network", run)
        .takes(Positional::Exactly(2), "[OPTIONS] NETWORK CONTAINER")
        .flags(&[&[
            Flag::switch("force", "Force the container to disconnect from a network").short('f')
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let body = json!({"Container": parsed.arguments[1], "Force": parsed.switch("force")});
    let path = format!("/networks/{}/disconnect", escape(&parsed.arguments[0]));
    Ok(session.client()?.run(Request::post(path).json(&body))?)
}

//! `wharf volume rm`: removes volumes.

use docker_api::client::{Request, escape};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static RM: Command = Command::new("rm", "Remove one or more volumes", run)
    .long_about(
        "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    )
    .aliases(&["remove"])
    .spellings(&["volume rm", "volume remove"])
    .takes(Positional::AtLeast(1), "[OPTIONS] VOLUME [VOLUME...]")
    .flags(&[&[Flag::switch("force", "Force the removal of one or more volumes").short('f')]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    let mut failures = Vec::new();
    for name in &parsed.arguments {
        let request = Request::delete(format!("/volumes/{}", escape(name)))
            .query_set("force", parsed.switch("force"));
        match client.run(request) {
            Ok(()) => output::print(&format!("{name}\n"))?,
            Err(error) => failures.push(error.into()),
        }
    }
    Failure::join(failures)
}

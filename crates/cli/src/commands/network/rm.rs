//! `wharf network rm`: removes networks.

use docker_api::client::{Request, escape};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static RM: Command = Command::new("rm", "Remove one or more networks", run)
    .aliases(&["remove"])
    .spellings(&["network rm", "network remove"])
    .takes(Positional::AtLeast(1), "NETWORK [NETWORK...]")
    .flags(&[&[Flag::switch("force", "Do not error if the network does not exist").short('f')]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    let mut has_failed = false;
    for name in &parsed.arguments {
        match client.run(Request::delete(format!("/networks/{}", escape(name)))) {
            Ok(()) => output::print(&format!("{name}\n"))?,
            Err(error) => {
                let failure = Failure::from(error);
                if !(parsed.switch("force") && failure.is_not_found) {
                    output::warn(&failure.text());
                    has_failed = true;
                }
            }
        }
    }
    // The errors are told; this is what Docker's client ends with.
    if has_failed { Err(Failure::new("exit status 1")) } else { Ok(()) }
}

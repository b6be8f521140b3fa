//! `wharf system dial-stdio`: the engine's connection as our standard streams.
//!
//! A client that is told `ssh://host` runs this there (as `docker`, so it needs that name), and
//! speaks to the engine through it.

use crate::command_line::{Command, Parsed, Positional};
use crate::failure::Failure;
use crate::session::Session;
use crate::streams::relay;

pub(super) static DIAL_STDIO: Command = Command::new(
    "dial-stdio",
    "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
    run,
)
.takes(Positional::None, "")
.hidden();

fn run(session: &mut Session, _parsed: &Parsed) -> Result<(), Failure> {
    relay(session.client()?.dial()?)
}

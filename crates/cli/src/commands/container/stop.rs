//! `wharf stop`: asks a container's first process to end, waits, and then ends it.

use docker_api::NOTICE_HEADER;
use docker_api::client::{Client, Request};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{container_path, parallel};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) static STOP: Command = Command::new("stop", "Stop one or more running containers", run)
    .spellings(&["container stop", "stop"])
    .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
    .flags(&[FLAGS]);

pub(crate) const FLAGS: &[Flag] = &[
    Flag::text("signal", "Signal to send to the container").short('s'),
    Flag::int("timeout", "Seconds to wait before killing the container").short('t'),
    Flag::int("time", "Seconds to wait before killing the container (deprecated: use --timeout)")
        .deprecated("use --timeout instead"),
];

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    check(parsed)?;
    parallel::for_each(session.client()?, &parsed.arguments, |client, name| {
        end(client, name, request(parsed, container_path(name, "/stop")))
    })
}

/// Sends a request that ends a container, and passes on what the engine remarks on that.
pub(crate) fn end(client: &Client, name: &str, request: Request<'_>) -> Result<(), Failure> {
    let response = client.send(request)?;
    if let Some(notice) = response.header(NOTICE_HEADER) {
        output::warn(&format!("{name}: {notice}"));
    }
    Ok(response.bytes().map(drop)?)
}

/// The old and the new name of a flag are one flag.
pub(crate) fn check(parsed: &Parsed) -> Result<(), Failure> {
    if parsed.is_set("time") && parsed.is_set("timeout") {
        return Err(Failure::new("conflicting options: cannot specify both --timeout and --time"));
    }
    Ok(())
}

/// A request with the signal and the time that the flags give.
pub(crate) fn request(parsed: &Parsed, path: String) -> Request<'static> {
    let given = |flag| parsed.given(flag).filter(|value| !value.is_empty());
    Request::post(path)
        .query_some("signal", given("signal"))
        .query_some("t", given("timeout").or_else(|| given("time")))
}

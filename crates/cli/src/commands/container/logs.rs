//! `wharf logs`: what a container has written.

use std::io::{Read as _, Write as _};

use docker_api::client::{Body, Request};
use docker_api::containers::ContainerInspect;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::options::times;
use crate::session::Session;
use crate::streams::Unbuffered;
use crate::streams::demultiplex::demultiplex;

pub(crate) static LOGS: Command = Command::new("logs", "Fetch the logs of a container", run)
    .spellings(&["container logs", "logs"])
    .takes(Positional::Exactly(1), "[OPTIONS] CONTAINER")
    .flags(&[&[
        Flag::switch("follow", "Follow log output").short('f'),
        Flag::text(
            "since",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" \
             for 42 minutes)",
        ),
        Flag::text(
            "until",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \
             \"42m\" for 42 minutes)",
        ),
        Flag::switch("timestamps", "Show timestamps").short('t'),
        Flag::switch("details", "Show extra details provided to logs"),
        Flag::text("tail", "Number of lines to show from the end of the logs")
            .short('n')
            .default("all"),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    let container: ContainerInspect =
        client.json(Request::get(container_path(&parsed.arguments[0], "/json")))?;
    let request = Request::get(container_path(&container.id, "/logs"))
        .query("stdout", "1")
        .query("stderr", "1")
        .query_some("since", time(parsed, "since")?.as_deref())
        .query_some("until", time(parsed, "until")?.as_deref())
        .query_set("timestamps", parsed.switch("timestamps"))
        .query_set("details", parsed.switch("details"))
        .query_set("follow", parsed.switch("follow"))
        .query("tail", parsed.text("tail"));
    let body = client.send(request)?.into_body();
    let (mut stdout, mut stderr) = (Unbuffered::stdout(true), Unbuffered::stderr(true));
    let copied = if container.config.tty {
        copy(body, &mut stdout)
    } else {
        demultiplex(body, &mut stdout, &mut stderr)
    };
    match copied {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn time(parsed: &Parsed, flag: &str) -> Result<Option<String>, Failure> {
    let given = parsed.given(flag).filter(|time| !time.is_empty());
    given
        .map(times::for_api)
        .transpose()
        .map_err(|error| Failure::new(format!("invalid value for \"{flag}\": {error}")))
}

fn copy(mut body: Body, stdout: &mut Unbuffered) -> std::io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    loop {
        match body.read(&mut buffer)? {
            0 => return Ok(()),
            length => stdout.write_all(&buffer[..length])?,
        }
    }
}

//! `wharf run`: makes a container, starts it, and stays with it.
//!
//! Output and exit status must not be missed however short the container lives, so both
//! are asked for before it starts, each on a connection of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use docker_api::client::{Client, ClientError, Request};
use docker_api::containers::{ContainerConfig, WaitResponse};

use super::create::{self, STATUS_BEFORE_RUN, with_help};
use super::creation_flags::FLAGS;
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use crate::streams::{Ended, Streams};
use crate::terminal::{self, Proxy, Resize};

pub(crate) static RUN: Command =
    Command::new("run", "Create and run a new container from an image", run)
        .spellings(&["container run", "run"])
        .takes(Positional::AtLeast(1), "[OPTIONS] IMAGE [COMMAND] [ARG...]")
        .flags(&[
            FLAGS,
            &[
                Flag::switch("detach", "Run container in background and print container ID")
                    .short('d'),
                Flag::switch("sig-proxy", "Proxy received signals to the process").default("true"),
                Flag::text("detach-keys", "Override the key sequence for detaching a container"),
                Flag::text(
                    "pull",
                    "Pull image before running (\"always\", \"missing\", \"never\")",
                )
                .default("missing"),
            ],
        ])
        .stops_at_first_argument();

/// The exit status if the command cannot be run, and if there is none.
const STATUS_NOT_RUNNABLE: i32 = 126;
const STATUS_NOT_FOUND: i32 = 127;

pub(super) fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let mut request = create::request(session, parsed, "run")?;
    if parsed.switch("detach") {
        detach(parsed, &mut request.config)?;
    } else {
        terminal::check_input(request.config.attach_stdin, request.config.tty)?;
    }
    let config = request.config.clone();
    let id = create::create(session, parsed, request).map_err(status_of)?;
    let client = session.client()?;
    if config.attach_stdin || config.attach_stdout || config.attach_stderr {
        let attached = Attached { client, id: &id, config: &config, parsed };
        return attached.run(session);
    }
    let started = client.run(Request::post(container_path(&id, "/start")));
    output::print(&format!("{id}\n"))?;
    started.map_err(|error| {
        if parsed.switch("rm") {
            let _ = client.run(wait_request(&id, true));
        }
        status_of(error.into())
    })
}

/// Nothing is attached to a container that is left alone.
fn detach(parsed: &Parsed, config: &mut ContainerConfig) -> Result<(), Failure> {
    if parsed.is_set("attach") {
        return Err(Failure::new("conflicting options: cannot specify both --attach and --detach"));
    }
    config.attach_stdin = false;
    config.attach_stdout = false;
    config.attach_stderr = false;
    config.stdin_once = false;
    Ok(())
}

/// A container that we stay with.
struct Attached<'a> {
    client: &'a Arc<Client>,
    id: &'a str,
    config: &'a ContainerConfig,
    parsed: &'a Parsed,
}

impl Attached<'_> {
    fn run(&self, session: &Session) -> Result<(), Failure> {
        let resize = (self.config.tty && terminal::console_size() != [0, 0])
            .then(|| Resize::container(self.id));
        let container = self.parsed.switch("sig-proxy").then(|| self.id.to_owned());
        terminal::forward(Arc::clone(self.client), Proxy { container, resize: resize.clone() })?;
        let streams = self.streams(session);
        let attach = self.client.begin_hijack(attach_request(self.id, &streams))?;
        let auto_remove = self.parsed.switch("rm");
        let wait = self.client.begin(wait_request(self.id, auto_remove))?;
        let hijacked = attach.finish_hijack()?;
        // The head of this answer says that the daemon has begun to wait.
        let wait = wait.finish()?;
        if let Err(error) = self.client.run(Request::post(container_path(self.id, "/start"))) {
            if auto_remove {
                let _ = wait.bytes();
            }
            return Err(status_of(error.into()));
        }
        if let Some(resize) = resize {
            let client = Arc::clone(self.client);
            std::thread::spawn(move || resize.soon(&client));
        }
        if streams.join(hijacked)? == Ended::Detached {
            return Ok(());
        }
        exit_with(&end_of(self.client, self.id, wait.json())?)
    }

    fn streams(&self, session: &Session) -> Streams {
        Streams {
            stdin: self.config.attach_stdin,
            stdout: self.config.attach_stdout,
            stderr: self.config.attach_stderr,
            tty: self.config.tty,
            detach_keys: detach_keys(session, self.parsed),
        }
    }
}

/// The user's keys to detach: the flag's, else the configuration's.
pub(crate) fn detach_keys(session: &Session, parsed: &Parsed) -> String {
    match parsed.text("detach-keys") {
        "" => session.configuration().text("detachKeys").unwrap_or_default().to_owned(),
        keys => keys.to_owned(),
    }
}

/// The request that joins a container's streams.
pub(crate) fn attach_request(id: &str, streams: &Streams) -> Request<'static> {
    let keys = Some(streams.detach_keys.as_str()).filter(|keys| !keys.is_empty());
    Request::post(container_path(id, "/attach"))
        .query("stream", "1")
        .query_set("stdin", streams.stdin)
        .query_set("stdout", streams.stdout)
        .query_set("stderr", streams.stderr)
        .query_some("detachKeys", keys)
}

/// The request that is answered when a container has ended, or is gone.
pub(crate) fn wait_request(id: &str, until_removed: bool) -> Request<'static> {
    let condition = if until_removed { "removed" } else { "next-exit" };
    Request::post(container_path(id, "/wait")).query("condition", condition)
}

/// How long the next daemon may take to come, when the one that we waited with has gone.
const NEXT_DAEMON_PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks for it.
const NEXT_DAEMON_PAUSE: Duration = Duration::from_millis(100);

/// How a container ended. A daemon that went away while we waited has not taken the container
/// along, and the next one knows.
pub(crate) fn end_of(
    client: &Client,
    id: &str,
    waited: Result<WaitResponse, ClientError>,
) -> Result<WaitResponse, ClientError> {
    let deadline = Instant::now() + NEXT_DAEMON_PATIENCE;
    let mut outcome = waited;
    while Instant::now() < deadline
        && let Err(ClientError::Receive(_) | ClientError::Send(_) | ClientError::Connect { .. }) =
            outcome
    {
        std::thread::sleep(NEXT_DAEMON_PAUSE);
        outcome = client.json(Request::post(container_path(id, "/wait")));
    }
    outcome
}

/// Leaves with the container's status.
pub(crate) fn exit_with(answer: &WaitResponse) -> Result<(), Failure> {
    if let Some(error) = &answer.error {
        output::warn(&format!("Error waiting for container: {}", error.message));
        return Err(Failure::silent(STATUS_BEFORE_RUN));
    }
    match answer.status_code {
        0 => Ok(()),
        status => Err(Failure::silent(i32::try_from(status).unwrap_or(STATUS_BEFORE_RUN))),
    }
}

/// The status by which a shell tells what kept a command from running.
fn status_of(failure: Failure) -> Failure {
    let message = &failure.message;
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    let status = if says(&["executable file not found", "no such file or directory"]) {
        STATUS_NOT_FOUND
    } else if says(&["permission denied", "is a directory"]) {
        STATUS_NOT_RUNNABLE
    } else {
        STATUS_BEFORE_RUN
    };
    with_help(failure, "run").with_status(status)
}

//! `wharf exec`: runs one more command in a container.

use std::sync::Arc;

use docker_api::client::{Client, Request, escape};
use docker_api::exec::{ExecCreateRequest, ExecCreateResponse, ExecInspect, ExecStartRequest};

use super::run::detach_keys;
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::options::{environment, key_values};
use crate::session::Session;
use crate::streams::{Ended, Streams};
use crate::terminal::{self, Proxy, Resize, console_size};

pub(crate) static EXEC: Command =
    Command::new("exec", "Execute a command in a running container", run)
        .spellings(&["container exec", "exec"])
        .takes(Positional::AtLeast(2), "[OPTIONS] CONTAINER COMMAND [ARG...]")
        .flags(&[&[
            Flag::text("detach-keys", "Override the key sequence for detaching a container"),
            Flag::switch("interactive", "Keep STDIN open even if not attached").short('i'),
            Flag::switch("tty", "Allocate a pseudo-TTY").short('t'),
            Flag::switch("detach", "Detached mode: run command in the background").short('d'),
            Flag::text("user", "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'),
            Flag::switch("privileged", "Give extended privileges to the command"),
            Flag::list("env", "Set environment variables").short('e').check(environment::check),
            Flag::list("env-file", "Read in a file of environment variables"),
            Flag::text("workdir", "Working directory inside the container").short('w'),
        ]])
        .stops_at_first_argument();

/// The exit status if the daemon is gone before it could tell the command's.
const STATUS_UNKNOWN: i32 = 255;

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let exec = request(session, parsed)?;
    let client = session.client()?;
    let name = &parsed.arguments[0];
    if exec.attach_stdin && exec.tty {
        // An exec that is made stays with the daemon, so the terminal is looked at
        // first; but that there is no such container is the better thing to say.
        client.run(Request::get(container_path(name, "/json")))?;
        terminal::check_input(true, true)?;
    }
    let made: ExecCreateResponse =
        client.json(Request::post(container_path(name, "/exec")).json(&exec))?;
    if made.id.is_empty() {
        return Err(Failure::new("exec ID empty"));
    }
    let start =
        Request::post(format!("/exec/{}/start", escape(&made.id))).json(&ExecStartRequest {
            detach: exec.detach,
            tty: exec.tty,
            console_size: exec.console_size,
        });
    if exec.detach {
        return Ok(client.run(start)?);
    }
    stay(client, &exec, &made.id, start)
}

fn request(session: &Session, parsed: &Parsed) -> Result<ExecCreateRequest, Failure> {
    let variables = key_values::read(
        &parsed.list("env-file"),
        parsed.list("env"),
        key_values::from_environment,
    );
    let variables = variables.map_err(Failure::new)?;
    let (detach, tty) = (parsed.switch("detach"), parsed.switch("tty"));
    Ok(ExecCreateRequest {
        user: parsed.text("user").to_owned(),
        privileged: parsed.switch("privileged"),
        tty,
        console_size: tty.then(console_size),
        attach_stdin: !detach && parsed.switch("interactive"),
        attach_stdout: !detach,
        attach_stderr: !detach,
        detach_keys: detach_keys(session, parsed),
        env: Some(variables).filter(|variables| !variables.is_empty()),
        working_dir: parsed.text("workdir").to_owned(),
        cmd: Some(parsed.arguments[1..].to_vec()),
        detach,
    })
}

/// Starts the command with our streams, and leaves with its status.
fn stay(
    client: &Arc<Client>,
    exec: &ExecCreateRequest,
    id: &str,
    start: Request<'_>,
) -> Result<(), Failure> {
    let resize = (exec.tty && console_size() != [0, 0]).then(|| Resize::exec(id));
    let hijacked = client.begin_hijack(start)?.finish_hijack()?;
    if exec.tty {
        terminal::forward(Arc::clone(client), Proxy { container: None, resize: resize.clone() })?;
    }
    if let Some(resize) = resize {
        let client = Arc::clone(client);
        std::thread::spawn(move || resize.soon(&client));
    }
    let streams = Streams {
        stdin: exec.attach_stdin,
        stdout: exec.attach_stdout,
        stderr: exec.attach_stderr,
        tty: exec.tty,
        detach_keys: exec.detach_keys.clone(),
    };
    if streams.join(hijacked)? == Ended::Detached {
        return Err(Failure::new("read escape sequence"));
    }
    match client.json::<ExecInspect>(Request::get(format!("/exec/{}/json", escape(id)))) {
        Ok(state) => match state.exit_code.unwrap_or_default() {
            0 => Ok(()),
            status => Err(Failure::silent(status)),
        },
        Err(error) if error.is_connection_failure() => Err(Failure::silent(STATUS_UNKNOWN)),
        Err(error) => Err(error.into()),
    }
}

//! `wharf attach`: joins the streams of a container that runs.

use std::sync::Arc;

use docker_api::client::{Client, Request, Response};
use docker_api::containers::ContainerInspect;

use super::run::{attach_request, detach_keys, end_of};
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::session::Session;
use crate::streams::{Ended, Streams};
use crate::terminal::{self, Proxy, Resize};

pub(crate) static ATTACH: Command = Command::new(
    "attach",
    "Attach local standard input, output, and error streams to a running container",
    run,
)
.spellings(&["container attach", "attach"])
.takes(Positional::Exactly(1), "[OPTIONS] CONTAINER")
.flags(&[&[
    Flag::switch("no-stdin", "Do not attach STDIN"),
    Flag::switch("sig-proxy", "Proxy all received signals to the process").default("true"),
    Flag::text("detach-keys", "Override the key sequence for detaching a container"),
]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    let name = &parsed.arguments[0];
    let container = inspect_running(client, name)?;
    let (id, config) = (&container.id, &container.config);
    let with_stdin = !parsed.switch("no-stdin");
    terminal::check_input(with_stdin, config.tty)?;
    let streams = Streams {
        stdin: with_stdin && config.open_stdin,
        stdout: true,
        stderr: true,
        tty: config.tty,
        detach_keys: detach_keys(session, parsed),
    };
    let resize = (config.tty && terminal::console_size() != [0, 0]).then(|| Resize::container(id));
    let container = (parsed.switch("sig-proxy") && !config.tty).then(|| id.clone());
    terminal::forward(Arc::clone(client), Proxy { container, resize: resize.clone() })?;
    let wait = client.begin(Request::post(container_path(id, "/wait")))?;
    let hijacked = client.begin_hijack(attach_request(id, &streams))?.finish_hijack()?;
    // It may have ended in between, and then nothing would ever come.
    inspect_running(client, name)?;
    if let Some(resize) = &resize {
        resize.redraw(client);
        resize.soon(client);
    }
    if streams.join(hijacked)? == Ended::Detached {
        return Err(Failure::new("read escape sequence"));
    }
    let waited = wait.finish().and_then(Response::json);
    let answer = end_of(client, id, waited)?;
    match (answer.error, answer.status_code) {
        (Some(error), _) => Err(Failure::new(error.message)),
        (None, 0) => Ok(()),
        (None, status) => Err(Failure::silent(i32::try_from(status).unwrap_or(1))),
    }
}

fn inspect_running(client: &Client, name: &str) -> Result<ContainerInspect, Failure> {
    let container: ContainerInspect = client.json(Request::get(container_path(name, "/json")))?;
    let state = &container.state;
    let reason = if !state.running {
        "You cannot attach to a stopped container, start it first"
    } else if state.paused {
        "You cannot attach to a paused container, unpause it first"
    } else if state.restarting {
        "You cannot attach to a restarting container, wait until it is running"
    } else {
        return Ok(container);
    };
    Err(Failure::new(reason))
}

//! `wharf start`: starts containers that were made before.

use std::sync::Arc;

use docker_api::client::{Client, Request};
use docker_api::containers::ContainerInspect;

use super::run::{attach_request, detach_keys, exit_with, wait_request};
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use crate::streams::{Ended, Streams};
use crate::terminal::{self, Proxy, Resize};

pub(crate) static START: Command =
    Command::new("start", "Start one or more stopped containers", run)
        .spellings(&["container start", "start"])
        .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
        .flags(&[&[
            Flag::switch("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
            Flag::switch("interactive", "Attach container's STDIN").short('i'),
            Flag::text("detach-keys", "Override the key sequence for detaching a container"),
            Flag::text("checkpoint", "Restore from this checkpoint").refused(),
            Flag::text("checkpoint-dir", "Use a custom checkpoint storage directory").refused(),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    if parsed.switch("attach") || parsed.switch("interactive") {
        if parsed.arguments.len() > 1 {
            return Err(Failure::new("you cannot start and attach multiple containers at once"));
        }
        return start_attached(session, parsed);
    }
    start_all(session.client()?, &parsed.arguments)
}

fn start_all(client: &Client, names: &[String]) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for name in names {
        match client.run(Request::post(container_path(name, "/start"))) {
            Ok(()) => output::print(&format!("{name}\n"))?,
            Err(error) => {
                output::warn(&Failure::from(error).text());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("Error: failed to start containers: {}", failed.join(", "))))
}

fn start_attached(session: &Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    let container: ContainerInspect =
        client.json(Request::get(container_path(&parsed.arguments[0], "/json")))?;
    let (id, config) = (&container.id, &container.config);
    let resize = (config.tty && terminal::console_size() != [0, 0]).then(|| Resize::container(id));
    let proxy = Proxy { container: (!config.tty).then(|| id.clone()), resize: resize.clone() };
    terminal::forward(Arc::clone(client), proxy)?;
    let streams = Streams {
        stdin: parsed.switch("interactive") && config.open_stdin,
        stdout: true,
        stderr: true,
        tty: config.tty,
        detach_keys: detach_keys(session, parsed),
    };
    let attach = client.begin_hijack(attach_request(id, &streams))?;
    let auto_remove = container.host_config.auto_remove;
    let wait = client.begin(wait_request(id, auto_remove))?;
    let hijacked = attach.finish_hijack()?;
    let wait = wait.finish()?;
    if let Err(error) = client.run(Request::post(container_path(id, "/start"))) {
        if auto_remove {
            let _ = wait.bytes();
        }
        return Err(error.into());
    }
    if let Some(resize) = resize {
        let client = Arc::clone(client);
        std::thread::spawn(move || resize.soon(&client));
    }
    if streams.join(hijacked)? == Ended::Detached {
        return Ok(());
    }
    exit_with(&wait.json()?)
}

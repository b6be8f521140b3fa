//! `wharf debug`: a shell with tools beside a container that has none.
//!
//! It is a container of its own, from an image with tools, in the other's namespaces of
//! processes and network (and of IPC, where that can be shared), which goes with its end. The
//! other container's files are seen through one of its processes: `/proc/<pid>/root`. All of
//! this is said as a line of `run`, so it works with every engine.

mod toolbox;

use std::io::{self, IsTerminal as _};

use docker_api::client::Request;
use docker_api::containers::ContainerInspect;

use super::run;
use crate::command_line::{Command, Flag, Outcome, Parsed, Positional, parse};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::options::environment;
use crate::output;
use crate::session::Session;

pub(crate) static DEBUG: Command =
    Command::new("debug", "Open a shell with tools in a container's namespaces", run)
        .spellings(&["container debug", "debug"])
        .long_about(
            "Open a shell with tools in a container's namespaces, whether or not its image has \
             any. The shell sees the container's processes and network; its files are below \
             $TARGET, where the shell starts",
        )
        .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [COMMAND] [ARG...]")
        .flags(&[&[
            Flag::text("image", "Image with the tools (default: busybox, or this machine's own)"),
            Flag::text("detach-keys", "Override the key sequence for detaching a container"),
            Flag::list("env", "Set environment variables").short('e').check(environment::check),
            Flag::switch("privileged", "Give extended privileges to the shell"),
            Flag::text("pull", "Pull image before running (\"always\", \"missing\", \"never\")")
                .default("missing"),
            Flag::switch("quiet", "Say nothing but what the command says").short('q'),
            Flag::text("user", "Username or UID (format: \"<name|uid>[:<group|gid>]\")")
                .short('u')
                .default("0:0"),
            Flag::list("volume", "Bind mount a volume").short('v'),
        ]])
        .stops_at_first_argument();

/// Where the shell finds the container's files.
const TARGET: &str = "TARGET";

/// Says on a container what it is for.
const LABEL: &str = "wharf.debug";

/// What is run if nothing else is asked for: a shell among the container's files.
const SHELL: &[&str] = &["sh", "-c", "cd \"$TARGET\" 2>/dev/null; exec sh"];

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let target = running(session, &parsed.arguments[0])?;
    let image = match parsed.text("image") {
        "" => toolbox::image(session.client()?)?,
        image => image.to_owned(),
    };
    let command = match &parsed.arguments[1..] {
        [] => SHELL.iter().map(ToString::to_string).collect(),
        command => command.to_vec(),
    };
    let root = root_of(&target);
    if parsed.arguments.len() == 1 && !parsed.switch("quiet") {
        let name = target.name.trim_start_matches('/');
        output::warn(&match &root {
            Some(root) => format!("{name}: its files are below ${TARGET} ({root})"),
            None => format!("{name}: its files are below /proc/<pid>/root of its processes"),
        });
    }
    let line = Line { parsed, target: &target, root: root.as_deref(), image: &image };
    match parse(&run::RUN, "wharf run".to_owned(), &line.words(&command)) {
        Ok(Outcome::Ready(run)) => run::run(session, &run),
        Ok(Outcome::Help { .. }) => Err(Failure::new("no word of this line asks for help")),
        Err(error) => Err(Failure::new(error.0).with_status(super::create::STATUS_BEFORE_RUN)),
    }
}

fn running(session: &Session, name: &str) -> Result<ContainerInspect, Failure> {
    let target: ContainerInspect =
        session.client()?.json(Request::get(container_path(name, "/json")))?;
    if target.state.pid != 0 && !target.state.paused {
        return Ok(target);
    }
    let mut failure = Failure::new(format!(
        "container {name} is {}: there is no process beside which a shell could run",
        target.state.status
    ));
    failure.hint = Some(match target.state.paused {
        true => format!("`wharf unpause {name}` lets it go on"),
        false => format!("`wharf why {name}` explains it, `wharf cp {name}:/ -` has its files"),
    });
    Err(failure.with_status(super::create::STATUS_BEFORE_RUN))
}

/// The container's root, as the shell will see it, if that can be known.
fn root_of(target: &ContainerInspect) -> Option<String> {
    match target.host_config.pid_mode.as_str() {
        "" => Some("/proc/1/root".to_owned()),
        "host" => Some(format!("/proc/{}/root", target.state.pid)),
        // Which number it has in another container's namespace, the engine does not tell.
        _ => None,
    }
}

/// The line of `run` that it comes to.
struct Line<'a> {
    parsed: &'a Parsed,
    target: &'a ContainerInspect,
    root: Option<&'a str>,
    image: &'a str,
}

impl Line<'_> {
    fn words(&self, command: &[String]) -> Vec<String> {
        let id = &self.target.id;
        let host = &self.target.host_config;
        let joined = |mode: &str| match mode {
            "host" => "host".to_owned(),
            mode if mode.starts_with("container:") => mode.to_owned(),
            _ => format!("container:{id}"),
        };
        let mut words = Words::default();
        words.flag("rm");
        words.flag("interactive");
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            words.flag("tty");
        }
        words.value("pid", &joined(&host.pid_mode));
        words.value("network", &joined(&host.network_mode));
        if matches!(host.ipc_mode.as_str(), "shareable" | "host") {
            words.value("ipc", &joined(&host.ipc_mode));
        }
        // To look into the container's processes.
        words.value("cap-add", "SYS_PTRACE");
        for capability in host.cap_add.iter().flatten() {
            words.value("cap-add", capability);
        }
        if host.privileged || self.parsed.switch("privileged") {
            words.flag("privileged");
        }
        words.flag("no-healthcheck");
        words.value("log-driver", "none");
        words.value("label", &format!("{LABEL}={id}"));
        if let Some(root) = self.root {
            words.value("env", &format!("{TARGET}={root}"));
        }
        for variable in self.parsed.list("env") {
            words.value("env", &variable);
        }
        for volume in self.parsed.list("volume") {
            words.value("volume", &volume);
        }
        words.value("user", self.parsed.text("user"));
        words.value("pull", self.parsed.text("pull"));
        if let Some(keys) = self.parsed.given("detach-keys") {
            words.value("detach-keys", keys);
        }
        if self.parsed.switch("quiet") {
            words.flag("quiet");
        }
        words.value("entrypoint", &command[0]);
        words.0.push(self.image.to_owned());
        words.0.extend_from_slice(&command[1..]);
        words.0
    }
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn flag(&mut self, name: &str) {
        self.0.push(format!("--{name}"));
    }

    fn value(&mut self, name: &str, value: &str) {
        self.0.push(format!("--{name}={value}"));
    }
}

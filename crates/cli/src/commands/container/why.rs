//! `wharf why`: why a container ended, or why it is as it is, on one screen.
//!
//! Everything comes from the API that every engine has: the container's details, its events,
//! its last lines of output. What an engine does not tell is left out.

mod endings;
mod explain;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};

use docker_api::Filters;
use docker_api::client::{Client, Request};
use docker_api::containers::ContainerInspect;
use docker_api::events::EventMessage;
use jiff::Timestamp;

use self::explain::{Facts, Report, explain};
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{INSPECT_FORMAT_HELP, container_path};
use crate::failure::Failure;
use crate::output;
use crate::output::inspect::{self, Document};
use crate::session::Session;
use crate::streams::demultiplex::demultiplex;

pub(crate) static WHY: Command = Command::new(
    "why",
    "Explain a container's last end or present state",
    run,
)
.spellings(&["container why", "why"])
.long_about(
    "Explain a container's last end or present state: its exit code in words, who asked for \
             the end, memory, health, restarts, the last lines of output, and what to do next",
)
.takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
.flags(&[&[
    Flag::text("format", INSPECT_FORMAT_HELP).short('f'),
    Flag::uint("tail", "Number of lines of output to show").short('n').default("10"),
]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    let lines = parsed.text("tail");
    let format = parsed.text("format");
    if !format.is_empty() {
        return inspect::inspect(&parsed.arguments, format, |name| {
            let text = serde_json::to_string(&report(client, name, lines)?)?;
            Ok(Document { text, absent: &[] })
        });
    }
    let (mut screens, mut failures) = (Vec::new(), Vec::new());
    for name in &parsed.arguments {
        match report(client, name, lines) {
            Ok(report) => screens.push(report.screen()),
            Err(failure) => failures.push(failure),
        }
    }
    output::print(&screens.join("\n"))?;
    Failure::join(failures)
}

fn report(client: &Client, name: &str, lines: &str) -> Result<Report, Failure> {
    let container: ContainerInspect = client.json(Request::get(container_path(name, "/json")))?;
    let facts = Facts {
        events: events(client, &container),
        output: last_lines(client, &container, lines),
        memory: memory(client, &container),
        now: Timestamp::now(),
        container,
    };
    Ok(explain(&facts))
}

/// What happened to the container, the oldest first. An engine that has forgotten leaves
/// a gap in the explanation, and no more.
fn events(client: &Client, container: &ContainerInspect) -> Vec<EventMessage> {
    let mut filters = Filters::default();
    filters.add("type", "container");
    filters.add("container", &container.id);
    let unix = |time: Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
    let Ok(created) = container.created.parse() else { return Vec::new() };
    let request = Request::get("/events")
        .query("since", &unix(created))
        .query("until", &unix(Timestamp::now()))
        .query("filters", &filters.to_json());
    let Ok(bytes) = client.send(request).and_then(docker_api::client::Response::bytes) else {
        return Vec::new();
    };
    serde_json::Deserializer::from_slice(&bytes).into_iter().map_while(Result::ok).collect()
}

/// The end of the output, both streams; nothing where the log cannot be read.
fn last_lines(client: &Client, container: &ContainerInspect, lines: &str) -> Vec<String> {
    if lines == "0" {
        return Vec::new();
    }
    let request = Request::get(container_path(&container.id, "/logs"))
        .query("stdout", "1")
        .query("stderr", "1")
        .query("tail", lines);
    let Ok(bytes) = client.send(request).and_then(docker_api::client::Response::bytes) else {
        return Vec::new();
    };
    let text = if container.config.tty { bytes } else { both_streams(&bytes) };
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Both streams in one, in the order in which the engine sent them.
fn both_streams(frames: &[u8]) -> Vec<u8> {
    struct Shared<'a>(&'a RefCell<Vec<u8>>);
    impl Write for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let text = RefCell::new(Vec::new());
    // What came before the engine's trouble is worth showing.
    let _ = demultiplex(frames, &mut Shared(&text), &mut Shared(&text));
    text.into_inner()
}

/// What a running container uses, in bytes; less what the kernel only keeps of files.
fn memory(client: &Client, container: &ContainerInspect) -> Option<u64> {
    if container.state.pid == 0 {
        return None;
    }
    let request = Request::get(container_path(&container.id, "/stats"))
        .query("stream", "0")
        .query("one-shot", "1");
    let stats: BTreeMap<String, serde_json::Value> = client.json(request).ok()?;
    let memory = stats.get("memory_stats")?;
    let used = memory.get("usage")?.as_u64()?;
    let files = ["total_inactive_file", "inactive_file"];
    let idle = files.iter().find_map(|name| memory.get("stats")?.get(name)?.as_u64());
    Some(used.saturating_sub(idle.unwrap_or_default()))
}

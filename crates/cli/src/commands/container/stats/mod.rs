//! `wharf stats`: what containers use, as a table that is drawn again and again.

mod entry;
mod watch;

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use docker_api::client::{Client, Request};
use docker_api::containers::StatsResponse;

use super::listed;
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{FORMAT_HELP, container_path};
use crate::failure::Failure;
use crate::output;
use crate::output::rows::Format;
use crate::session::Session;
use entry::{Entry, EntryRow};
use watch::Watch;

pub(crate) static STATS: Command =
    Command::new("stats", "Display a live stream of container(s) resource usage statistics", run)
        .spellings(&["container stats", "stats"])
        .takes(Positional::AtLeast(0), "[OPTIONS] [CONTAINER...]")
        .flags(&[&[
            Flag::switch("all", "Show all containers (default shows just running)").short('a'),
            Flag::switch("no-stream", "Disable streaming stats and only pull the first result"),
            Flag::switch("no-trunc", "Do not truncate output"),
            Flag::text("format", FORMAT_HELP),
        ]]);

const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(500);

/// Requests under way at once: each is a descriptor, of which a shell often allows 1024.
const REQUESTS_MAX: usize = 500;

/// Moves to the first place of the screen.
const HOME: &str = "\x1b[H";
/// Clears what is left of a line.
const CLEAR_LINE: &str = "\x1b[K";
/// Clears what is below.
const CLEAR_BELOW: &str = "\x1b[J";

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let layout = match parsed.text("format") {
        "" => session.configuration().text("statsFormat").unwrap_or("table").to_owned(),
        given => given.to_owned(),
    };
    let layout = if layout == "table" { TABLE.to_owned() } else { layout };
    let format = Format::parse(&layout)?;
    let view = View { format, is_short: !parsed.switch("no-trunc") };
    let client = session.client()?;
    let names = &parsed.arguments;
    if !parsed.switch("no-stream") {
        let watch = Watch::start(client, names, parsed.switch("all"))?;
        return view.follow(&watch);
    }
    let names = match names.as_slice() {
        [] => running(client, parsed.switch("all"))?,
        names => names.to_vec(),
    };
    let entries = read_once(client, &names, parsed.arguments.is_empty())?;
    output::print(&view.render(&entries)?)?;
    Ok(())
}

/// The ids of the containers there are.
fn running(client: &Client, all: bool) -> Result<Vec<String>, Failure> {
    let answer = client.send(Request::get("/containers/json").query_set("all", all))?.bytes()?;
    Ok(listed::read(&answer)?.iter().map(|container| container.id.to_string()).collect())
}

/// Asks for all at once. One that has gone since it was listed (`may_go`) is left out.
fn read_once(client: &Client, names: &[String], may_go: bool) -> Result<Vec<Entry>, Failure> {
    let (mut entries, mut failures) = (Vec::new(), Vec::new());
    for names in names.chunks(REQUESTS_MAX) {
        let asked: Vec<_> = names
            .iter()
            .map(|name| {
                let path = container_path(name, "/stats");
                client.begin(Request::get(path).query("stream", "0"))
            })
            .collect();
        for (name, pending) in names.iter().zip(asked) {
            let answer = pending.and_then(|pending| pending.finish()?.json::<StatsResponse>());
            match answer.map_err(Failure::from) {
                Ok(stats) => entries.push(Entry::of(name, &stats)),
                Err(failure) if may_go && failure.is_not_found => {}
                Err(failure) => failures.push(failure),
            }
        }
    }
    Failure::join(failures).map(|()| entries)
}

/// How the table looks.
struct View {
    format: Format,
    is_short: bool,
}

impl View {
    fn render(&self, entries: &[Entry]) -> Result<String, Failure> {
        let rows: Vec<_> =
            entries.iter().map(|entry| EntryRow { entry, is_short: self.is_short }).collect();
        self.format.render(&rows)
    }

    /// Draws until there is nothing to draw any more, or nobody who looks.
    fn follow(&self, watch: &Watch) -> Result<(), Failure> {
        loop {
            thread::sleep(REDRAW);
            let entries = watch.entries();
            match draw(&self.render(&entries)?) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                drawn => drawn?,
            }
            if let Some(end) = watch.end() {
                return end;
            }
        }
    }
}

/// Draws over what was drawn before, without a moment in which there is nothing.
fn draw(text: &str) -> io::Result<()> {
    let mut screen = HOME.to_owned();
    for line in text.split('\n') {
        screen.extend([line, " ", CLEAR_LINE, "\n"]);
    }
    screen.push_str(CLEAR_BELOW);
    let mut stdout = io::stdout().lock();
    stdout.write_all(screen.as_bytes())?;
    stdout.flush()
}

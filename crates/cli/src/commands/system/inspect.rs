//! `wharf inspect`: everything about something, whatever it is.

use docker_api::client::{Client, Request, escape};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{INSPECT_FORMAT_HELP, container, image, network, volume};
use crate::failure::Failure;
use crate::output;
use crate::output::inspect::{self, Document};
use crate::output::quote::quote;
use crate::session::Session;

pub(crate) static INSPECT: Command =
    Command::new("inspect", "Return low-level information on Docker objects", run)
        .takes(Positional::AtLeast(1), "[OPTIONS] NAME|ID [NAME|ID...]")
        .flags(&[&[
            Flag::text("format", INSPECT_FORMAT_HELP).short('f'),
            Flag::text("type", "Only inspect objects of the given type"),
            Flag::switch("size", "Display total file sizes if the type is container").short('s'),
        ]]);

/// Every kind of thing that a Docker engine may have.
const TYPES: &[&str] = &[
    "config",
    "container",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];
/// The kinds that a name is looked up in, in this order. A swarm's are asked for by name.
const SEARCHED: &[&str] = &["container", "image", "network", "volume", "plugin"];

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let kind = parsed.text("type");
    let types = || TYPES.join("\", \"");
    if parsed.is_set("type") && kind.is_empty() {
        return Err(Failure::new(format!("type is empty: must be one of \"{}\"", types())));
    }
    if !kind.is_empty() && !TYPES.contains(&kind) {
        let kind = quote(kind);
        return Err(Failure::new(format!("unknown type: {kind}: must be one of \"{}\"", types())));
    }
    let client = session.client()?;
    let with_size = parsed.switch("size");
    inspect::inspect(&parsed.arguments, parsed.text("format"), |name| {
        if kind.is_empty() {
            search(client, name, with_size)
        } else {
            one(client, kind, name, with_size)
        }
    })
}

fn search(client: &Client, name: &str, with_size: bool) -> Result<Document, Failure> {
    for kind in SEARCHED {
        match one(client, kind, name, with_size) {
            Err(failure) if is_elsewhere(&failure) => {}
            result => return result,
        }
    }
    Err(Failure::new(format!("Error: No such object: {name}")))
}

fn one(client: &Client, kind: &str, name: &str, with_size: bool) -> Result<Document, Failure> {
    let document = match kind {
        "container" => return container::inspect::document(client, name, with_size),
        "image" => image::document(client, name, None),
        "network" => network::document(client, name, false),
        "volume" => volume::document(client, name),
        other => {
            let bytes = client.send(Request::get(format!("/{}", path(other, name))))?.bytes()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(Document { text, absent: &[] })
        }
    };
    if with_size && document.is_ok() {
        output::warn(&format!("WARNING: --size ignored for {kind}"));
    }
    document
}

fn path(kind: &str, name: &str) -> String {
    let name = escape(name);
    if kind == "plugin" { format!("plugins/{name}/json") } else { format!("{kind}s/{name}") }
}

/// Whether the name may be that of something of another kind.
fn is_elsewhere(failure: &Failure) -> bool {
    failure.is_not_found
        || failure.message.contains("not supported")
        || failure.message.contains("invalid reference format")
}

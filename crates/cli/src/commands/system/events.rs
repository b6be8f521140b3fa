//! `wharf events`: what happens, as it happens.

use std::io::{BufRead as _, BufReader};

use docker_api::client::Request;
use docker_api::events::EventMessage;
use serde_json::{Value, json};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{INSPECT_FORMAT_HELP, filters_parameter};
use crate::failure::Failure;
use crate::options::{filters, times as typed_times};
use crate::output::template::{Scope, Template};
use crate::output::{self, times};
use crate::session::Session;

pub(crate) static EVENTS: Command =
    Command::new("events", "Get real time events from the server", run)
        .spellings(&["system events", "events"])
        .takes(Positional::None, "[OPTIONS]")
        .flags(&[&[
            Flag::text("since", "Show all events created since timestamp"),
            Flag::text("until", "Stream events until this timestamp"),
            Flag::other(
                "filter",
                "filter",
                "Filter output based on conditions provided",
                filters::check,
            )
            .short('f'),
            Flag::text("format", INSPECT_FORMAT_HELP),
        ]]);

/// The exit status for a template that cannot be used.
const STATUS_BAD_TEMPLATE: i32 = 64;

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let layout = Layout::parse(parsed.text("format"))?;
    let request = Request::get("/events")
        .query_some("since", time(parsed, "since")?.as_deref())
        .query_some("until", time(parsed, "until")?.as_deref())
        .query_some("filters", filters_parameter(parsed).as_deref());
    let body = session.client()?.send(request)?.into_body();
    // One document a line, but nobody promises so.
    let mut reader = BufReader::new(body);
    let mut text = String::new();
    while reader.read_line(&mut text)? > 0 {
        for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            output::print(&layout.show(&document?)?)?;
        }
        text.clear();
    }
    Ok(())
}

fn time(parsed: &Parsed, flag: &str) -> Result<Option<String>, Failure> {
    let given = parsed.given(flag).filter(|time| !time.is_empty());
    given.map(typed_times::for_api).transpose().map_err(Failure::new)
}

enum Layout {
    Plain,
    Document,
    Template(Box<Template>),
}

impl Layout {
    fn parse(format: &str) -> Result<Self, Failure> {
        let refuse = |error: &dyn std::fmt::Display| {
            Failure::new(format!("Error parsing format: {error}")).with_status(STATUS_BAD_TEMPLATE)
        };
        match format {
            "" => Ok(Self::Plain),
            "json" | "{{json .}}" => Ok(Self::Document),
            source => {
                let template = Template::parse(source).map_err(|error| refuse(&error))?;
                // An event with nothing in it shows whether the fields exist.
                // What an event's attributes are called is the daemon's business.
                if !source.contains(".Attributes") {
                    template.render(&scope(&json!({}))).map_err(|error| refuse(&error))?;
                }
                Ok(Self::Template(Box::new(template)))
            }
        }
    }

    fn show(&self, document: &Value) -> Result<String, Failure> {
        match self {
            Self::Plain => Ok(plain(&serde_json::from_value(document.clone())?)),
            Self::Document => Ok(format!("{document}\n")),
            Self::Template(template) => template
                .render(&scope(document).open())
                .map(|text| format!("{text}\n"))
                .map_err(|error| Failure::new(error.to_string())),
        }
    }
}

fn plain(event: &EventMessage) -> String {
    let time = match (event.time_nano, event.time) {
        (0, 0) => String::new(),
        (0, seconds) => format!("{} ", times::rfc3339_nanoseconds(seconds, 0)),
        (nanoseconds, _) => {
            let fraction = i32::try_from(nanoseconds % 1_000_000_000).unwrap_or_default();
            format!("{} ", times::rfc3339_nanoseconds(nanoseconds / 1_000_000_000, fraction))
        }
    };
    let attributes: Vec<_> =
        event.actor.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let attributes = match attributes.is_empty() {
        true => String::new(),
        false => format!(" ({})", attributes.join(", ")),
    };
    format!("{time}{} {} {}{attributes}\n", event.kind, event.action, event.actor.id)
}

/// An event with the fields of Go's type, which are not all spelled as the members are.
fn scope(event: &Value) -> Scope {
    let text = |name: &str| event.get(name).cloned().unwrap_or_else(|| "".into());
    let number = |name: &str| event.get(name).cloned().unwrap_or_else(|| 0.into());
    let actor = event.get("Actor").cloned().unwrap_or_else(|| json!({"ID": "", "Attributes": {}}));
    let mut scope = Scope::new("*events.Message");
    for (field, value) in [
        ("Status", text("status")),
        ("ID", text("id")),
        ("From", text("from")),
        ("Type", text("Type")),
        ("Action", text("Action")),
        ("Actor", actor),
        ("Scope", text("scope")),
        ("Time", number("time")),
        ("TimeNano", number("timeNano")),
    ] {
        scope.set(field, &value);
    }
    scope.set_document(event.to_string());
    scope
}

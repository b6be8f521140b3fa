//! `wharf context ls`: contexts as a list.

use serde_json::Value;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::FORMAT_HELP;
use crate::failure::Failure;
use crate::output::ellipsis::ellipsis;
use crate::output::rows::{Format, Row};
use crate::output::{self, natural};
use crate::session::{CONTEXT_DEFAULT, SOCKET_DEFAULT, Session, environment};

pub(crate) static LS: Command = Command::new("ls", "List contexts", run)
    .aliases(&["list"])
    .spellings(&["context ls", "context list"])
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::text("format", FORMAT_HELP),
        Flag::switch("quiet", "Only show context names").short('q'),
    ]]);

const TABLE: &str =
    "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}";
/// The columns for errors.
const ERROR_WIDTH: usize = 45;

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let current = session.context_name();
    let host = session.host().unwrap_or_else(|| format!("unix://{SOCKET_DEFAULT}"));
    let mut rows = vec![ContextRow {
        name: CONTEXT_DEFAULT.to_owned(),
        description: "Current DOCKER_HOST based configuration".to_owned(),
        endpoint: host,
        is_current: current == CONTEXT_DEFAULT,
        error: String::new(),
    }];
    rows.extend(session.contexts().list()?.iter().map(|context| ContextRow {
        name: context.name.clone(),
        description: context.description().to_owned(),
        endpoint: context.host().unwrap_or_default(),
        is_current: context.name == current,
        error: String::new(),
    }));
    if !rows.iter().any(|row| row.is_current) {
        let error = session.contexts().get(&current).err();
        rows.push(ContextRow {
            error: error.map(|error| error.message).unwrap_or_default(),
            name: current,
            description: String::new(),
            endpoint: String::new(),
            is_current: true,
        });
    }
    rows.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let format = match parsed.text("format") {
        _ if parsed.switch("quiet") => "{{.Name}}",
        "" | "table" => TABLE,
        format => format,
    };
    output::print(&Format::parse(format)?.render(&rows)?)?;
    if environment("DOCKER_HOST").is_some() {
        output::warn(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a \
             context, either set the global --context flag, or unset DOCKER_HOST environment \
             variable.",
        );
    }
    Ok(())
}

struct ContextRow {
    name: String,
    description: String,
    endpoint: String,
    is_current: bool,
    error: String,
}

impl Row for ContextRow {
    const TYPE: &'static str = "*formatter.clientContextContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Current", ""),
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Error", "ERROR"),
    ];
    const HAS_LABELS: bool = false;

    fn field(&self, name: &str) -> Value {
        match name {
            "Current" => self.is_current.into(),
            "Name" => self.name.as_str().into(),
            "Description" => self.description.as_str().into(),
            "DockerEndpoint" => self.endpoint.as_str().into(),
            _ => ellipsis(&self.error, ERROR_WIDTH).into(),
        }
    }
}

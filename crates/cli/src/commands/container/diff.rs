//! `wharf diff`: what a container has changed in its file system.

use docker_api::client::Request;
use serde::Deserialize;
use serde_json::Value;

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::output;
use crate::output::rows::{Format, Row};
use crate::session::Session;

pub(crate) static DIFF: Command = Command::new(
    "diff",
    "Inspect changes to files or directories on a container's filesystem",
    run,
)
.spellings(&["container diff", "diff"])
.takes(Positional::Exactly(1), "CONTAINER");

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    path: String,
    kind: u8,
}

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let request = Request::get(container_path(&parsed.arguments[0], "/changes"));
    let changes: Option<Vec<Change>> = session.client()?.json(request)?;
    let format = Format::parse("{{.Type}} {{.Path}}")?;
    output::print(&format.render(&changes.unwrap_or_default())?)?;
    Ok(())
}

impl Row for Change {
    const TYPE: &'static str = "*container.diffContext";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("Type", "CHANGE TYPE"), ("Path", "PATH")];
    const HAS_LABELS: bool = false;

    fn field(&self, name: &str) -> Value {
        match (name, self.kind) {
            ("Path", _) => self.path.as_str().into(),
            (_, 0) => "C".into(),
            (_, 1) => "A".into(),
            _ => "D".into(),
        }
    }
}

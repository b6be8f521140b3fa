//! `wharf container prune`: removes every container that does not run.

use docker_api::Filters;
use docker_api::client::{Client, Request};
use docker_api::containers::ContainerPruneReport;

use crate::command_line::{Command, Flag, Parsed};
use crate::commands::{prompt, prune_filters};
use crate::failure::Failure;
use crate::options::filters;
use crate::output::{self, units};
use crate::session::Session;

pub(crate) static PRUNE: Command = Command::new("prune", "Remove all stopped containers", run)
    .takes(crate::command_line::Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
        Flag::other(
            "filter",
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
            filters::check,
        ),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let filters = prune_filters(session, parsed);
    prompt::confirm_prune(
        parsed.switch("force"),
        "WARNING! This will remove all stopped containers.",
    )?;
    let (text, bytes) = prune(session.client()?, &filters)?;
    output::print(&report(&text, bytes))?;
    Ok(())
}

/// Removes them; gives what was removed as text, and how much room that made.
pub(crate) fn prune(client: &Client, filters: &Filters) -> Result<(String, u64), Failure> {
    let request = Request::post("/containers/prune").query("filters", &filters.to_json());
    let report: ContainerPruneReport = client.json(request)?;
    let ids = report.containers_deleted.unwrap_or_default();
    Ok(removed("Deleted Containers", &ids, report.space_reclaimed))
}

/// A list of what was removed; nothing if nothing was.
pub(crate) fn removed(title: &str, names: &[String], bytes: u64) -> (String, u64) {
    if names.is_empty() {
        return (String::new(), 0);
    }
    (format!("{title}:\n{}\n", names.join("\n")), bytes)
}

/// What a prune prints at its end.
pub(crate) fn report(text: &str, bytes: u64) -> String {
    let size = units::size(bytes as f64);
    let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
    format!("{text}Total reclaimed space: {size}\n")
}

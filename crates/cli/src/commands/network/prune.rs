//! `wharf network prune`: removes networks that no container uses.

use docker_api::Filters;
use docker_api::client::{Client, Request};
use docker_api::networks::NetworkPruneReport;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container::prune::removed;
use crate::commands::{prompt, prune_filters};
use crate::failure::Failure;
use crate::options::filters;
use crate::output;
use crate::session::Session;

pub(crate) static PRUNE: Command = Command::new("prune", "Remove all unused networks", run)
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
        Flag::other(
            "filter",
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
            filters::check,
        ),
    ]]);

const WARNING: &str =
    "WARNING! This will remove all custom networks not used by at least one container.";

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let filters = prune_filters(session, parsed);
    prompt::confirm_prune(parsed.switch("force"), WARNING)?;
    let text = prune(session.client()?, &filters)?;
    if !text.is_empty() {
        output::print(&format!("{text}\n"))?;
    }
    Ok(())
}

/// Removes them; gives what was removed as text.
pub(crate) fn prune(client: &Client, filters: &Filters) -> Result<String, Failure> {
    let request = Request::post("/networks/prune").query("filters", &filters.to_json());
    let report: NetworkPruneReport = client.json(request)?;
    Ok(removed("Deleted Networks", &report.networks_deleted.unwrap_or_default(), 0).0)
}

//! `wharf volume prune`: removes volumes that no container uses.

use docker_api::Filters;
use docker_api::client::{Client, Request};
use docker_api::volumes::VolumePruneReport;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container::prune::{removed, report};
use crate::commands::{prompt, prune_filters};
use crate::failure::Failure;
use crate::options::filters;
use crate::output;
use crate::session::Session;

pub(crate) static PRUNE: Command = Command::new("prune", "Remove unused local volumes", run)
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("all", "Remove all unused volumes, not just anonymous ones").short('a'),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
        Flag::other(
            "filter",
            "filter",
            "Provide filter values (e.g. \"label=<label>\")",
            filters::check,
        ),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let mut filters = prune_filters(session, parsed);
    let all = parsed.switch("all");
    if all && filters.contains("all") {
        return Err(Failure::new(
            "conflicting options: cannot specify both --all and --filter all=1",
        ));
    }
    if all {
        filters.add("all", "true");
    }
    let which = if all { "all" } else { "anonymous" };
    let warning = format!(
        "WARNING! This will remove {which} local volumes not used by at least one container."
    );
    prompt::confirm_prune(parsed.switch("force"), &warning)?;
    let (text, bytes) = prune(session.client()?, &filters)?;
    output::print(&report(&text, bytes))?;
    Ok(())
}

/// Removes them; gives what was removed as text, and how much room that made.
pub(crate) fn prune(client: &Client, filters: &Filters) -> Result<(String, u64), Failure> {
    let request = Request::post("/volumes/prune").query("filters", &filters.to_json());
    let report: VolumePruneReport = client.json(request)?;
    let names = report.volumes_deleted.unwrap_or_default();
    Ok(removed("Deleted Volumes", &names, report.space_reclaimed))
}

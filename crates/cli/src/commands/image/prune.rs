//! `wharf image prune`: removes images that nobody uses.

use docker_api::Filters;
use docker_api::client::{Client, Request};
use docker_api::images::{ImageDeleteItem, ImagePruneReport};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container::prune::report;
use crate::commands::{prompt, prune_filters};
use crate::failure::Failure;
use crate::options::filters;
use crate::output;
use crate::session::Session;

pub(crate) static PRUNE: Command = Command::new("prune", "Remove unused images", run)
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
        Flag::switch("all", "Remove all unused images, not just dangling ones").short('a'),
        Flag::other(
            "filter",
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
            filters::check,
        ),
    ]]);

const WARNING_DANGLING: &str = "WARNING! This will remove all dangling images.";
const WARNING_ALL: &str =
    "WARNING! This will remove all images without at least one container associated to them.";

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let all = parsed.switch("all");
    let filters = prune_filters(session, parsed);
    let warning = if all { WARNING_ALL } else { WARNING_DANGLING };
    prompt::confirm_prune(parsed.switch("force"), warning)?;
    let (text, bytes) = prune(session.client()?, filters, all)?;
    output::print(&report(&text, bytes))?;
    Ok(())
}

/// Removes them; gives what was removed as text, and how much room that made.
pub(crate) fn prune(
    client: &Client,
    mut filters: Filters,
    all: bool,
) -> Result<(String, u64), Failure> {
    filters.add("dangling", (!all).to_string());
    let request = Request::post("/images/prune").query("filters", &filters.to_json());
    let report: ImagePruneReport = client.json(request)?;
    let items = report.images_deleted.unwrap_or_default();
    if items.is_empty() {
        return Ok((String::new(), 0));
    }
    let lines: String = items.iter().map(line).collect();
    Ok((format!("Deleted Images:\n{lines}"), report.space_reclaimed))
}

fn line(item: &ImageDeleteItem) -> String {
    if item.untagged.is_empty() {
        format!("deleted: {}\n", item.deleted)
    } else {
        format!("untagged: {}\n", item.untagged)
    }
}

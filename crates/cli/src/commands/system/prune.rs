//! `wharf system prune`: removes everything that nobody uses.

use docker_api::client::{Client, Request};
use docker_api::system::BuildPruneReport;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container::prune::{removed, report};
use crate::commands::{container, image, network, prompt, prune_filters, volume};
use crate::failure::Failure;
use crate::options::filters;
use crate::output::{self, natural};
use crate::session::Session;

pub(crate) static PRUNE: Command = Command::new("prune", "Remove unused data", run)
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
        Flag::switch("all", "Remove all unused images not just dangling ones").short('a'),
        Flag::switch("volumes", "Prune anonymous volumes"),
        Flag::other(
            "filter",
            "filter",
            "Provide filter values (e.g. \"label=<key>=<value>\")",
            filters::check,
        ),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let filters = prune_filters(session, parsed);
    let (all, volumes) = (parsed.switch("all"), parsed.switch("volumes"));
    if volumes && filters.contains("until") {
        return Err(Failure::new(
            "ERROR: The \"until\" filter is not supported with \"--volumes\"",
        ));
    }
    if !parsed.switch("force") && !prompt::confirm(&question(all, volumes, &filters))? {
        return Err(Failure::silent(0));
    }
    let client = session.client()?;
    let mut bytes = 0;
    let mut show = |(text, freed): (String, u64)| -> Result<(), Failure> {
        bytes += freed;
        if !text.is_empty() {
            output::print(&format!("{text}\n"))?;
        }
        Ok(())
    };
    show(container::prune::prune(client, &filters)?)?;
    show((network::prune::prune(client, &filters)?, 0))?;
    if volumes {
        show(volume::prune::prune(client, &filters)?)?;
    }
    show(image::prune::prune(client, filters.clone(), all)?)?;
    show(prune_build_cache(client, &filters, all)?)?;
    output::print(&report("", bytes))?;
    Ok(())
}

fn question(all: bool, volumes: bool, filters: &docker_api::Filters) -> String {
    let mut what =
        vec!["all stopped containers", "all networks not used by at least one container"];
    if volumes {
        what.push("all anonymous volumes not used by at least one container");
    }
    what.push(if all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    });
    what.push(if all { "all build cache" } else { "unused build cache" });
    let mut question = "WARNING! This will remove:".to_owned();
    for what in what {
        question.push_str("\n  - ");
        question.push_str(what);
    }
    question.push('\n');
    let mut lines: Vec<_> = ["label", "label!", "until"]
        .iter()
        .flat_map(|name| filters.get(name).map(move |value| format!("{name}={value}")))
        .collect();
    lines.sort_by(|a, b| natural::compare(a, b));
    if !lines.is_empty() {
        question.push_str("\n  Items to be pruned will be filtered with:");
        for line in lines {
            question.push_str("\n  - ");
            question.push_str(&line);
        }
        question.push('\n');
    }
    question.push_str("\nAre you sure you want to continue?");
    question
}

/// A builder's cache, where the engine has a builder.
fn prune_build_cache(
    client: &Client,
    filters: &docker_api::Filters,
    all: bool,
) -> Result<(String, u64), Failure> {
    let request =
        Request::post("/build/prune").query_set("all", all).query("filters", &filters.to_json());
    match client.json::<BuildPruneReport>(request) {
        Ok(report) => Ok(removed(
            "Deleted build cache objects",
            &report.caches_deleted.unwrap_or_default(),
            report.space_reclaimed,
        )),
        Err(error) if matches!(error.status(), Some(404 | 501)) => Ok((String::new(), 0)),
        Err(error) => Err(error.into()),
    }
}

//! Every command, a file each, by the thing that it is about.
//!
//! A command's file has its table (name, arguments, flags) and the function that does it.
//! Where Docker has two spellings, `ps` and `container ls`, they share that function.

pub(crate) mod completion;
pub(crate) mod container;
pub(crate) mod context;
pub(crate) mod image;
pub(crate) mod network;
mod parallel;
mod prompt;
pub(crate) mod system;
pub(crate) mod volume;

use docker_api::client::escape;

use crate::command_line::help::Overview;
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::options::filters;
use crate::session::Session;

/// What the help says about `--format` of lists.
const FORMAT_HELP: &str = "Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";
/// What the help says about `--format` of single objects.
const INSPECT_FORMAT_HELP: &str = "Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";

/// The global flags, as a command's.
pub(crate) static GLOBAL: Command = Command::new("wharf", ABOUT, |_, _| Ok(()))
    .takes(Positional::AtLeast(0), "[OPTIONS] COMMAND [ARG...]")
    .flags(&[&[
        Flag::text("config", "Location of client config files (default \"~/.docker\")"),
        Flag::text(
            "context",
            "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var \
             and default context set with \"wharf context use\")",
        )
        .short('c'),
        Flag::switch("debug", "Enable debug mode").short('D'),
        Flag::list("host", "Daemon socket to connect to").short('H'),
        Flag::text(
            "log-level",
            "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
        )
        .short('l')
        .default("info"),
        Flag::switch("tls", "Use TLS; implied by --tlsverify").refused(),
        Flag::text("tlscacert", "Trust certs signed only by this CA").refused(),
        Flag::text("tlscert", "Path to TLS certificate file").refused(),
        Flag::text("tlskey", "Path to TLS key file").refused(),
        Flag::switch("tlsverify", "Use TLS and verify the remote").refused(),
        Flag::switch("version", "Print version information and quit").short('v'),
    ]])
    .stops_at_first_argument();

const ABOUT: &str = "A self-sufficient runtime for containers";

/// The program's own help.
pub(crate) static OVERVIEW: Overview = Overview {
    about: ABOUT,
    common: &[
        &container::RUN,
        &container::EXEC,
        &container::PS,
        &image::PULL,
        &image::IMAGES,
        &system::VERSION,
        &system::INFO,
    ],
    management: &[
        &container::GROUP,
        &context::GROUP,
        &image::GROUP,
        &network::GROUP,
        &system::GROUP,
        &volume::GROUP,
    ],
    commands: &[
        &container::ATTACH,
        &container::COMMIT,
        &completion::COMPLETION,
        &container::CP,
        &container::CREATE,
        &container::DEBUG,
        &container::DIFF,
        &system::EVENTS,
        &container::EXPORT,
        &image::HISTORY,
        &image::IMPORT,
        &system::INSPECT,
        &container::KILL,
        &image::LOAD,
        &container::LOGS,
        &container::PAUSE,
        &container::PORT,
        &container::RENAME,
        &container::RESTART,
        &container::RM,
        &image::RMI,
        &image::SAVE,
        &container::START,
        &container::STATS,
        &container::STOP,
        &image::TAG,
        &container::TOP,
        &container::UNPAUSE,
        &container::UPDATE,
        &container::WAIT,
        &container::WHY,
    ],
    global: &GLOBAL,
};

/// Commands of Docker's that are known and not done here: refused by name.
pub(crate) const REFUSED: &[&str] = &[
    "build",
    "builder",
    "buildx",
    "checkpoint",
    "compose",
    "config",
    "context export",
    "context import",
    "context update",
    "image build",
    "image push",
    "login",
    "logout",
    "manifest",
    "node",
    "plugin",
    "push",
    "search",
    "secret",
    "service",
    "stack",
    "swarm",
    "trust",
    "volume update",
];

/// Every command that is not within a group.
pub(crate) fn top_level() -> impl Iterator<Item = &'static Command> {
    [OVERVIEW.common, OVERVIEW.management, OVERVIEW.commands].into_iter().flatten().copied()
}

/// A container's path in the API.
fn container_path(name: &str, rest: &str) -> String {
    format!("/containers/{}{rest}", escape(name))
}

/// An image's path in the API. Slashes in its name are part of the path.
fn image_path(name: &str, rest: &str) -> String {
    format!("/images/{}{rest}", escape(name).replace("%2F", "/").replace("%3A", ":"))
}

/// The `filters` parameter, if there are any.
fn filters_parameter(parsed: &Parsed) -> Option<String> {
    let filters = filters::parse(&parsed.list("filter"));
    (!filters.is_empty()).then(|| filters.to_json())
}

/// The `filters` parameter of a prune, with the user's own for every prune.
fn prune_filters(session: &Session, parsed: &Parsed) -> docker_api::Filters {
    let mut all = parsed.list("filter");
    for filter in session.configuration().prune_filters() {
        // The opposite, given now, wins over what is in the file.
        let opposite = match filter.split_once('=') {
            Some(("label", value)) => format!("label!={value}"),
            Some(("label!", value)) => format!("label={value}"),
            _ => String::new(),
        };
        if !all.contains(&opposite) {
            all.push(filter);
        }
    }
    let mut filters = docker_api::Filters::default();
    for filter in &all {
        // `label!=x` is a filter named `label!`.
        if let Some((name, value)) = filter.split_once('=') {
            filters.add(&name.trim().to_lowercase(), value.trim());
        }
    }
    filters
}

/// A template's error as lists report one.
fn list_format(given: &str, configured: Option<&str>, quiet: bool) -> String {
    match (given, configured) {
        ("", Some(configured)) if !quiet => configured.to_owned(),
        ("", _) => "table".to_owned(),
        (given, _) => given.to_owned(),
    }
}

/// The failures of several requests, or success.
fn finish(failures: Vec<Failure>) -> Result<(), Failure> {
    Failure::join(failures)
}

#[cfg(test)]
mod tests;

//! `wharf ps`: containers as a list.

use docker_api::client::Request;
use jiff::Timestamp;
use serde_json::Value;

use super::listed::{self, Listed};
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{FORMAT_HELP, filters_parameter};
use crate::failure::Failure;
use crate::options::{filters, references};
use crate::output::ellipsis::{ellipsis, short_id};
use crate::output::rows::{Format, QUIET, Row};
use crate::output::template::Template;
use crate::output::{self, ports, quote, times, units};
use crate::session::Session;

pub(crate) static PS: Command = Command::new("ps", "List containers", run)
    .spellings(&["container ls", "container list", "container ps", "ps"])
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[FLAGS]);
pub(crate) static LS: Command = Command::new("ls", "List containers", run)
    .aliases(&["ps", "list"])
    .spellings(&["container ls", "container list", "container ps", "ps"])
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[FLAGS]);

const FLAGS: &[Flag] = &[
    Flag::switch("quiet", "Only display container IDs").short('q'),
    Flag::switch("size", "Display total file sizes").short('s'),
    Flag::switch("all", "Show all containers (default shows just running)").short('a'),
    Flag::switch("no-trunc", "Don't truncate output"),
    Flag::switch("latest", "Show the latest created container (includes all states)").short('l'),
    Flag::int("last", "Show n last created containers (includes all states)")
        .short('n')
        .default("-1"),
    Flag::text("format", FORMAT_HELP),
    Flag::other("filter", "filter", "Filter output based on conditions provided", filters::check)
        .short('f'),
];

const TABLE: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const RAW: &str = "container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
";

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let quiet = parsed.switch("quiet");
    let format = match parsed.text("format") {
        "" => session.configuration().text("psFormat").unwrap_or_default().to_owned(),
        format => {
            if quiet {
                output::warn(
                    "WARNING: Ignoring custom format, because both --format and --quiet are set.",
                );
            }
            format.to_owned()
        }
    };
    let with_size = asks_for_size(parsed, &format, quiet)?;
    let last = match parsed.int("last") {
        -1 if parsed.switch("latest") => 1,
        last => last,
    };
    let request = Request::get("/containers/json")
        .query_set("all", parsed.switch("all"))
        .query_some("limit", Some(last.to_string()).filter(|_| last > 0).as_deref())
        .query_set("size", with_size)
        .query_some("filters", filters_parameter(parsed).as_deref());
    let answer = session.client()?.send(request)?.bytes()?;
    let containers = listed::read(&answer)?;
    let (now, is_short) = (Timestamp::now(), !parsed.switch("no-trunc"));
    let rows: Vec<_> =
        containers.iter().map(|container| ContainerRow { container, is_short, now }).collect();
    let format = Format::parse(&layout(&format, quiet, with_size))?;
    output::print(&format.render(&rows)?)?;
    Ok(())
}

/// Sizes cost the daemon a walk through every file, so they are asked for only if shown.
fn asks_for_size(parsed: &Parsed, format: &str, quiet: bool) -> Result<bool, Failure> {
    if format.is_empty() {
        return Ok(parsed.switch("size"));
    }
    let template = Template::parse(format)
        .map_err(|error| Failure::new(format!("failed to parse template: {error}")))?;
    let probe =
        ContainerRow { container: &Listed::default(), is_short: true, now: Timestamp::UNIX_EPOCH };
    template
        .row(&probe, &mut String::new())
        .map_err(|error| Failure::new(format!("failed to execute template: {error}")))?;
    Ok(parsed.switch("size") || (!quiet && !parsed.is_set("size") && template.mentions("Size")))
}

fn layout(format: &str, quiet: bool, with_size: bool) -> String {
    match (format, quiet) {
        ("" | "table", false) if with_size => format!("{TABLE}\t{{{{.Size}}}}"),
        ("" | "table", false) => TABLE.to_owned(),
        ("raw", true) => "container_id: {{.ID}}".to_owned(),
        ("raw", false) if with_size => format!("{RAW}size: {{{{.Size}}}}\n"),
        ("raw", false) => RAW.to_owned(),
        (_, true) => QUIET.to_owned(),
        (format, false) => format.to_owned(),
    }
}

/// A container in the list.
pub(crate) struct ContainerRow<'a> {
    pub(crate) container: &'a Listed<'a>,
    pub(crate) is_short: bool,
    pub(crate) now: Timestamp,
}

impl Row for ContainerRow<'_> {
    const TYPE: &'static str = "*formatter.ContainerContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
    ];
    const HAS_LABELS: bool = true;

    fn field(&self, name: &str) -> Value {
        let container = self.container;
        let text = match name {
            "ID" if self.is_short => short_id(&container.id).to_owned(),
            "ID" => container.id.to_string(),
            "Names" => self.names(),
            "Image" => self.image(),
            "Command" if self.is_short => quote::quote(&ellipsis(&container.command, 20)),
            "Command" => quote::quote(&container.command),
            "CreatedAt" => times::go_time(container.created),
            "RunningFor" => units::ago(container.created, self.now),
            "Ports" => ports::display(&container.ports),
            "State" => container.state.to_string(),
            "Status" => container.status.to_string(),
            "Size" => self.size(),
            "Labels" => joined(container.labels.as_ref()),
            "Mounts" => self.mounts(),
            "LocalVolumes" => {
                let mounts = container.mounts.iter();
                mounts.filter(|mount| mount.driver == "local").count().to_string()
            }
            "Networks" => container.networks().join(","),
            _ => return Value::Null,
        };
        text.into()
    }

    fn label(&self, name: &str) -> String {
        self.container
            .labels
            .as_ref()
            .and_then(|labels| labels.get(name))
            .cloned()
            .unwrap_or_default()
    }
}

/// Labels as one text.
pub(crate) fn joined(labels: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let mut pairs: Vec<_> =
        labels.into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    pairs.join(",")
}

impl ContainerRow<'_> {
    fn names(&self) -> String {
        let names: Vec<_> = self
            .container
            .names
            .iter()
            .map(|name| name.strip_prefix('/').unwrap_or(name))
            .collect();
        // The others are names that links to it have.
        let own = names.iter().find(|name| !name.contains('/')).filter(|_| self.is_short);
        own.map_or_else(|| names.join(","), |own| (*own).to_owned())
    }

    fn image(&self) -> String {
        let image = &self.container.image;
        if image.is_empty() {
            return "<no image>".to_owned();
        }
        if !self.is_short {
            return image.to_string();
        }
        let short = short_id(&self.container.image_id);
        if short == short_id(image) {
            return short.to_owned();
        }
        match references::parse(image) {
            Ok(reference) if reference.tag.is_some() => {
                references::Reference { digest: None, ..reference }.familiar()
            }
            Ok(reference) => reference.familiar_name(),
            Err(_) => image.to_string(),
        }
    }

    fn size(&self) -> String {
        let own = units::short_size(self.container.size_rw as f64);
        match self.container.size_root_fs {
            ..=0 => own,
            all => format!("{own} (virtual {})", units::short_size(all as f64)),
        }
    }

    fn mounts(&self) -> String {
        let mounts = self.container.mounts.iter().map(|mount| {
            let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
            if self.is_short { ellipsis(name, 15) } else { name.to_string() }
        });
        mounts.collect::<Vec<_>>().join(",")
    }
}

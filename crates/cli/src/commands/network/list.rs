//! `wharf network ls`: networks as a list.

use docker_api::client::Request;
use docker_api::networks::Network;
use serde_json::Value;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container::list::joined;
use crate::commands::{FORMAT_HELP, filters_parameter, list_format};
use crate::failure::Failure;
use crate::options::filters;
use crate::output::ellipsis::short_id;
use crate::output::rows::{Format, QUIET, Row};
use crate::output::{self, natural, times};
use crate::session::Session;

pub(crate) static LS: Command = Command::new("ls", "List networks", run)
    .aliases(&["list"])
    .spellings(&["network ls", "network list"])
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("quiet", "Only display network IDs").short('q'),
        Flag::switch("no-trunc", "Do not truncate the output"),
        Flag::text("format", FORMAT_HELP),
        Flag::other(
            "filter",
            "filter",
            "Provide filter values (e.g. \"driver=bridge\")",
            filters::check,
        )
        .short('f'),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let request =
        Request::get("/networks").query_some("filters", filters_parameter(parsed).as_deref());
    let mut networks: Vec<Network> = session.client()?.json(request)?;
    networks.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let quiet = parsed.switch("quiet");
    let configured = session.configuration().text("networksFormat");
    let format = list_format(parsed.text("format"), configured, quiet);
    let format = match (format.as_str(), quiet) {
        ("table", true) => QUIET,
        ("table", false) => "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
        ("raw", true) => "network_id: {{.ID}}",
        ("raw", false) => {
            "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
        }
        (format, _) => format,
    };
    let is_short = !parsed.switch("no-trunc");
    let rows: Vec<_> = networks.iter().map(|network| NetworkRow { network, is_short }).collect();
    output::print(&Format::parse(format)?.render(&rows)?)?;
    Ok(())
}

struct NetworkRow<'a> {
    network: &'a Network,
    is_short: bool,
}

impl Row for NetworkRow<'_> {
    const TYPE: &'static str = "*network.networkContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ];
    const HAS_LABELS: bool = true;

    fn field(&self, name: &str) -> Value {
        let network = self.network;
        let text = match name {
            "ID" if self.is_short => short_id(&network.id).to_owned(),
            "ID" => network.id.clone(),
            "Name" => network.name.clone(),
            "Driver" => network.driver.clone(),
            "Scope" => network.scope.clone(),
            "IPv4" => network.enable_ipv4.to_string(),
            "IPv6" => network.enable_ipv6.to_string(),
            "Internal" => network.internal.to_string(),
            "Labels" => joined(network.labels.as_ref()),
            _ => times::go_time_of(&network.created),
        };
        text.into()
    }

    fn label(&self, name: &str) -> String {
        self.network
            .labels
            .as_ref()
            .and_then(|labels| labels.get(name))
            .cloned()
            .unwrap_or_default()
    }
}

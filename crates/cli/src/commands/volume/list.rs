//! `wharf volume ls`: volumes as a list.

use docker_api::client::Request;
use docker_api::volumes::{Volume, VolumeList};
use serde_json::Value;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container::list::joined;
use crate::commands::{FORMAT_HELP, filters_parameter, list_format};
use crate::failure::Failure;
use crate::options::filters;
use crate::output::rows::{Format, Row};
use crate::output::{self, natural, units};
use crate::session::Session;

pub(crate) static LS: Command = Command::new("ls", "List volumes", run)
    .aliases(&["list"])
    .spellings(&["volume ls", "volume list"])
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("quiet", "Only display volume names").short('q'),
        Flag::text("format", FORMAT_HELP),
        Flag::other(
            "filter",
            "filter",
            "Provide filter values (e.g. \"dangling=true\")",
            filters::check,
        )
        .short('f'),
        Flag::switch("cluster", "Display only cluster volumes").refused(),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let request =
        Request::get("/volumes").query_some("filters", filters_parameter(parsed).as_deref());
    let list: VolumeList = session.client()?.json(request)?;
    let mut volumes = list.volumes.unwrap_or_default();
    volumes.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let quiet = parsed.switch("quiet");
    let configured = session.configuration().text("volumesFormat");
    let format = list_format(parsed.text("format"), configured, quiet);
    let format = match (format.as_str(), quiet) {
        ("table", true) => "{{.Name}}",
        ("table", false) => "table {{.Driver}}\t{{.Name}}",
        ("raw", true) => "name: {{.Name}}",
        ("raw", false) => "name: {{.Name}}\ndriver: {{.Driver}}\n",
        (format, _) => format,
    };
    let rows: Vec<_> = volumes.iter().map(VolumeRow).collect();
    output::print(&Format::parse(format)?.render(&rows)?)?;
    Ok(())
}

/// A volume in the list.
pub(crate) struct VolumeRow<'a>(pub(crate) &'a Volume);

impl Row for VolumeRow<'_> {
    const TYPE: &'static str = "*formatter.volumeContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Name", "VOLUME NAME"),
        ("Group", "GROUP"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Availability", "AVAILABILITY"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Status", "STATUS"),
    ];
    const HAS_LABELS: bool = true;

    fn field(&self, name: &str) -> Value {
        let Self(volume) = self;
        let usage = volume.usage_data.as_ref();
        let text = match name {
            "Name" => volume.name.clone(),
            "Driver" => volume.driver.clone(),
            "Scope" => volume.scope.clone(),
            "Mountpoint" => volume.mountpoint.clone(),
            "Labels" => joined(volume.labels.as_ref()),
            "Links" => usage.map_or_else(|| "N/A".to_owned(), |usage| usage.ref_count.to_string()),
            "Size" => {
                usage.map_or_else(|| "N/A".to_owned(), |usage| units::size(usage.size as f64))
            }
            // A cluster's.
            _ => "N/A".to_owned(),
        };
        text.into()
    }

    fn label(&self, name: &str) -> String {
        self.0.labels.as_ref().and_then(|labels| labels.get(name)).cloned().unwrap_or_default()
    }
}

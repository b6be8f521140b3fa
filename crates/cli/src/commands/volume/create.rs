//! `wharf volume create`: makes a volume.

use docker_api::client::Request;
use docker_api::volumes::{Volume, VolumeCreateRequest};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::options::{key_values, labels, sizes};
use crate::output;
use crate::session::Session;

pub(crate) static CREATE: Command = Command::new("create", "Create a volume", run)
    .takes(Positional::AtMost(1), "[OPTIONS] [VOLUME]")
    .flags(&[&[
        Flag::text("driver", "Specify volume driver name").short('d').default("local"),
        Flag::text("name", "Specify volume name").hidden(),
        Flag::other("opt", "map", "Set driver specific options", |value| Ok(value.to_owned()))
            .short('o')
            .default_shown("map[]"),
        Flag::list("label", "Set metadata for a volume").check(labels::check),
        // A cluster's.
        Flag::text("group", "Cluster Volume group (cluster volumes)").refused(),
        Flag::text("scope", "Cluster Volume access scope (\"single\", \"multi\")").refused(),
        Flag::text("sharing", "Cluster Volume access sharing").refused(),
        Flag::text("availability", "Cluster Volume availability").refused(),
        Flag::text("type", "Cluster Volume access type").refused(),
        Flag::list("secret", "Cluster Volume secrets").refused(),
        Flag::other("limit-bytes", "bytes", "Minimum size of the Cluster Volume", sizes::check)
            .refused(),
        Flag::other("required-bytes", "bytes", "Maximum size of the Cluster Volume", sizes::check)
            .refused(),
        Flag::list("topology-required", "Topology of the Cluster Volume").refused(),
        Flag::list("topology-preferred", "Topology of the Cluster Volume").refused(),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let name = parsed.arguments.first().map(String::as_str);
    if name.is_some() && !parsed.text("name").is_empty() {
        return Err(Failure::new(
            "conflicting options: cannot specify a volume-name through both --name and as a \
             positional arg",
        ));
    }
    let request = VolumeCreateRequest {
        driver: parsed.text("driver").to_owned(),
        driver_opts: Some(key_values::to_map(&parsed.list("opt"))),
        labels: Some(key_values::to_map(&parsed.list("label"))),
        name: name.unwrap_or(parsed.text("name")).to_owned(),
        ..VolumeCreateRequest::default()
    };
    let volume: Volume = session.client()?.json(Request::post("/volumes/create").json(&request))?;
    output::print(&format!("{}\n", volume.name))?;
    Ok(())
}

//! `wharf port`: where a container's ports are published.

use docker_api::client::Request;
use docker_api::containers::{ContainerInspect, PortMap};

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::options::numbers;
use crate::output::{self, natural, ports};
use crate::session::Session;

pub(crate) static PORT: Command =
    Command::new("port", "List port mappings or a specific mapping for the container", run)
        .spellings(&["container port", "port"])
        .takes(Positional::Between(1, 2), "CONTAINER [PRIVATE_PORT[/PROTO]]");

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let name = &parsed.arguments[0];
    let request = Request::get(container_path(name, "/json"));
    let container: ContainerInspect = session.client()?.json(request)?;
    let published = container.network_settings.ports.unwrap_or_default();
    let mut lines = match parsed.arguments.get(1) {
        None => every_port(&published),
        Some(port) => one_port(&published, port, name)?,
    };
    lines.sort_by(|a, b| natural::compare(a, b));
    if !lines.is_empty() {
        output::print(&format!("{}\n", lines.join("\n")))?;
    }
    Ok(())
}

fn every_port(published: &PortMap) -> Vec<String> {
    let places = published.iter().flat_map(|(port, places)| {
        places.iter().flatten().map(move |place| {
            format!("{port} -> {}", ports::join(&place.host_ip, &place.host_port))
        })
    });
    places.collect()
}

fn one_port(published: &PortMap, port: &str, name: &str) -> Result<Vec<String>, Failure> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    numbers::parse_port(number)
        .map_err(|error| Failure::new(format!("Error: invalid port ({number}): {error}")))?;
    let places = published.get(&format!("{number}/{protocol}")).cloned().flatten();
    let places = places.filter(|places| !places.is_empty()).ok_or_else(|| {
        Failure::new(format!("Error: No public port '{port}' published for {name}"))
    })?;
    Ok(places.iter().map(|place| ports::join(&place.host_ip, &place.host_port)).collect())
}

//! `wharf network connect`: connects a container to one more network.

use docker_api::client::{Request, escape};
use docker_api::networks::{EndpointIpamConfig, EndpointSettings};
use serde_json::json;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::options::{key_values, links};
use crate::session::Session;

pub(crate) static CONNECT: Command =
    Command::new("connect", "Connect a container to a network", run)
        .takes(Positional::Exactly(2), "[OPTIONS] NETWORK CONTAINER")
        .flags(&[&[
            Flag::text("ip", "IPv4 address (e.g., \"172.30.100.104\")"),
            Flag::text("ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
            Flag::list("link", "Add link to another container").check(links::check),
            Flag::strings("alias", "Add network-scoped alias for the container"),
            Flag::strings("link-local-ip", "Add a link-local address for the container"),
            Flag::strings("driver-opt", "driver options for the network"),
            Flag::int(
                "gw-priority",
                "Highest gw-priority provides the default gateway. Accepts positive and negative \
             values.",
            ),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let driver_options = parsed.comma_list("driver-opt");
    if driver_options
        .iter()
        .any(|option| option.split_once('=').is_none_or(|(key, _)| key.is_empty()))
    {
        return Err(Failure::new("invalid key/value pair format in driver options"));
    }
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: parsed.text("ip").to_owned(),
            ipv6_address: parsed.text("ip6").to_owned(),
            link_local_ips: some(parsed.comma_list("link-local-ip")),
        }),
        links: some(parsed.list("link")),
        aliases: Some(parsed.comma_list("alias")),
        driver_opts: Some(key_values::to_map(&driver_options)),
        gw_priority: parsed.int("gw-priority"),
        ..EndpointSettings::default()
    };
    let body = json!({"Container": parsed.arguments[1], "EndpointConfig": endpoint});
    let path = format!("/networks/{}/connect", escape(&parsed.arguments[0]));
    Ok(session.client()?.run(Request::post(path).json(&body))?)
}

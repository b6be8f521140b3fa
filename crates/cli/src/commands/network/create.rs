//! `wharf network create`: makes a network.

use std::collections::BTreeMap;

use docker_api::client::Request;
use docker_api::networks::{
    ConfigReference, Ipam, IpamConfig, NetworkCreateRequest, NetworkCreateResponse,
};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::options::{key_values, labels, subnets};
use crate::output;
use crate::session::Session;

pub(crate) static CREATE: Command = Command::new("create", "Create a network", run)
    .takes(Positional::Exactly(1), "[OPTIONS] NETWORK")
    .flags(&[&[
        Flag::text("driver", "Driver to manage the Network").short('d').default("bridge"),
        map("opt", "Set driver specific options").short('o'),
        Flag::list("label", "Set metadata on a network").check(labels::check),
        Flag::switch("internal", "Restrict external access to the network"),
        Flag::switch("ipv4", "Enable or disable IPv4 address assignment").default("true"),
        Flag::switch("ipv6", "Enable or disable IPv6 address assignment"),
        Flag::switch("attachable", "Enable manual container attachment"),
        Flag::switch("ingress", "Create swarm routing-mesh network"),
        Flag::text("scope", "Control the network's scope"),
        Flag::switch("config-only", "Create a configuration only network"),
        Flag::text("config-from", "The network from which to copy the configuration"),
        Flag::text("ipam-driver", "IP Address Management Driver").default("default"),
        Flag::strings("subnet", "Subnet in CIDR format that represents a network segment"),
        Flag::strings("ip-range", "Allocate container ip from a sub-range"),
        Flag::strings("gateway", "IPv4 or IPv6 Gateway for the master subnet"),
        map("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
        map("ipam-opt", "Set IPAM driver specific options"),
    ]]);

const fn map(long: &'static str, about: &'static str) -> Flag {
    Flag::other(long, "map", about, |value| Ok(value.to_owned())).default_shown("map[]")
}

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let request = request(parsed).map_err(Failure::new)?;
    let client = session.client()?;
    let made: NetworkCreateResponse =
        client.json(Request::post("/networks/create").json(&request))?;
    output::print(&format!("{}\n", made.id))?;
    Ok(())
}

fn request(parsed: &Parsed) -> Result<NetworkCreateRequest, String> {
    let switch = |flag| parsed.is_set(flag).then(|| parsed.switch(flag));
    let config_from = parsed.given("config-from").filter(|name| !name.is_empty());
    Ok(NetworkCreateRequest {
        driver: parsed.text("driver").to_owned(),
        scope: parsed.text("scope").to_owned(),
        enable_ipv4: switch("ipv4"),
        enable_ipv6: switch("ipv6"),
        ipam: Some(Ipam {
            driver: parsed.text("ipam-driver").to_owned(),
            options: Some(key_values::to_map(&parsed.list("ipam-opt"))),
            config: Some(ipam_configs(parsed)?),
        }),
        internal: parsed.switch("internal"),
        attachable: parsed.switch("attachable"),
        ingress: parsed.switch("ingress"),
        config_only: parsed.switch("config-only"),
        config_from: config_from.map(|network| ConfigReference { network: network.to_owned() }),
        options: Some(key_values::to_map(&parsed.list("opt"))),
        labels: Some(key_values::to_map(&parsed.list("label"))),
        name: parsed.arguments[0].clone(),
    })
}

/// Each subnet with what belongs to it.
fn ipam_configs(parsed: &Parsed) -> Result<Vec<IpamConfig>, String> {
    let list = |flag| parsed.comma_list(flag);
    let (ranges, gateways) = (list("ip-range"), list("gateway"));
    let mut configs: Vec<IpamConfig> = Vec::new();
    for text in list("subnet") {
        for other in &configs {
            if subnets::parse(&other.subnet)?.overlaps(&subnets::parse(&text)?) {
                return Err("multiple overlapping subnet configuration is not supported".to_owned());
            }
        }
        configs.push(IpamConfig { subnet: text, ..IpamConfig::default() });
    }
    if configs.len() < ranges.len() || configs.len() < gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    for range in ranges {
        let config = owner(&mut configs, &range, "range")?;
        if !config.ip_range.is_empty() {
            return Err(format!(
                "cannot configure multiple ranges ({range}, {}) on the same subnet ({})",
                config.ip_range, config.subnet
            ));
        }
        config.ip_range = range;
    }
    for gateway in gateways {
        let config = owner(&mut configs, &gateway, "gateway")?;
        if !config.gateway.is_empty() {
            return Err(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                config.gateway, config.subnet
            ));
        }
        config.gateway = gateway;
    }
    for (name, address) in key_values::to_map(&parsed.list("aux-address")) {
        let config = owner(&mut configs, &address, "aux-address")?;
        config.auxiliary_addresses.get_or_insert_with(BTreeMap::new).insert(name, address);
    }
    Ok(configs)
}

/// The subnet that an address is in. What a subnet is that stands alone, is for the
/// daemon to find out.
fn owner<'a>(
    configs: &'a mut [IpamConfig],
    address: &str,
    what: &str,
) -> Result<&'a mut IpamConfig, String> {
    for config in configs {
        if subnets::parse(&config.subnet)?.contains(address) {
            return Ok(config);
        }
    }
    Err(format!("no matching subnet for {what} {address}"))
}

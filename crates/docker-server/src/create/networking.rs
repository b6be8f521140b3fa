//! How the container is connected.

use std::collections::BTreeMap;
use std::net::IpAddr;

use docker_api::containers::{ContainerConfig, HostConfig};
use docker_api::networks::EndpointSettings;
use engine::containers::spec::{NetworkMode, NetworkSpec};
use network::MacAddress;

use super::{Refusal, ports};

/// What users write for the address under which a container reaches the host.
const HOST_GATEWAY: &str = "host-gateway";

/// Checks what concerns networks, moves the container's hardware address to its endpoint, and
/// answers with warnings.
pub(super) fn check(
    config: &mut ContainerConfig,
    host: &HostConfig,
    endpoints: &mut BTreeMap<String, EndpointSettings>,
) -> Result<Vec<String>, Refusal> {
    let warnings = move_mac_address(config, host, endpoints)?;
    if endpoints.len() > 1 {
        return Err(Refusal::unsupported("connecting a container to several networks"));
    }
    for (name, endpoint) in endpoints.iter() {
        check_endpoint(name, endpoint, host)?;
    }
    Ok(warnings)
}

/// Refuses hosts and ports that make no sense in themselves.
pub(super) fn check_hosts_and_ports(host: &HostConfig) -> Result<(), Refusal> {
    for text in host.extra_hosts.iter().flatten() {
        extra_host(text)?;
    }
    for (text, bindings) in host.port_bindings.iter().flatten() {
        let number = text.split('/').next().unwrap_or_default();
        if number.parse::<u16>().is_err() {
            return Err(Refusal::new(format!("invalid port specification: {number:?}")));
        }
        for binding in bindings.iter().flatten() {
            let port = binding.host_port.split('/').next().unwrap_or_default();
            let is_valid =
                port.split('-').all(|part| part.is_empty() || part.parse::<u16>().is_ok());
            if !is_valid {
                return Err(Refusal::new(format!(
                    "invalid port specification: {:?}",
                    binding.host_port
                )));
            }
        }
    }
    Ok(())
}

/// Before API 1.44 the address was the container's; since then it is the endpoint's, and the
/// old place is warned about.
fn move_mac_address(
    config: &mut ContainerConfig,
    host: &HostConfig,
    endpoints: &mut BTreeMap<String, EndpointSettings>,
) -> Result<Vec<String>, Refusal> {
    if config.mac_address.is_empty() {
        return Ok(Vec::new());
    }
    let mode = host.network_mode.as_str();
    if matches!(mode, "host" | "none") || mode.starts_with("container:") {
        return Err(Refusal::new("conflicting options: mac-address and the network mode"));
    }
    if endpoints.is_empty() {
        endpoints.insert(mode.to_owned(), EndpointSettings::default());
    }
    let Some(endpoint) = endpoints.get_mut(mode) else {
        return Err(Refusal::new(
            "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
        ));
    };
    if endpoint.mac_address.is_empty() {
        endpoint.mac_address = std::mem::take(&mut config.mac_address);
    } else if endpoint.mac_address != config.mac_address {
        return Err(Refusal::new(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
        ));
    }
    Ok(vec!["The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.".to_owned()])
}

/// Only a hardware address can be chosen on the networks that there are.
fn check_endpoint(
    name: &str,
    endpoint: &EndpointSettings,
    host: &HostConfig,
) -> Result<(), Refusal> {
    fn has_items<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|list| !list.is_empty())
    }
    let ipam = endpoint.ipam_config.clone().unwrap_or_default();
    let has_address = !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty();
    if has_address || has_items(&ipam.link_local_ips) {
        return Err(Refusal::new(
            "user specified IP address is supported on user defined networks only",
        ));
    }
    if has_items(&endpoint.aliases) {
        return Err(Refusal::new(
            "network-scoped alias is supported only for containers in user defined networks",
        ));
    }
    if has_items(&endpoint.links) {
        return Err(Refusal::unsupported("links between containers (--link)"));
    }
    if endpoint.driver_opts.as_ref().is_some_and(|options| !options.is_empty()) {
        return Err(Refusal::unsupported("options of a network's driver (--network driver-opt=…)"));
    }
    if name != host.network_mode {
        return Err(Refusal::unsupported(format!(
            "connecting a container to {name} beside {}",
            host.network_mode
        )));
    }
    mac_address(endpoint).map(drop)
}

fn mac_address(endpoint: &EndpointSettings) -> Result<Option<String>, Refusal> {
    if endpoint.mac_address.is_empty() {
        return Ok(None);
    }
    match endpoint.mac_address.parse::<MacAddress>() {
        Ok(address) => Ok(Some(address.to_string())),
        Err(_) => Err(Refusal::new(format!("invalid MAC address: {}", endpoint.mac_address))),
    }
}

pub(super) fn convert(
    config: &ContainerConfig,
    host: &HostConfig,
    endpoints: &BTreeMap<String, EndpointSettings>,
) -> Result<NetworkSpec, Refusal> {
    let mode = match host.network_mode.as_str() {
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        name => match name.strip_prefix("container:") {
            Some(container) => NetworkMode::Container(container.to_owned()),
            None => NetworkMode::Network(name.to_owned()),
        },
    };
    let servers = host.dns.iter().flatten().map(|text| dns_server(text));
    let hosts = host.extra_hosts.iter().flatten().map(|text| extra_host(text));
    let endpoint = endpoints.get(&host.network_mode);
    // Ports of a network that others own are theirs to publish.
    let ports = match mode {
        NetworkMode::Network(_) => ports::published(config, host)?,
        _ => Vec::new(),
    };
    Ok(NetworkSpec {
        mode,
        mac_address: endpoint.map(mac_address).transpose()?.flatten(),
        ports,
        dns: servers.collect::<Result<_, _>>()?,
        dns_search: host.dns_search.clone().unwrap_or_default(),
        dns_options: host.dns_options.clone().unwrap_or_default(),
        extra_hosts: hosts.collect::<Result<_, _>>()?,
    })
}

fn dns_server(text: &str) -> Result<IpAddr, Refusal> {
    text.trim().parse().map_err(|_| Refusal::new(format!("{text} is not an ip address")))
}

/// `name:address`, `name=address`, or `name:host-gateway`.
fn extra_host(text: &str) -> Result<(String, String), Refusal> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, address)) = split.filter(|(name, _)| !name.is_empty()) else {
        return Err(Refusal::new(format!("bad format for add-host: {text:?}"))
            .with_hint("it looks like `name:address`"));
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare != HOST_GATEWAY && bare.parse::<IpAddr>().is_err() {
        return Err(Refusal::new(format!("invalid IP address in add-host: {address:?}")));
    }
    Ok((name.to_owned(), bare.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        assert_eq!(extra_host("a:1.2.3.4").unwrap(), pair("a", "1.2.3.4"));
        assert_eq!(extra_host("a:::1").unwrap(), pair("a", "::1"));
        assert_eq!(extra_host("a=[::1]").unwrap(), pair("a", "::1"));
        assert_eq!(extra_host("a:host-gateway").unwrap(), pair("a", "host-gateway"));
        assert_eq!(extra_host("x").unwrap_err().message(), "bad format for add-host: \"x\"");
        assert_eq!(
            extra_host("x:1.2").unwrap_err().message(),
            "invalid IP address in add-host: \"1.2\""
        );
    }
}

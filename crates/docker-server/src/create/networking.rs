//! How the container is connected.

use std::collections::BTreeMap;
use std::net::IpAddr;

use docker_api::containers::{ContainerConfig, HostConfig};
use docker_api::networks::EndpointSettings;
use engine::containers::spec::{LinkSpec, NetworkMode, NetworkSpec};

use super::{Circumstances, Refusal, endpoints, ports};

/// What users write for the address under which a container reaches the host.
const HOST_GATEWAY: &str = "host-gateway";

/// Checks what concerns networks, moves the container's hardware address to its endpoint, and
/// answers with warnings.
pub(super) fn check(
    config: &mut ContainerConfig,
    host: &HostConfig,
    networks: &mut BTreeMap<String, EndpointSettings>,
    circumstances: &Circumstances,
) -> Result<Vec<String>, Refusal> {
    check_links(host)?;
    let warnings = move_mac_address(config, host, networks)?;
    if networks.len() > 1 {
        return Err(Refusal::unsupported("connecting a container to several networks"));
    }
    for (name, endpoint) in networks.iter() {
        endpoints::check(name, endpoint, host, circumstances.bridge_subnet)?;
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

pub(super) fn convert(
    config: &ContainerConfig,
    host: &HostConfig,
    networks: &BTreeMap<String, EndpointSettings>,
) -> Result<NetworkSpec, Refusal> {
    let mode = match host.network_mode.as_str() {
        _ if config.network_disabled => NetworkMode::None,
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        name => match name.strip_prefix("container:") {
            Some(container) => NetworkMode::Container(container.to_owned()),
            None => NetworkMode::Network(name.to_owned()),
        },
    };
    let servers = host.dns.iter().flatten().map(|text| dns_server(text));
    let hosts = host.extra_hosts.iter().flatten().map(|text| extra_host(text));
    let endpoint = networks.get(&host.network_mode);
    // Ports of a network that others own are theirs to publish.
    let ports = match mode {
        NetworkMode::Network(_) => ports::published(config, host)?,
        _ => Vec::new(),
    };
    Ok(NetworkSpec {
        mode,
        mac_address: endpoint
            .map(|endpoint| endpoints::mac_address(&host.network_mode, endpoint))
            .transpose()?
            .flatten(),
        exposed_ports: ports::exposed_numbers(config)?,
        links: links(host, networks)?,
        ports,
        dns: servers.collect::<Result<_, _>>()?,
        dns_search: host.dns_search.clone().unwrap_or_default(),
        dns_options: host.dns_options.clone().unwrap_or_default(),
        extra_hosts: hosts.collect::<Result<_, _>>()?,
    })
}

/// The host's network has no names of its own to add to.
fn check_links(host: &HostConfig) -> Result<(), Refusal> {
    if host.network_mode == "host" && host.links.iter().flatten().next().is_some() {
        return Err(Refusal::new(
            "conflicting options: host type networking can't be used with links. This would \
             result in undefined behavior",
        ));
    }
    Ok(())
}

/// Links of the container's and, as newer clients ask for them, of its endpoint's.
fn links(
    host: &HostConfig,
    networks: &BTreeMap<String, EndpointSettings>,
) -> Result<Vec<LinkSpec>, Refusal> {
    let endpoint = networks.get(&host.network_mode);
    let further = endpoint.and_then(|endpoint| endpoint.links.as_ref());
    let all = host.links.iter().flatten().chain(further.into_iter().flatten());
    all.map(|text| link(text)).collect()
}

/// `name`, `name:alias`, or `/name:/whoever/alias` as inspect shows it.
fn link(text: &str) -> Result<LinkSpec, Refusal> {
    if text.is_empty() {
        return Err(Refusal::unclassified("empty string specified for links"));
    }
    let (container, alias) = text.split_once(':').unwrap_or((text, text));
    if alias.contains(':') && text.contains(':') {
        return Err(Refusal::unclassified(format!("bad format for links: {text}")));
    }
    let (container, alias) = match container.strip_prefix('/') {
        Some(bare) => (bare, alias.rsplit('/').next().unwrap_or_default()),
        None => (container, alias),
    };
    Ok(LinkSpec { container: container.to_owned(), name: String::new(), alias: alias.to_owned() })
}

fn dns_server(text: &str) -> Result<IpAddr, Refusal> {
    text.trim().parse().map_err(|_| Refusal::new(format!("{text} is not an ip address")))
}

/// `name:address` or `name:host-gateway`. Other spellings are the client's to translate.
fn extra_host(text: &str) -> Result<(String, String), Refusal> {
    let Some((name, address)) = text.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        return Err(Refusal::new(format!("bad format for add-host: {text:?}"))
            .with_hint("it looks like `name:address`"));
    };
    if address != HOST_GATEWAY && address.parse::<IpAddr>().is_err() {
        return Err(Refusal::new(format!("invalid IP address in add-host: {address:?}")));
    }
    Ok((name.to_owned(), address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_docker_reads_them() {
        let read = |text| link(text).map(|link| (link.container, link.alias)).unwrap();
        let pair = |name: &str, alias: &str| (name.to_owned(), alias.to_owned());
        assert_eq!(read("db"), pair("db", "db"));
        assert_eq!(read("db:sql"), pair("db", "sql"));
        assert_eq!(read("/db:/web/sql"), pair("db", "sql"));
        assert_eq!(link("a:b:c").unwrap_err().message(), "bad format for links: a:b:c");
        assert_eq!(link("").unwrap_err().message(), "empty string specified for links");
    }

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        assert_eq!(extra_host("a:1.2.3.4").unwrap(), pair("a", "1.2.3.4"));
        assert_eq!(extra_host("a:::1").unwrap(), pair("a", "::1"));
        assert_eq!(
            extra_host("a=1.2.3.4").unwrap_err().message(),
            "bad format for add-host: \"a=1.2.3.4\""
        );
        assert_eq!(extra_host("a:host-gateway").unwrap(), pair("a", "host-gateway"));
        assert_eq!(extra_host("x").unwrap_err().message(), "bad format for add-host: \"x\"");
        assert_eq!(
            extra_host("x:1.2").unwrap_err().message(),
            "invalid IP address in add-host: \"1.2\""
        );
    }
}

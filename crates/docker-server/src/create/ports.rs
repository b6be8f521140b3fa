//! Exposed and published ports.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use docker_api::containers::{ContainerConfig, HostConfig, PortBinding};
use network::{PortRequest, Protocol};

use super::Refusal;

/// A port of a container, as in `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContainerPort {
    pub(crate) number: u16,
    pub(crate) protocol: Protocol,
}

impl ContainerPort {
    /// Reads `80` and `80/tcp`, in whatever case.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let invalid = || Refusal::new(format!("invalid port specification: {number:?}"));
        let protocol = protocol.to_ascii_lowercase().parse().map_err(|()| {
            Refusal::new(format!("invalid proto: {protocol}")).with_hint("it is tcp, udp or sctp")
        })?;
        Ok(Self { number: number.parse().map_err(|_| invalid())?, protocol })
    }

    pub(crate) fn name(self) -> String {
        format!("{}/{}", self.number, self.protocol)
    }
}

/// Every port that is exposed, for people to see.
pub(super) fn exposed(config: &ContainerConfig) -> Result<Vec<String>, Refusal> {
    Ok(exposed_ports(config)?.into_iter().map(ContainerPort::name).collect())
}

/// The same, for programs.
pub(super) fn exposed_numbers(config: &ContainerConfig) -> Result<Vec<(u16, Protocol)>, Refusal> {
    let ports = exposed_ports(config)?.into_iter();
    Ok(ports.map(|port| (port.number, port.protocol)).collect())
}

fn exposed_ports(config: &ContainerConfig) -> Result<Vec<ContainerPort>, Refusal> {
    let mut ports = Vec::new();
    for (text, _) in config.exposed_ports.iter().flatten() {
        ports.extend(expand(text)?);
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// An image may expose a range, as in `8000-8010/tcp`.
fn expand(text: &str) -> Result<Vec<ContainerPort>, Refusal> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match numbers.split_once('-') {
        None => Ok(vec![ContainerPort::parse(text)?]),
        Some((first, last)) => {
            let first = ContainerPort::parse(&format!("{first}/{protocol}"))?;
            let last = ContainerPort::parse(&format!("{last}/{protocol}"))?;
            let numbers = first.number..=last.number;
            Ok(numbers.map(|number| ContainerPort { number, ..first }).collect())
        }
    }
}

/// The ports to publish, with those of `-P`. As in Docker only what is exposed is published:
/// clients expose what they are asked to publish.
pub(super) fn published(
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<PortRequest>, Refusal> {
    let exposed = exposed_ports(config)?;
    let mut requests = Vec::new();
    let mut bound = Vec::new();
    for (text, bindings) in host.port_bindings.iter().flatten() {
        let port = ContainerPort::parse(text)?;
        bound.push(port);
        // No binding at all means any port, as an empty one does.
        let any = [PortBinding::default()];
        let bindings = bindings.as_deref().filter(|bindings| !bindings.is_empty());
        for binding in bindings.unwrap_or(&any) {
            let request = request(port, binding)?;
            if exposed.contains(&port) {
                requests.push(request);
            }
        }
    }
    if host.publish_all_ports {
        for port in exposed.into_iter().filter(|port| !bound.contains(port)) {
            requests.push(request(port, &PortBinding::default())?);
        }
    }
    requests.sort_by_key(|request| (request.container_port, request.protocol));
    Ok(requests)
}

fn request(port: ContainerPort, binding: &PortBinding) -> Result<PortRequest, Refusal> {
    Ok(PortRequest {
        container_port: port.number,
        protocol: port.protocol,
        host_ip: host_ip(&binding.host_ip)?,
        host_ports: host_ports(&binding.host_port)?,
    })
}

fn host_ip(text: &str) -> Result<Option<IpAddr>, Refusal> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() {
        return Ok(None);
    }
    bare.parse().map(Some).map_err(|_| {
        Refusal::new(format!("invalid host IP address: {text:?}"))
            .with_hint("a port is published on an address of the host's, not on a name")
    })
}

/// A number, a range, or nothing (or 0) for any.
fn host_ports(text: &str) -> Result<Option<RangeInclusive<u16>>, Refusal> {
    let invalid = || Refusal::new(format!("invalid port specification: {text:?}"));
    let number = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    let numbers = text.split('/').next().unwrap_or_default();
    match numbers.split_once('-') {
        None if numbers.is_empty() || numbers == "0" => Ok(None),
        None => {
            let port = number(numbers)?;
            Ok(Some(port..=port))
        }
        Some((first, last)) => {
            let range = number(first)?..=number(last)?;
            if range.is_empty() { Err(invalid()) } else { Ok(Some(range)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_are_numbers_ranges_or_any() {
        assert_eq!(host_ports("").unwrap(), None);
        assert_eq!(host_ports("0").unwrap(), None);
        assert_eq!(host_ports("80").unwrap(), Some(80..=80));
        assert_eq!(host_ports("80-82").unwrap(), Some(80..=82));
        assert_eq!(
            host_ports("82-80").unwrap_err().message(),
            "invalid port specification: \"82-80\""
        );
    }

    #[test]
    fn container_ports_are_tcp_unless_they_say() {
        assert_eq!(ContainerPort::parse("80").unwrap().name(), "80/tcp");
        assert_eq!(ContainerPort::parse("53/UDP").unwrap().name(), "53/udp");
        assert!(ContainerPort::parse("80/foo").is_err());
        assert_eq!(expand("80-82/tcp").unwrap().len(), 3);
    }
}

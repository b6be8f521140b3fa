//! A new container's ends of networks: what may be asked of them.
//!
//! Docker names everything that is wrong with one at once, each in a line of its own, and so do
//! we.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use docker_api::containers::HostConfig;
use docker_api::networks::{EndpointIpamConfig, EndpointSettings};
use network::{Cidr, MacAddress};

use super::Refusal;

/// Kernel parameters of the container's end, by a name that stands for whatever it is called.
const SYSCTLS_OPTION: &str = "com.docker.network.endpoint.sysctls";

/// What the container's end is to be called.
const NAME_OPTION: &str = "com.docker.network.endpoint.ifname";

/// What stands for the name of the container's end. Clients may write it in lower case.
const ANY_NAME: &str = "IFNAME";

/// What the container's end of the default network is called.
const NAME: &str = "eth0";

/// Networks that nobody made.
const PREDEFINED: &[&str] = &["bridge", "host", "none"];

/// Refuses what cannot be.
pub(super) fn check(
    name: &str,
    endpoint: &EndpointSettings,
    host: &HostConfig,
    bridge: Option<Cidr>,
) -> Result<(), Refusal> {
    let wrong = what_is_wrong(name, endpoint, bridge)?;
    match &wrong[..] {
        [] => {}
        [only] => return Err(invalid(name, &format!("invalid endpoint settings:\n{only}"))),
        many => {
            let list: Vec<_> = many.iter().map(|one| format!("* {one}")).collect();
            let list = list.join("\n");
            return Err(invalid(name, &format!("invalid endpoint settings:\n{list}")));
        }
    }
    let ipam = endpoint.ipam_config.as_ref();
    if ipam.is_some_and(|ipam| has_items(&ipam.link_local_ips)) {
        return Err(Refusal::unsupported("link-local addresses (--link-local-ip)"));
    }
    if endpoint.driver_opts.iter().flatten().any(|(option, _)| option == NAME_OPTION) {
        return Err(Refusal::unsupported(format!("the driver option {NAME_OPTION}")));
    }
    let is_other = name != host.network_mode && !host.network_mode.starts_with("container:");
    if is_other {
        return Err(Refusal::unsupported(format!(
            "connecting a container to {name} beside {}",
            host.network_mode
        )));
    }
    Ok(())
}

fn invalid(name: &str, reason: &str) -> Refusal {
    Refusal::new(format!("invalid config for network {name}: {reason}"))
}

fn has_items<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn what_is_wrong(
    name: &str,
    endpoint: &EndpointSettings,
    bridge: Option<Cidr>,
) -> Result<Vec<String>, Refusal> {
    let mut wrong = Vec::new();
    let ipam = endpoint.ipam_config.clone().unwrap_or_default();
    if PREDEFINED.contains(&name) {
        if !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty() {
            wrong.push("user specified IP address is supported on user defined networks only");
        }
        if has_items(&endpoint.aliases) {
            wrong.push(
                "network-scoped alias is supported only for containers in user defined networks",
            );
        }
    }
    let mut wrong: Vec<String> = wrong.into_iter().map(str::to_owned).collect();
    wrong.extend(malformed_addresses(&ipam));
    let subnet = bridge.filter(|_| name == "bridge");
    wrong.extend(address_out_of_range(&ipam.ipv4_address, subnet));
    wrong.extend(address_out_of_range(&ipam.ipv6_address, None));
    mac_address(name, endpoint)?;
    for sysctl in sysctl_words(endpoint) {
        if endpoint_sysctl(sysctl).is_none() {
            wrong.push(format!(
                "unrecognised network interface sysctl '{sysctl}'; represent 'net.X.Y.ethN.Z=V' as \
                 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            ));
        }
    }
    Ok(wrong)
}

fn malformed_addresses(ipam: &EndpointIpamConfig) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_v4 =
        |text: &str| text.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_unspecified());
    let is_v6 = |text: &str| {
        text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6() && !address.is_unspecified())
    };
    if !ipam.ipv4_address.is_empty() && !is_v4(&ipam.ipv4_address) {
        wrong.push(format!("invalid IPv4 address: {}", ipam.ipv4_address));
    }
    if !ipam.ipv6_address.is_empty() && !is_v6(&ipam.ipv6_address) {
        wrong.push(format!("invalid IPv6 address: {}", ipam.ipv6_address));
    }
    for address in ipam.link_local_ips.iter().flatten() {
        if address.parse::<IpAddr>().map_or(true, |address| address.is_unspecified()) {
            wrong.push(format!("invalid link-local IP address: {address}"));
        }
    }
    wrong
}

/// `subnet` is the network's, if its user chose one.
fn address_out_of_range(address: &str, subnet: Option<Cidr>) -> Option<String> {
    if address.is_empty() {
        return None;
    }
    match subnet {
        None => Some(
            "user specified IP address is supported only when connecting to networks with user \
             configured subnets"
                .to_owned(),
        ),
        Some(subnet) => {
            let is_inside = address.parse().is_ok_and(|address| subnet.contains(address));
            (!is_inside).then(|| {
                format!("no configured subnet or ip-range contain the IP address {address}")
            })
        }
    }
}

/// The hardware address that is asked for.
pub(super) fn mac_address(
    name: &str,
    endpoint: &EndpointSettings,
) -> Result<Option<String>, Refusal> {
    if endpoint.mac_address.is_empty() {
        return Ok(None);
    }
    match endpoint.mac_address.parse::<MacAddress>() {
        Ok(address) => Ok(Some(address.to_string())),
        Err(_) => Err(invalid(name, &format!("invalid MAC address {}", endpoint.mac_address))),
    }
}

fn sysctl_words(endpoint: &EndpointSettings) -> impl Iterator<Item = &str> {
    let options = endpoint.driver_opts.iter().flatten();
    let found = options.filter(|(option, _)| *option == SYSCTLS_OPTION);
    found.flat_map(|(_, list)| list.split(','))
}

/// `net.ipv4.conf.IFNAME.log_martians=1` with the name of the container's end.
fn endpoint_sysctl(text: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = text.splitn(5, '.').collect();
    let [net, family @ ("ipv4" | "ipv6" | "mpls"), kind, interface, rest] = parts[..] else {
        return None;
    };
    if !interface.eq_ignore_ascii_case(ANY_NAME) {
        return None;
    }
    let (parameter, value) = rest.split_once('=')?;
    Some((format!("{net}.{family}.{kind}.{NAME}.{parameter}"), value.to_owned()))
}

/// The kernel parameters of the container's end of its network.
pub(super) fn sysctls(endpoint: &EndpointSettings) -> BTreeMap<String, String> {
    sysctl_words(endpoint).filter_map(endpoint_sysctl).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(ipv4: &str, words: &str) {
        let ipam = EndpointIpamConfig { ipv4_address: ipv4.to_owned(), ..Default::default() };
        let endpoint = EndpointSettings { ipam_config: Some(ipam), ..Default::default() };
        let host = HostConfig { network_mode: "bridge".to_owned(), ..HostConfig::default() };
        let bridge = "172.17.0.1/16".parse().ok();
        let refusal = check("bridge", &endpoint, &host, bridge).unwrap_err();
        assert_eq!(
            refusal.message(),
            format!("invalid config for network bridge: invalid endpoint settings:\n{words}")
        );
    }

    #[test]
    fn everything_wrong_with_an_address_is_named() {
        let only = "user specified IP address is supported on user defined networks only";
        refused("172.17.0.9", only);
        refused(
            "10.0.0.1",
            &format!(
                "* {only}\n* no configured subnet or ip-range contain the IP address 10.0.0.1"
            ),
        );
        refused(
            "x",
            &format!(
                "* {only}\n* invalid IPv4 address: x\n\
                 * no configured subnet or ip-range contain the IP address x"
            ),
        );
    }

    #[test]
    fn parameters_of_an_endpoint_get_its_name() {
        let read = |text| endpoint_sysctl(text);
        assert_eq!(
            read("net.ipv4.conf.ifname.log_martians=1"),
            Some(("net.ipv4.conf.eth0.log_martians".to_owned(), "1".to_owned()))
        );
        assert_eq!(read("net.ipv4.conf.eth0.x=1"), None);
        assert_eq!(read("net.foo.conf.IFNAME.x=1"), None);
    }
}

//! Networks: `--network` in its two forms, and the older flags that speak of the first.

use std::collections::BTreeMap;

use docker_api::networks::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};

use crate::command_line::Parsed;
use crate::options::hosts;
use crate::options::network_modes::{self, Attachment};
use crate::output::quote::quote;

/// The mode that goes without saying.
const DEFAULT: &str = "default";

/// The first network, which is the container's mode.
pub(super) fn mode(parsed: &Parsed) -> Result<String, String> {
    Ok(attachments(parsed)?.first().map_or(DEFAULT, |first| &first.target).to_owned())
}

/// Where the container is connected, and as what.
pub(super) fn config(parsed: &Parsed, mode: &str) -> Result<NetworkingConfig, String> {
    let mut attachments = attachments(parsed)?;
    let is_silent = attachments.is_empty();
    if is_silent {
        attachments.push(Attachment { target: mode.to_owned(), ..Attachment::default() });
    }
    apply_flags(&mut attachments[0], parsed)?;
    let is_single = attachments.len() == 1 && !is_silent;
    let mut endpoints = BTreeMap::new();
    for attachment in &attachments {
        let endpoint = endpoint(attachment)?;
        if endpoints.contains_key(&attachment.target) {
            return Err(format!(
                "network {} is specified multiple times",
                quote(&attachment.target)
            ));
        }
        // The daemon makes an ordinary one itself.
        if is_single && endpoint == EndpointSettings::default() {
            continue;
        }
        endpoints.insert(attachment.target.clone(), endpoint);
    }
    let user_defined = attachments
        .iter()
        .filter(|attachment| network_modes::is_user_defined(&attachment.target))
        .count();
    if user_defined != 0 && user_defined != attachments.len() {
        return Err("conflicting options: cannot attach both user-defined and non-user-defined \
                    network-modes"
            .to_owned());
    }
    Ok(NetworkingConfig { endpoints_config: Some(endpoints) })
}

fn attachments(parsed: &Parsed) -> Result<Vec<Attachment>, String> {
    parsed.list("network").iter().map(|value| network_modes::parse(value)).collect()
}

/// Puts the flags that name no network into the first.
fn apply_flags(first: &mut Attachment, parsed: &Parsed) -> Result<(), String> {
    let aliases = parsed.list("network-alias");
    let links = parsed.list("link");
    let link_local = parsed.list("link-local-ip");
    let is_user_defined = network_modes::is_user_defined(&first.target);
    let lists = [
        (!first.aliases.is_empty() && !aliases.is_empty(), "--network-alias and per-network alias"),
        (!first.links.is_empty() && !links.is_empty(), "--link and per-network links"),
        (
            !first.ipv4_address.is_empty() && parsed.is_set("ip"),
            "--ip and per-network IPv4 address",
        ),
        (
            !first.ipv6_address.is_empty() && parsed.is_set("ip6"),
            "--ip6 and per-network IPv6 address",
        ),
        (
            !first.mac_address.is_empty() && parsed.is_set("mac-address"),
            "--mac-address and per-network MAC address",
        ),
        (
            !first.link_local_addresses.is_empty() && !link_local.is_empty(),
            "--link-local-ip and per-network link-local IP addresses",
        ),
    ];
    if let Some((_, what)) = lists.iter().find(|(conflict, _)| *conflict) {
        return Err(format!("conflicting options: cannot specify both {what}"));
    }
    if !aliases.is_empty() {
        first.aliases = aliases;
    }
    // On the default bridge a link is an older thing, and not the endpoint's.
    if is_user_defined && !links.is_empty() {
        first.links = links;
    }
    if !link_local.is_empty() {
        first.link_local_addresses = link_local;
    }
    for (flag, place) in [
        ("ip", &mut first.ipv4_address),
        ("ip6", &mut first.ipv6_address),
        ("mac-address", &mut first.mac_address),
    ] {
        if let Some(value) = parsed.given(flag) {
            value.clone_into(place);
        }
    }
    Ok(())
}

fn endpoint(attachment: &Attachment) -> Result<EndpointSettings, String> {
    if attachment.target.trim().is_empty() {
        return Err("no name set for network".to_owned());
    }
    if !network_modes::is_user_defined(&attachment.target) {
        if !attachment.aliases.is_empty() {
            return Err(
                "network-scoped aliases are only supported for user-defined networks".to_owned()
            );
        }
        if !attachment.links.is_empty() {
            return Err("links are only supported for user-defined networks".to_owned());
        }
    }
    let mac_address = &attachment.mac_address;
    if !mac_address.is_empty() && !hosts::is_hardware_address(mac_address) {
        return Err(format!("{mac_address} is not a valid mac address"));
    }
    let ipam_config = EndpointIpamConfig {
        ipv4_address: attachment.ipv4_address.clone(),
        ipv6_address: attachment.ipv6_address.clone(),
        link_local_ips: super::some(attachment.link_local_addresses.clone()),
    };
    Ok(EndpointSettings {
        ipam_config: Some(ipam_config).filter(|config| *config != EndpointIpamConfig::default()),
        links: super::some(attachment.links.clone()),
        aliases: super::some(attachment.aliases.clone()),
        mac_address: mac_address.clone(),
        driver_opts: super::some_map(attachment.driver_options.clone()),
        gw_priority: attachment.gateway_priority,
        ..EndpointSettings::default()
    })
}

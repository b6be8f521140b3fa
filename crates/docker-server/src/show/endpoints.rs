//! A container's ends of its networks, and its ports.

use std::collections::BTreeMap;

use docker_api::containers::{Port, PortBinding, PortMap};
use docker_api::networks::EndpointSettings;
use engine::containers::View;
use engine::containers::spec::NetworkMode;
use network::AttachmentRecord;

/// The networks of a container, with what the user said of them.
pub(super) fn networks(
    view: &View,
    asked_for: &BTreeMap<String, EndpointSettings>,
) -> BTreeMap<String, EndpointSettings> {
    let name = match &view.spec.network.mode {
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
        NetworkMode::Network(name) => name,
        // The other container has them.
        NetworkMode::Container(_) => return BTreeMap::new(),
    };
    let mut endpoint = asked_for.get(name).cloned().unwrap_or_default();
    let attachment = view.attachment.as_deref();
    if let Some(attachment) = attachment {
        fill_in(&mut endpoint, attachment);
    }
    let name = attachment.map_or(name, |attachment| attachment.network_name.as_str());
    BTreeMap::from([(name.to_owned(), endpoint)])
}

/// The ids of networks, by their names: a container that has run goes on telling the id of the
/// one that it was in.
pub(crate) fn fill_in_ids(
    networks: &mut BTreeMap<String, EndpointSettings>,
    view: &View,
    ids: &BTreeMap<String, String>,
) {
    if view.state.started_at.is_none() {
        return;
    }
    for (name, endpoint) in networks {
        if endpoint.network_id.is_empty()
            && let Some(id) = ids.get(name)
        {
            endpoint.network_id.clone_from(id);
        }
    }
}

fn fill_in(endpoint: &mut EndpointSettings, attachment: &AttachmentRecord) {
    endpoint.mac_address = attachment.mac.to_string();
    endpoint.network_id.clone_from(&attachment.network_id);
    endpoint.endpoint_id.clone_from(&attachment.endpoint_id);
    endpoint.gateway = attachment.gateway.to_string();
    endpoint.ip_address = attachment.address.to_string();
    endpoint.ip_prefix_len = attachment.prefix;
}

/// Exposed ports, and where each is published. Empty unless the container is connected.
pub(super) fn ports(view: &View, exposed: &[String]) -> PortMap {
    let Some(attachment) = &view.attachment else { return PortMap::new() };
    let mut ports: PortMap = exposed.iter().map(|port| (port.clone(), None)).collect();
    for port in &attachment.ports {
        let name = format!("{}/{}", port.container_port, port.protocol);
        ports.entry(name).or_default().get_or_insert_default().push(PortBinding {
            host_ip: port.host_ip.to_string(),
            host_port: port.host_port.to_string(),
        });
    }
    ports
}

/// The same as a list.
pub(super) fn port_list(view: &View, exposed: &[String]) -> Vec<Port> {
    let mut list = Vec::new();
    for (name, bindings) in ports(view, exposed) {
        let (number, protocol) = name.split_once('/').unwrap_or((&name, "tcp"));
        let port = Port {
            private_port: number.parse().unwrap_or_default(),
            protocol: protocol.to_owned(),
            ..Port::default()
        };
        match bindings {
            None => list.push(port),
            Some(bindings) => list.extend(bindings.into_iter().map(|binding| Port {
                ip: binding.host_ip,
                public_port: binding.host_port.parse().unwrap_or_default(),
                ..port.clone()
            })),
        }
    }
    list
}

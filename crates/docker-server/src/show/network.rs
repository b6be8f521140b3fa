//! Networks.

use std::collections::BTreeMap;

use docker_api::networks::{Ipam, IpamConfig, Network, NetworkContainer};
use jiff::Timestamp;
use network::NetworkInfo;

use super::time_text;

pub(crate) fn inspect(info: &NetworkInfo) -> Network {
    let subnet = info.subnet.map(|subnet| IpamConfig {
        subnet: subnet.to_string(),
        gateway: info.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        ..IpamConfig::default()
    });
    let containers = info.endpoints.iter().map(|endpoint| {
        let container = NetworkContainer {
            name: endpoint.container_name.clone(),
            endpoint_id: endpoint.endpoint_id.clone(),
            mac_address: endpoint.mac.to_string(),
            ipv4_address: endpoint.ipv4.to_string(),
            ipv6_address: String::new(),
        };
        (endpoint.container_id.clone(), container)
    });
    Network {
        name: info.name.clone(),
        id: info.id.clone(),
        created: time_text(Timestamp::try_from(info.created).ok()),
        scope: info.scope.clone(),
        driver: info.driver.clone(),
        enable_ipv4: true,
        ipam: Ipam {
            driver: "default".to_owned(),
            options: None,
            config: subnet.map(|subnet| vec![subnet]),
        },
        containers: Some(containers.collect()),
        options: Some(info.options.clone()),
        labels: Some(BTreeMap::new()),
        ..Network::default()
    }
}

//! What can be told about a network.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use crate::address::{Cidr, MacAddress};
use crate::attachment::AttachmentRecord;

/// A network, as it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInfo {
    /// 64 hexadecimal digits, the same after every restart of the daemon.
    pub id: String,
    pub name: String,
    pub driver: String,
    pub scope: String,
    pub created: SystemTime,
    pub subnet: Option<Cidr>,
    pub gateway: Option<Ipv4Addr>,
    /// The driver's options under the names that users give them by.
    pub options: BTreeMap<String, String>,
    /// Ordered by container id.
    pub endpoints: Vec<EndpointInfo>,
}

/// A container in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInfo {
    pub container_id: String,
    pub container_name: String,
    pub endpoint_id: String,
    pub mac: MacAddress,
    /// The container's address and the length of the network's prefix.
    pub ipv4: Cidr,
}

impl From<&AttachmentRecord> for EndpointInfo {
    fn from(record: &AttachmentRecord) -> Self {
        Self {
            container_id: record.container_id.clone(),
            container_name: record.container_name.clone(),
            endpoint_id: record.endpoint_id.clone(),
            mac: record.mac,
            ipv4: record.cidr(),
        }
    }
}

//! A container's place in a network: what is asked for, and what was given.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::{Cidr, MacAddress};

/// What a container wants from a network.
#[derive(Debug, Clone)]
pub struct AttachRequest {
    pub container_id: String,
    /// The container's name, for messages.
    pub container_name: String,
    /// The name or id of the network.
    pub network: String,
    /// A hardware address of the user's own choice.
    pub mac: Option<MacAddress>,
    pub ports: Vec<PortRequest>,
}

/// A port of the container that the host should lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    pub container_port: u16,
    pub protocol: Protocol,
    /// `None`: the settings' default, which is every address of the host.
    pub host_ip: Option<IpAddr>,
    /// The first free port of these. `None`: any free port.
    pub host_ports: Option<RangeInclusive<u16>>,
}

/// A transport whose ports can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(()),
        }
    }
}

/// A container's connection to a network.
#[derive(Debug)]
pub struct Attachment {
    /// The network namespace, with `lo` and `eth0` up. Nothing else holds it.
    pub netns: OwnedFd,
    /// Bound sockets that keep the published ports from anybody else. Whoever outlives the
    /// daemon with the container holds them.
    pub held_ports: Vec<OwnedFd>,
    pub record: AttachmentRecord,
}

/// What a container was given, as it is kept over a restart of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRecord {
    pub container_id: String,
    pub container_name: String,
    pub network_id: String,
    pub network_name: String,
    pub endpoint_id: String,
    /// The name of the interface inside the container.
    pub interface: String,
    /// The name of the link's end on the host.
    pub host_interface: String,
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Ipv4Addr,
    pub mac: MacAddress,
    pub ports: Vec<PublishedPort>,
}

impl AttachmentRecord {
    /// The container's address in its network.
    pub fn cidr(&self) -> Cidr {
        // A prefix from a record that somebody changed could be too long.
        Cidr::new(self.address, self.prefix.min(32)).expect("no prefix is longer than 32")
    }
}

/// A host port that leads to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    pub container_port: u16,
    pub protocol: Protocol,
    pub host_ip: IpAddr,
    pub host_port: u16,
}

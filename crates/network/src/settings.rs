//! What the administrator decides about networking.

use std::net::{IpAddr, Ipv4Addr};

use crate::address::Cidr;

/// The largest packet on the default bridge, unless told otherwise: Ethernet's.
const MTU_DEFAULT: u32 = 1500;

/// Enough for a few containers at once. Each costs the kernel some 200 KiB.
const SPARES_DEFAULT: usize = 4;

/// The settings of one daemon's networks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Unique for each daemon on a host. The names of the firewall table, of the bridge if
    /// it is not given, and the networks' ids are derived from it.
    pub instance: String,
    /// The name of the default network's bridge.
    pub bridge: Option<String>,
    /// The bridge's own address and the default network's subnet.
    pub bip: Option<Cidr>,
    /// Where subnets are taken from when [`bip`](Self::bip) is not given.
    pub pools: Vec<Pool>,
    /// Whether to let the host forward packets, if it does not yet.
    pub ip_forward: bool,
    /// Whether packets that leave the host carry the host's address.
    pub masquerade: bool,
    /// Whether containers of the default network reach each other's unpublished ports.
    pub inter_container: bool,
    pub mtu: u32,
    /// The host address that a port is published on if the request names none.
    pub default_host_ip: IpAddr,
    /// How many endpoints are kept ready for containers to come. The first attachment is
    /// what begins it.
    pub spares: usize,
}

impl Settings {
    /// What a daemon does when told nothing.
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            bridge: None,
            bip: None,
            pools: default_pools(),
            ip_forward: true,
            masquerade: true,
            inter_container: true,
            mtu: MTU_DEFAULT,
            default_host_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            spares: SPARES_DEFAULT,
        }
    }
}

/// A range of addresses that is cut into subnets of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pub base: Cidr,
    /// The prefix length of each subnet.
    pub size: u8,
}

/// Docker's default address pools.
pub fn default_pools() -> Vec<Pool> {
    // 172.17.0.0/16 up to 172.31.0.0/16, then 192.168.0.0/16 in sixteen parts.
    let class_b = (17..=31).map(|second| (Ipv4Addr::new(172, second, 0, 0), 16, 16));
    let class_c = std::iter::once((Ipv4Addr::new(192, 168, 0, 0), 16, 20));
    class_b
        .chain(class_c)
        .filter_map(|(address, prefix, size)| {
            Some(Pool { base: Cidr::new(address, prefix)?, size })
        })
        .collect()
}

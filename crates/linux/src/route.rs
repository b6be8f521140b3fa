//! Links, addresses and routes of a network namespace.
//!
//! [`Route`] is a connection to one namespace: the one its maker was in. Changes are
//! collected in [`Changes`] and made by one system call.
//!
//! See `rtnetlink(7)`.

mod moved;

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use crate::netlink::{Answer, Body, Error, Family, Requests, Socket};

/// `struct ifinfomsg`
const LINK_LEN: usize = 16;
/// `struct ifaddrmsg`
const ADDRESS_LEN: usize = 8;
/// `struct rtmsg`
const ROUTE_LEN: usize = 12;

const IPV4: u8 = libc::AF_INET as u8;

const IFF_UP: u32 = libc::IFF_UP as u32;

/// No interface has this index.
const NO_BRIDGE: u32 = 0;

/// `VETH_INFO_PEER`
const VETH_PEER: u16 = 1;

/// `RTN_UNICAST`
const UNICAST: u8 = 1;

/// A connection to the routing part of one network namespace.
#[derive(Debug)]
pub struct Route {
    socket: Socket,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `bridge`, `veth`; empty for hardware.
    pub kind: String,
    /// The bridge that it is a port of.
    pub bridge: Option<u32>,
    pub is_up: bool,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub link: u32,
    pub address: Ipv4Addr,
    pub prefix: u8,
}

/// A network that packets are sent to. The default route has the prefix 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub link: Option<u32>,
}

/// A new pair of connected interfaces. The first end is up, the other is not.
#[derive(Debug, Clone, Copy)]
pub struct VethPair<'a> {
    pub name: &'a str,
    pub mtu: u32,
    /// The bridge whose port the first end becomes.
    pub bridge: Option<u32>,
    pub peer_name: &'a str,
    pub peer_mac: [u8; 6],
    /// The namespace in which the other end is made. Moving it there later would take the
    /// kernel fifty times as long.
    pub peer_namespace: BorrowedFd<'a>,
}

impl Route {
    /// Connects to the namespace that this thread is in.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::open(Family::Route)? })
    }

    /// The interface of this name.
    pub fn link(&self, name: &str) -> Result<Option<Link>, Error> {
        let mut requests = Requests::default();
        requests.get(libc::RTM_GETLINK, |body| {
            body.raw(&link_header(0, 0, 0)).text(libc::IFLA_IFNAME, name);
        });
        match self.socket.run(&requests) {
            Ok(answers) => Ok(answers.iter().find_map(parse_link)),
            Err(Error { errno: Errno::NODEV, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the kernel act at once on the news that a link has come up or gone down, if there
    /// are any. Otherwise it does so in its own time, and packets are lost until then.
    ///
    /// Asking for a link is what does it, since Linux 6.8. So does [`link`](Self::link).
    pub fn settle(&self, link: u32) -> Result<(), Error> {
        let mut requests = Requests::default();
        requests.get(libc::RTM_GETLINK, |body| {
            body.raw(&link_header(link, 0, 0));
        });
        self.socket.run(&requests).map(drop)
    }

    pub fn links(&self) -> Result<Vec<Link>, Error> {
        let mut requests = Requests::default();
        requests.dump(libc::RTM_GETLINK, |body| {
            body.raw(&link_header(0, 0, 0));
        });
        Ok(self.socket.run(&requests)?.iter().filter_map(parse_link).collect())
    }

    /// Every IPv4 address.
    pub fn addresses(&self) -> Result<Vec<Address>, Error> {
        let mut requests = Requests::default();
        requests.dump(libc::RTM_GETADDR, |body| {
            body.raw(&[IPV4, 0, 0, 0, 0, 0, 0, 0]);
        });
        Ok(self.socket.run(&requests)?.iter().filter_map(parse_address).collect())
    }

    /// Every IPv4 network that packets are sent to, whatever the table.
    pub fn destinations(&self) -> Result<Vec<Destination>, Error> {
        let mut requests = Requests::default();
        requests.dump(libc::RTM_GETROUTE, |body| {
            body.raw(&[IPV4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        });
        Ok(self.socket.run(&requests)?.iter().filter_map(parse_destination).collect())
    }

    /// Makes the changes in their order. If some are refused, the first refusal is the error
    /// and the others are made all the same.
    pub fn change(&self, changes: &Changes) -> Result<(), Error> {
        self.socket.run(&changes.requests).map(drop)
    }
}

/// Changes that are made together.
#[derive(Debug, Default)]
pub struct Changes {
    requests: Requests,
}

impl Changes {
    pub fn add_bridge(&mut self, name: &str, mac: [u8; 6], mtu: u32) {
        self.requests.create(libc::RTM_NEWLINK, |body| {
            body.raw(&link_header(0, 0, 0))
                .text(libc::IFLA_IFNAME, name)
                .attribute(libc::IFLA_ADDRESS, &mac)
                .number(libc::IFLA_MTU, mtu)
                .nest(libc::IFLA_LINKINFO, |body| {
                    body.text(libc::IFLA_INFO_KIND, "bridge");
                });
        });
    }

    pub fn add_veth(&mut self, pair: &VethPair<'_>) {
        self.requests.create(libc::RTM_NEWLINK, |body| {
            body.raw(&link_header(0, IFF_UP, IFF_UP))
                .text(libc::IFLA_IFNAME, pair.name)
                .number(libc::IFLA_MTU, pair.mtu)
                .number(libc::IFLA_MASTER, pair.bridge.unwrap_or(NO_BRIDGE))
                .nest(libc::IFLA_LINKINFO, |body| {
                    body.text(libc::IFLA_INFO_KIND, "veth");
                    body.nest(libc::IFLA_INFO_DATA, |body| {
                        body.nest(VETH_PEER, |body| veth_peer(body, pair));
                    });
                });
        });
    }

    /// Shows the packet filter what passes within a bridge.
    pub fn filter_bridge(&mut self, link: u32) {
        self.requests.change(libc::RTM_NEWLINK, |body| {
            body.raw(&link_header(link, 0, 0)).nest(libc::IFLA_LINKINFO, |body| {
                body.text(libc::IFLA_INFO_KIND, "bridge").nest(libc::IFLA_INFO_DATA, |body| {
                    body.attribute(IFLA_BR_NF_CALL_IPTABLES, &[1]);
                });
            });
        });
    }

    pub fn set_up(&mut self, link: u32) {
        self.requests.change(libc::RTM_NEWLINK, |body| {
            body.raw(&link_header(link, IFF_UP, IFF_UP));
        });
    }

    pub fn set_down(&mut self, link: u32) {
        self.requests.change(libc::RTM_NEWLINK, |body| {
            body.raw(&link_header(link, 0, IFF_UP));
        });
    }

    /// Keeps a bridge's port from the bridge's other such ports.
    pub fn isolate_port(&mut self, link: u32) {
        self.requests.change(libc::RTM_SETLINK, |body| {
            body.raw(&bridge_port_header(link)).nest(libc::IFLA_PROTINFO, |body| {
                body.attribute(IFLA_BRPORT_ISOLATED, &[1]);
            });
        });
    }

    /// Lets a bridge send a packet back through the port it came from.
    pub fn reflect_port(&mut self, link: u32) {
        self.requests.change(libc::RTM_SETLINK, |body| {
            body.raw(&bridge_port_header(link)).nest(libc::IFLA_PROTINFO, |body| {
                body.attribute(IFLA_BRPORT_MODE, &[1]);
            });
        });
    }

    pub fn remove_link(&mut self, link: u32) {
        self.requests.change(libc::RTM_DELLINK, |body| {
            body.raw(&link_header(link, 0, 0));
        });
    }

    pub fn add_address(&mut self, address: Address) {
        let broadcast = address.address.to_bits()
            | u32::MAX.checked_shr(u32::from(address.prefix)).unwrap_or(0);
        self.requests.create(libc::RTM_NEWADDR, |body| {
            address_body(body, address).attribute(libc::IFA_BROADCAST, &broadcast.to_be_bytes());
        });
    }

    pub fn remove_address(&mut self, address: Address) {
        self.requests.change(libc::RTM_DELADDR, |body| {
            address_body(body, address);
        });
    }

    /// Sends everything that has no other route to `gateway`.
    pub fn add_default_route(&mut self, gateway: Ipv4Addr, link: u32) {
        self.add_route(Ipv4Addr::UNSPECIFIED, 0, gateway, link);
    }

    /// Sends what goes to a network to `gateway`, a neighbour behind `link`.
    pub fn add_route(&mut self, network: Ipv4Addr, prefix: u8, gateway: Ipv4Addr, link: u32) {
        let mut header = [0; ROUTE_LEN];
        header[0] = IPV4;
        header[1] = prefix;
        header[4] = libc::RT_TABLE_MAIN;
        header[5] = libc::RTPROT_BOOT;
        header[6] = libc::RT_SCOPE_UNIVERSE;
        header[7] = UNICAST;
        self.requests.create(libc::RTM_NEWROUTE, |body| {
            body.raw(&header)
                .attribute(libc::RTA_DST, &network.octets())
                .attribute(libc::RTA_GATEWAY, &gateway.octets())
                .number(libc::RTA_OIF, link);
        });
    }
}

/// `IFLA_BR_NF_CALL_IPTABLES`
const IFLA_BR_NF_CALL_IPTABLES: u16 = 36;
/// `IFLA_BRPORT_MODE`
const IFLA_BRPORT_MODE: u16 = 4;
/// `IFLA_BRPORT_ISOLATED`
const IFLA_BRPORT_ISOLATED: u16 = 33;

fn veth_peer(body: &mut Body, pair: &VethPair<'_>) {
    let namespace = pair.peer_namespace.as_raw_fd().cast_unsigned();
    body.raw(&link_header(0, 0, 0))
        .text(libc::IFLA_IFNAME, pair.peer_name)
        .attribute(libc::IFLA_ADDRESS, &pair.peer_mac)
        .number(libc::IFLA_MTU, pair.mtu)
        .number(libc::IFLA_NET_NS_FD, namespace);
}

fn address_body(body: &mut Body, address: Address) -> &mut Body {
    let mut header = [IPV4, address.prefix, 0, libc::RT_SCOPE_UNIVERSE, 0, 0, 0, 0];
    header[4..].copy_from_slice(&address.link.to_ne_bytes());
    body.raw(&header)
        .attribute(libc::IFA_LOCAL, &address.address.octets())
        .attribute(libc::IFA_ADDRESS, &address.address.octets())
}

/// `struct ifinfomsg` of any family.
fn link_header(index: u32, flags: u32, changed: u32) -> [u8; LINK_LEN] {
    let mut header = [0; LINK_LEN];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&changed.to_ne_bytes());
    header
}

/// `struct ifinfomsg` of the bridge family, which makes the attributes a port's.
fn bridge_port_header(index: u32) -> [u8; LINK_LEN] {
    let mut header = link_header(index, 0, 0);
    header[0] = libc::AF_BRIDGE as u8;
    header
}

fn parse_link(answer: &Answer) -> Option<Link> {
    let attributes = answer.attributes(LINK_LEN);
    let kind = attributes
        .nested(libc::IFLA_LINKINFO)
        .and_then(|information| information.text(libc::IFLA_INFO_KIND));
    Some(Link {
        index: answer.number_at(4)?,
        name: attributes.text(libc::IFLA_IFNAME)?,
        kind: kind.unwrap_or_default(),
        bridge: attributes.number(libc::IFLA_MASTER),
        is_up: answer.number_at(8)? & IFF_UP != 0,
    })
}

fn parse_address(answer: &Answer) -> Option<Address> {
    let attributes = answer.attributes(ADDRESS_LEN);
    // IFA_ADDRESS is the other end's on a point-to-point link.
    let octets = attributes.bytes(libc::IFA_LOCAL).or(attributes.bytes(libc::IFA_ADDRESS))?;
    Some(Address {
        link: answer.number_at(4)?,
        address: Ipv4Addr::from_octets(octets.try_into().ok()?),
        prefix: *answer.payload.get(1)?,
    })
}

fn parse_destination(answer: &Answer) -> Option<Destination> {
    let attributes = answer.attributes(ROUTE_LEN);
    let octets = attributes.bytes(libc::RTA_DST).unwrap_or(&[0; 4]);
    Some(Destination {
        address: Ipv4Addr::from_octets(octets.try_into().ok()?),
        prefix: *answer.payload.get(1)?,
        link: attributes.number(libc::RTA_OIF),
    })
}

#[cfg(test)]
mod tests;

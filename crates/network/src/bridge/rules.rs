//! The packet filter's rules for a bridge.
//!
//! Each instance has a table of its own, so that two of them, or a Docker beside us, do not
//! touch each other's rules. That has a limit which no table can lift: a packet passes only
//! if *every* table lets it, so a foreign `FORWARD` chain that drops what it doesn't know
//! also drops ours.
//!
//! Published ports are elements of two maps, one for ports of a particular address of the
//! host and one for those of all. Adding a port costs the kernel microseconds, and finding
//! one takes as long among ten thousand as among ten.
//!
//! What each chain is for:
//!
//! | chain | packets | why |
//! |---|---|---|
//! | `guard` | from containers to the host's loopback | the bridge lets 127.0.0.0/8 through for the host's sake (`route_localnet`), and must not for the containers' |
//! | `publish` | from outside or a container to an address of the host | leads published ports to containers |
//! | `publish-local` | from the host itself | the same |
//! | `leave` | after routing | gives packets an address that the answer finds back to |
//! | `forward` | between interfaces | only what was published, or asked for from inside, reaches a container |

use std::net::{IpAddr, Ipv4Addr};

use linux::nftables::{
    AddressType, Batch, ChainKind, Comparison, ConnectionKey, DataType, Element, Expression, Hook,
    Map, Meta, NetworkField, Point, Register, TransportField, Verdict, concatenate,
};

use super::ports::HostPort;
use crate::address::Cidr;
use crate::attachment::Protocol;

/// How many chains and maps the table has.
pub(super) const TABLE_SIZE: u32 = 7;

/// The chain whose rules are counted to see whether somebody emptied the table.
pub(super) const SAMPLE_CHAIN: &str = "forward";

/// Ports of one address of the host.
const MAP_OF_ADDRESS: Map<'static> = Map {
    name: "published-at",
    key: &[DataType::Ipv4Address, DataType::Protocol, DataType::Service],
    value: &[DataType::Ipv4Address, DataType::Service],
};

/// Ports of every address of the host.
const MAP_OF_EVERY: Map<'static> = Map {
    name: "published",
    key: &[DataType::Protocol, DataType::Service],
    value: &[DataType::Ipv4Address, DataType::Service],
};

// Values pass through these registers. An address stands next to its port in a map's value.
const FIRST: Register = Register(0);
const SECOND: Register = Register(1);
const THIRD: Register = Register(2);

/// What the rules depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) bridge: String,
    pub(super) subnet: Cidr,
    pub(super) masquerade: bool,
    pub(super) inter_container: bool,
}

/// Where a published port leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
}

impl Rules {
    /// Writes the table, which must not be there, without any port.
    pub(super) fn write(&self, batch: &mut Batch, table: &str) {
        batch.add_table(table);
        batch.add_map(table, &MAP_OF_ADDRESS);
        batch.add_map(table, &MAP_OF_EVERY);
        for (chain, hook) in chains() {
            batch.add_chain(table, chain, hook);
        }
        for (chain, rule) in self.rules() {
            batch.add_rule(table, chain, &rule);
        }
    }

    /// How many rules [`SAMPLE_CHAIN`] has.
    pub(super) fn sample_size(&self) -> usize {
        self.forward().len()
    }

    fn rules(&self) -> Vec<(&'static str, Vec<Expression<'_>>)> {
        let mut rules = vec![("guard", self.guard())];
        // A packet from outside that names the host's loopback must not be led anywhere:
        // a port published on 127.0.0.1 is the host's alone.
        let returns = [Expression::Verdict(Verdict::Return)];
        rules.push(("publish", rule(&[&loopback(NetworkField::Destination), &returns])));
        for chain in ["publish", "publish-local"] {
            rules.push((chain, translate_at_address()));
            rules.push((chain, translate_at_every_address()));
        }
        rules.extend(self.leave().into_iter().map(|rule| ("leave", rule)));
        rules.extend(self.forward().into_iter().map(|rule| ("forward", rule)));
        rules
    }

    fn guard(&self) -> Vec<Expression<'_>> {
        rule(&[
            &self.comes_from_bridge(),
            &loopback(NetworkField::Destination),
            &[Expression::Verdict(Verdict::Drop)],
        ])
    }

    fn leave(&self) -> Vec<Vec<Expression<'_>>> {
        let mut rules = Vec::new();
        if self.masquerade {
            rules.push(rule(&[
                &self.leaves_by(Comparison::NotEqual),
                &self.is_from_subnet(),
                &[Expression::Masquerade],
            ]));
        }
        // The host's 127.0.0.1 means the container itself when it gets there.
        rules.push(rule(&[
            &self.leaves_by(Comparison::Equal),
            &loopback(NetworkField::Source),
            &[Expression::Masquerade],
        ]));
        // A container that reaches another through the host would get the answer directly,
        // from an address that it never spoke to.
        rules.push(rule(&[
            &self.leaves_by(Comparison::Equal),
            &self.is_from_subnet(),
            &was_translated(),
            &[Expression::Masquerade],
        ]));
        rules
    }

    fn forward(&self) -> Vec<Vec<Expression<'_>>> {
        let to_bridge = self.leaves_by(Comparison::Equal);
        let verdict = |verdict| [Expression::Verdict(verdict)];
        let mut rules = vec![
            rule(&[&to_bridge, &is_an_answer(), &verdict(Verdict::Accept)]),
            rule(&[&to_bridge, &was_translated(), &verdict(Verdict::Accept)]),
        ];
        if self.inter_container {
            let from_bridge = self.comes_from_bridge();
            rules.push(rule(&[&to_bridge, &from_bridge, &verdict(Verdict::Accept)]));
        }
        // Neither a neighbour of the host's nor another bridge reaches what isn't published.
        rules.push(rule(&[&to_bridge, &verdict(Verdict::Drop)]));
        rules
    }

    fn comes_from_bridge(&self) -> [Expression<'_>; 2] {
        name_is(Meta::InputName, Comparison::Equal, &self.bridge)
    }

    fn leaves_by(&self, comparison: Comparison) -> [Expression<'_>; 2] {
        name_is(Meta::OutputName, comparison, &self.bridge)
    }

    fn is_from_subnet(&self) -> [Expression<'static>; 3] {
        address_is_in(NetworkField::Source, self.subnet)
    }
}

fn chains() -> [(&'static str, Hook); 5] {
    let hook = |kind, point, priority| Hook { kind, point, priority };
    [
        // Before connection tracking: a packet's own words, and not what became of them.
        ("guard", hook(ChainKind::Filter, Point::Prerouting, -300)),
        ("publish", hook(ChainKind::Nat, Point::Prerouting, -100)),
        ("publish-local", hook(ChainKind::Nat, Point::Output, -100)),
        ("leave", hook(ChainKind::Nat, Point::Postrouting, 100)),
        (SAMPLE_CHAIN, hook(ChainKind::Filter, Point::Forward, 0)),
    ]
}

fn rule<'a>(parts: &[&[Expression<'a>]]) -> Vec<Expression<'a>> {
    parts.concat()
}

fn name_is(key: Meta, comparison: Comparison, name: &str) -> [Expression<'_>; 2] {
    [
        Expression::LoadMeta { key, to: FIRST },
        Expression::CompareName { register: FIRST, comparison, name },
    ]
}

fn address_is_in(field: NetworkField, network: Cidr) -> [Expression<'static>; 3] {
    let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix())).unwrap_or(0);
    [
        Expression::LoadNetwork { field, to: FIRST },
        Expression::Mask { register: FIRST, mask: mask.to_be_bytes() },
        Expression::Compare {
            register: FIRST,
            comparison: Comparison::Equal,
            value: network.network().address().octets(),
        },
    ]
}

fn loopback(field: NetworkField) -> [Expression<'static>; 3] {
    let network = Cidr::new(Ipv4Addr::LOCALHOST, 8).expect("8 is no longer than an address");
    address_is_in(field, network)
}

/// The connection has one of these bits.
fn connection_has(key: ConnectionKey, bits: [u8; 4]) -> [Expression<'static>; 3] {
    [
        Expression::LoadConnection { key, to: FIRST },
        Expression::Mask { register: FIRST, mask: bits },
        Expression::Compare { register: FIRST, comparison: Comparison::NotEqual, value: [0; 4] },
    ]
}

fn is_an_answer() -> [Expression<'static>; 3] {
    connection_has(ConnectionKey::State, ConnectionKey::ESTABLISHED_OR_RELATED)
}

fn was_translated() -> [Expression<'static>; 3] {
    connection_has(ConnectionKey::Status, ConnectionKey::DESTINATION_TRANSLATED)
}

fn translate_at_address() -> Vec<Expression<'static>> {
    vec![
        Expression::LoadNetwork { field: NetworkField::Destination, to: FIRST },
        Expression::LoadMeta { key: Meta::TransportProtocol, to: SECOND },
        Expression::LoadTransport { field: TransportField::DestinationPort, to: THIRD },
        Expression::LookUp { map: MAP_OF_ADDRESS.name, key: FIRST, to: FIRST },
        Expression::TranslateDestination { address: FIRST, port: SECOND },
    ]
}

fn translate_at_every_address() -> Vec<Expression<'static>> {
    vec![
        Expression::LoadDestinationType { to: FIRST },
        Expression::Compare {
            register: FIRST,
            comparison: Comparison::Equal,
            value: AddressType::Local.to_bytes(),
        },
        Expression::LoadMeta { key: Meta::TransportProtocol, to: FIRST },
        Expression::LoadTransport { field: TransportField::DestinationPort, to: SECOND },
        Expression::LookUp { map: MAP_OF_EVERY.name, key: FIRST, to: FIRST },
        Expression::TranslateDestination { address: FIRST, port: SECOND },
    ]
}

/// Adds ports, none of which may be there with another target.
pub(super) fn add_ports(batch: &mut Batch, table: &str, ports: &[(HostPort, Target)]) {
    for (map, elements) in elements_by_map(ports) {
        batch.add_elements(table, map, &elements);
    }
}

/// Removes ports, all of which must be there.
pub(super) fn remove_ports(batch: &mut Batch, table: &str, ports: &[(HostPort, Target)]) {
    for (map, elements) in elements_by_map(ports) {
        batch.remove_elements(table, map, &elements);
    }
}

fn elements_by_map(ports: &[(HostPort, Target)]) -> [(&'static str, Vec<Element>); 2] {
    let mut of_address = Vec::new();
    let mut of_every = Vec::new();
    for (from, to) in ports {
        let protocol = [protocol_number(from.protocol)];
        let port = from.port.to_be_bytes();
        let value = concatenate(&[&to.address.octets(), &to.port.to_be_bytes()]);
        match from.ip {
            IpAddr::V4(ip) if !ip.is_unspecified() => {
                of_address
                    .push(Element { key: concatenate(&[&ip.octets(), &protocol, &port]), value });
            }
            _ => of_every.push(Element { key: concatenate(&[&protocol, &port]), value }),
        }
    }
    [(MAP_OF_ADDRESS.name, of_address), (MAP_OF_EVERY.name, of_every)]
}

/// IP's numbers of the protocols.
pub(super) fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

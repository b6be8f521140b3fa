//! The steps of a rule: each loads a value, tests one, or acts on the packet.

use crate::netlink::Body;

/// `NFTA_EXPR_NAME` and `NFTA_EXPR_DATA`
const NAME: u16 = 1;
const DATA: u16 = 2;

/// `NFTA_DATA_VALUE` and `NFTA_DATA_VERDICT`
const VALUE: u16 = 1;
const VERDICT: u16 = 2;

/// `NFT_REG32_00`
const REGISTER_FIRST: u32 = 8;

/// Names of interfaces are compared with their padding.
const INTERFACE_NAME_LEN: usize = 16;

/// One of sixteen places for four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub u8);

/// One step of a rule. A test that fails ends the rule for this packet.
#[derive(Debug, Clone, Copy)]
pub enum Expression<'a> {
    LoadMeta {
        key: Meta,
        to: Register,
    },
    LoadNetwork {
        field: NetworkField,
        to: Register,
    },
    LoadTransport {
        field: TransportField,
        to: Register,
    },
    LoadConnection {
        key: ConnectionKey,
        to: Register,
    },
    /// What kind of address the packet's destination is: see [`AddressType`].
    LoadDestinationType {
        to: Register,
    },
    /// Keeps these bits of a value.
    Mask {
        register: Register,
        mask: [u8; 4],
    },
    Compare {
        register: Register,
        comparison: Comparison,
        value: [u8; 4],
    },
    /// Compares a name that [`Meta::InputName`] or [`Meta::OutputName`] loaded.
    CompareName {
        register: Register,
        comparison: Comparison,
        name: &'a str,
    },
    /// Takes the key from registers and puts the value into registers.
    LookUp {
        map: &'a str,
        key: Register,
        to: Register,
    },
    /// Sends the connection elsewhere.
    TranslateDestination {
        address: Register,
        port: Register,
    },
    /// Makes the connection come from the address of the interface it leaves by.
    Masquerade,
    Verdict(Verdict),
}

/// What is known about a packet beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    InputName = 6,
    OutputName = 7,
    TransportProtocol = 16,
}

/// A part of the IPv4 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkField {
    Source = 12,
    Destination = 16,
}

/// A part of the header behind, at the same place in TCP, UDP and SCTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportField {
    DestinationPort = 2,
}

/// What is known about a packet's connection. Both are sets of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKey {
    State = 0,
    Status = 2,
}

impl ConnectionKey {
    /// Bits of [`State`](Self::State): packets of a connection that was let through before.
    pub const ESTABLISHED_OR_RELATED: [u8; 4] = (2_u32 | 4).to_ne_bytes();
    /// A bit of [`Status`](Self::Status): the connection was sent elsewhere.
    pub const DESTINATION_TRANSLATED: [u8; 4] = (1_u32 << 5).to_ne_bytes();
}

/// What [`Expression::LoadDestinationType`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressType {
    Local = 2,
}

impl AddressType {
    /// As it is in a register.
    pub fn to_bytes(self) -> [u8; 4] {
        (self as u32).to_ne_bytes()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal = 0,
    NotEqual = 1,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Drop = 0,
    /// Ends this chain. Other chains at the same point may still drop the packet.
    Accept = 1,
    Return = -5,
}

impl Expression<'_> {
    pub(super) fn write(&self, body: &mut Body) {
        let (name, write): (_, &dyn Fn(&mut Body)) = match *self {
            Self::LoadMeta { key, to } => ("meta", &move |body| load_meta(body, key, to)),
            Self::LoadNetwork { field, to } => {
                ("payload", &move |body| load_bytes(body, 1, field as u32, 4, to))
            }
            Self::LoadTransport { field, to } => {
                ("payload", &move |body| load_bytes(body, 2, field as u32, 2, to))
            }
            Self::LoadConnection { key, to } => ("ct", &move |body| load_connection(body, key, to)),
            Self::LoadDestinationType { to } => ("fib", &move |body| load_type(body, to)),
            Self::Mask { register, mask } => {
                ("bitwise", &move |body| keep_bits(body, register, mask))
            }
            Self::Compare { register, comparison, value } => {
                ("cmp", &move |body| compare(body, register, comparison, &value))
            }
            Self::CompareName { register, comparison, name } => {
                ("cmp", &move |body| compare(body, register, comparison, &padded(name)))
            }
            Self::LookUp { map, key, to } => ("lookup", &move |body| look_up(body, map, key, to)),
            Self::TranslateDestination { address, port } => {
                ("nat", &move |body| translate(body, address, port))
            }
            Self::Masquerade => ("masq", &|_| {}),
            Self::Verdict(verdict) => ("immediate", &move |body| decide(body, verdict)),
        };
        body.text(NAME, name).nest(DATA, write);
    }
}

/// `NFTA_DATA_VALUE` inside an attribute.
pub(super) fn write_value(body: &mut Body, attribute: u16, value: &[u8]) {
    body.nest(attribute, |body| {
        body.attribute(VALUE, value);
    });
}

fn number(register: Register) -> u32 {
    REGISTER_FIRST + u32::from(register.0)
}

fn load_meta(body: &mut Body, key: Meta, to: Register) {
    body.big_endian(1, number(to)).big_endian(2, key as u32);
}

/// `base` is the header: 1 for IP's, 2 for the one behind.
fn load_bytes(body: &mut Body, base: u32, offset: u32, len: u32, to: Register) {
    body.big_endian(1, number(to)).big_endian(2, base).big_endian(3, offset).big_endian(4, len);
}

fn load_connection(body: &mut Body, key: ConnectionKey, to: Register) {
    body.big_endian(1, number(to)).big_endian(2, key as u32);
}

fn load_type(body: &mut Body, to: Register) {
    /// `NFT_FIB_RESULT_ADDRTYPE`
    const ADDRESS_TYPE: u32 = 3;
    /// `NFTA_FIB_F_DADDR`
    const OF_DESTINATION: u32 = 2;
    body.big_endian(1, number(to)).big_endian(2, ADDRESS_TYPE).big_endian(3, OF_DESTINATION);
}

fn keep_bits(body: &mut Body, register: Register, mask: [u8; 4]) {
    body.big_endian(1, number(register)).big_endian(2, number(register)).big_endian(3, 4);
    write_value(body, 4, &mask);
    write_value(body, 5, &[0; 4]);
}

fn compare(body: &mut Body, register: Register, comparison: Comparison, value: &[u8]) {
    body.big_endian(1, number(register)).big_endian(2, comparison as u32);
    write_value(body, 3, value);
}

fn look_up(body: &mut Body, map: &str, key: Register, to: Register) {
    body.text(1, map).big_endian(2, number(key)).big_endian(3, number(to));
}

fn translate(body: &mut Body, address: Register, port: Register) {
    /// `NFT_NAT_DNAT`
    const DESTINATION: u32 = 1;
    /// `NFPROTO_IPV4`
    const IPV4: u32 = 2;
    body.big_endian(1, DESTINATION)
        .big_endian(2, IPV4)
        .big_endian(3, number(address))
        .big_endian(5, number(port));
}

fn decide(body: &mut Body, verdict: Verdict) {
    /// `NFT_REG_VERDICT`
    const REGISTER: u32 = 0;
    body.big_endian(1, REGISTER).nest(2, |body| {
        body.nest(VERDICT, |body| {
            body.big_endian(1, (verdict as i32).cast_unsigned());
        });
    });
}

fn padded(name: &str) -> [u8; INTERFACE_NAME_LEN] {
    let mut bytes = [0; INTERFACE_NAME_LEN];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

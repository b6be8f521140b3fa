//! Packet filtering: tables, chains, rules and maps, written as one batch.
//!
//! A [`Batch`] is carried out as a whole or not at all. It is an encoder, not a model: it
//! knows how the kernel wants to be told, and reads nothing back but whether a table is
//! there. A refused batch costs the kernel a grace period, some 15 ms, so never try in
//! order to see.
//!
//! Values are in registers while a rule runs: sixteen of four bytes. [`Register`] 0 and up
//! are those; a value longer than four bytes takes the following ones too.
//!
//! See `nft(8)` for what the expressions do, and `linux/netfilter/nf_tables.h` for numbers.

mod expression;

use crate::netlink::{Body, Error, Family, Requests, Socket};
use rustix::io::Errno;

pub use expression::{
    AddressType, Comparison, ConnectionKey, Expression, Meta, NetworkField, Register,
    TransportField, Verdict,
};

/// `NFNL_SUBSYS_NFTABLES`
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// `struct nfgenmsg`: the family, a version, and whose batch it is, in network order.
const IPV4: [u8; 4] = [2, 0, 0, 0];
const BATCH: [u8; 4] = [0, 0, 0, SUBSYSTEM as u8];

const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const GET_CHAIN: u16 = 4;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;

/// `NFTA_LIST_ELEM`
const LIST_ELEMENT: u16 = 1;

/// `NFT_SET_MAP`
const SET_IS_MAP: u32 = 8;

/// How many map elements go into one message. An attribute's length is 16 bits.
const ELEMENTS_PER_MESSAGE: usize = 500;

/// Where in a packet's way a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    pub kind: ChainKind,
    pub point: Point,
    /// Chains with a lower one come first.
    pub priority: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    Filter,
    /// Sees the first packet of a connection only.
    Nat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// What a map's keys or values are made of. The numbers are nft's own, for its listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    Ipv4Address = 7,
    /// A protocol over IP.
    Protocol = 12,
    /// A port.
    Service = 13,
}

/// A map, from one or several values to one or several values.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    pub name: &'a str,
    pub key: &'a [DataType],
    pub value: &'a [DataType],
}

/// A key and what it leads to, each made by [`concatenate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Values side by side, each in network order and in a register of its own.
pub fn concatenate(values: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * 4);
    for value in values {
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// A connection to the packet filter of one network namespace.
#[derive(Debug)]
pub struct Filter {
    socket: Socket,
}

impl Filter {
    /// Connects to the namespace that this thread is in.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::open(Family::Netfilter)? })
    }

    pub fn run(&self, batch: Batch) -> Result<(), Error> {
        self.socket.run_batch(&batch.finish())
    }

    /// How many chains and maps the table has, or `None` if there is no such table.
    pub fn table_size(&self, name: &str) -> Result<Option<u32>, Error> {
        const NAME: u16 = 1;
        const USE: u16 = 3;
        self.size(GET_TABLE, USE, |body| {
            body.text(NAME, name);
        })
    }

    /// How many rules the chain has, or `None` if there is no such chain.
    pub fn chain_size(&self, table: &str, name: &str) -> Result<Option<u32>, Error> {
        const TABLE: u16 = 1;
        const NAME: u16 = 3;
        const USE: u16 = 6;
        self.size(GET_CHAIN, USE, |body| {
            body.text(TABLE, table).text(NAME, name);
        })
    }

    fn size(
        &self,
        kind: u16,
        attribute: u16,
        write: impl FnOnce(&mut Body),
    ) -> Result<Option<u32>, Error> {
        let mut requests = Requests::default();
        requests.get(message(kind), |body| write(body.raw(&IPV4)));
        match self.socket.run(&requests) {
            Ok(answers) => {
                Ok(answers.first().and_then(|it| it.attributes(IPV4.len()).big_endian(attribute)))
            }
            Err(Error { errno: Errno::NOENT, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Changes to tables of the family `ip` that are made at once.
#[derive(Debug)]
pub struct Batch {
    requests: Requests,
}

impl Default for Batch {
    fn default() -> Self {
        let mut requests = Requests::default();
        requests.change_silently(BATCH_BEGIN, |body| {
            body.raw(&BATCH);
        });
        Self { requests }
    }
}

impl Batch {
    /// Makes a table unless it is there.
    pub fn add_table(&mut self, name: &str) {
        const NAME: u16 = 1;
        self.requests.ensure_silently(message(NEW_TABLE), |body| {
            body.raw(&IPV4).text(NAME, name);
        });
    }

    /// Removes a table, which must be there, with everything in it.
    pub fn remove_table(&mut self, name: &str) {
        const NAME: u16 = 1;
        self.requests.change_silently(message(DELETE_TABLE), |body| {
            body.raw(&IPV4).text(NAME, name);
        });
    }

    /// Makes a chain that packets come to by themselves, and which lets them pass.
    pub fn add_chain(&mut self, table: &str, name: &str, hook: Hook) {
        const TABLE: u16 = 1;
        const NAME: u16 = 3;
        const HOOK: u16 = 4;
        const HOOK_POINT: u16 = 1;
        const HOOK_PRIORITY: u16 = 2;
        const POLICY: u16 = 5;
        const TYPE: u16 = 7;
        /// `NF_ACCEPT`
        const ACCEPT: u32 = 1;
        let kind = match hook.kind {
            ChainKind::Filter => "filter",
            ChainKind::Nat => "nat",
        };
        self.requests.ensure_silently(message(NEW_CHAIN), |body| {
            body.raw(&IPV4).text(TABLE, table).text(NAME, name).nest(HOOK, |body| {
                body.big_endian(HOOK_POINT, hook.point as u32)
                    .big_endian(HOOK_PRIORITY, hook.priority.cast_unsigned());
            });
            body.big_endian(POLICY, ACCEPT).text(TYPE, kind);
        });
    }

    /// Makes a map that lives in the table and starts out empty.
    pub fn add_map(&mut self, table: &str, map: &Map<'_>) {
        const TABLE: u16 = 1;
        const NAME: u16 = 2;
        const FLAGS: u16 = 3;
        const KEY_TYPE: u16 = 4;
        const KEY_LEN: u16 = 5;
        const DATA_TYPE: u16 = 6;
        const DATA_LEN: u16 = 7;
        const ID: u16 = 10;
        self.requests.ensure_silently(message(NEW_SET), |body| {
            body.raw(&IPV4)
                .text(TABLE, table)
                .text(NAME, map.name)
                .big_endian(FLAGS, SET_IS_MAP)
                .big_endian(KEY_TYPE, type_number(map.key))
                .big_endian(KEY_LEN, type_len(map.key))
                .big_endian(DATA_TYPE, type_number(map.value))
                .big_endian(DATA_LEN, type_len(map.value))
                // Rules of this batch find it by name; the kernel wants a number regardless.
                .big_endian(ID, 1);
        });
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, table: &str, chain: &str, expressions: &[Expression<'_>]) {
        const TABLE: u16 = 1;
        const CHAIN: u16 = 2;
        const EXPRESSIONS: u16 = 4;
        self.requests.append_silently(message(NEW_RULE), |body| {
            body.raw(&IPV4).text(TABLE, table).text(CHAIN, chain).nest(EXPRESSIONS, |body| {
                for expression in expressions {
                    body.nest(LIST_ELEMENT, |body| expression.write(body));
                }
            });
        });
    }

    /// Adds elements to a map. One that is there must lead to the same value.
    pub fn add_elements(&mut self, table: &str, map: &str, elements: &[Element]) {
        for elements in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.requests.ensure_silently(message(NEW_ELEMENTS), |body| {
                write_elements(body, table, map, elements);
            });
        }
    }

    /// Removes elements, which must be there, from a map.
    pub fn remove_elements(&mut self, table: &str, map: &str, elements: &[Element]) {
        for elements in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.requests.change_silently(message(DELETE_ELEMENTS), |body| {
                write_elements(body, table, map, elements);
            });
        }
    }

    fn finish(mut self) -> Requests {
        self.requests.change_silently(BATCH_END, |body| {
            body.raw(&BATCH);
        });
        self.requests
    }
}

fn message(kind: u16) -> u16 {
    SUBSYSTEM << 8 | kind
}

fn write_elements(body: &mut Body, table: &str, map: &str, elements: &[Element]) {
    const TABLE: u16 = 1;
    const SET: u16 = 2;
    const ELEMENTS: u16 = 3;
    const KEY: u16 = 1;
    const DATA: u16 = 2;
    body.raw(&IPV4).text(TABLE, table).text(SET, map).nest(ELEMENTS, |body| {
        for Element { key, value } in elements {
            body.nest(LIST_ELEMENT, |body| {
                expression::write_value(body, KEY, key);
                expression::write_value(body, DATA, value);
            });
        }
    });
}

/// nft's number for a concatenation: six bits for each part.
fn type_number(parts: &[DataType]) -> u32 {
    parts.iter().fold(0, |number, part| number << 6 | *part as u32)
}

/// A part that stands alone has its own length; several take a register each.
fn type_len(parts: &[DataType]) -> u32 {
    match parts {
        [DataType::Protocol] => 1,
        [DataType::Service] => 2,
        _ => u32::try_from(parts.len() * 4).expect("a key has a few parts"),
    }
}

#[cfg(test)]
mod tests;

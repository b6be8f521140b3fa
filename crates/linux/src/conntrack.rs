//! Making the kernel forget connections that it tracks.
//!
//! Where a connection leads is decided by its first packet. For a protocol that never says
//! that a connection ends, the kernel goes on as long as packets come, even if the rules
//! have changed since. Forgetting it makes the next packet a first one.
//!
//! Needs a kernel that removes by a filter (Linux 6.10 or so); an older one refuses.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::netlink::{Body, Error, Family, Requests, Socket};

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_DELETE`
const DELETE: u16 = 1 << 8 | 2;

/// `struct nfgenmsg`: without the version the kernel would overlook the family.
const IPV4: [u8; 4] = [2, 1, 0, 0];

/// Attributes of a connection: `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_FILTER`
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const FILTER: u16 = 25;

/// Parts that a filter looks at, as bits.
const SOURCE_ADDRESS: u32 = 1 << 0;
const DESTINATION_ADDRESS: u32 = 1 << 1;
const PROTOCOL: u32 = 1 << 3;
const SOURCE_PORT: u32 = 1 << 4;
const DESTINATION_PORT: u32 = 1 << 5;

/// A connection to the tracker of one network namespace.
#[derive(Debug)]
pub struct Tracker {
    socket: Socket,
}

impl Tracker {
    /// Connects to the namespace that this thread is in.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::open(Family::Netfilter)? })
    }

    /// Forgets whatever was first sent to this address. `protocol` is IP's number.
    pub fn forget_sent_to(&self, protocol: u8, to: SocketAddrV4) -> Result<(), Error> {
        let bits = DESTINATION_ADDRESS | PROTOCOL | DESTINATION_PORT;
        self.forget(ORIGINAL, bits, |body| {
            tuple(body, protocol, End { address: 2, port: 3 }, to);
        })
    }

    /// Forgets whatever this address answers, under whichever name it was called.
    pub fn forget_answered_by(&self, protocol: u8, by: SocketAddrV4) -> Result<(), Error> {
        let bits = SOURCE_ADDRESS | PROTOCOL | SOURCE_PORT;
        self.forget(REPLY, bits, |body| {
            tuple(body, protocol, End { address: 1, port: 2 }, by);
        })
    }

    fn forget(
        &self,
        direction: u16,
        bits: u32,
        write: impl FnOnce(&mut Body),
    ) -> Result<(), Error> {
        let mut requests = Requests::default();
        requests.change(DELETE, |body| {
            body.raw(&IPV4).nest(direction, write).nest(FILTER, |body| {
                // `CTA_FILTER_ORIG_FLAGS` and `CTA_FILTER_REPLY_FLAGS` have the directions'
                // numbers. Both must be there.
                for side in [ORIGINAL, REPLY] {
                    body.number(side, if side == direction { bits } else { 0 });
                }
            });
        });
        self.socket.run(&requests).map(drop)
    }
}

/// The numbers of the attributes for one end of a connection.
struct End {
    address: u16,
    port: u16,
}

fn tuple(body: &mut Body, protocol: u8, end: End, value: SocketAddrV4) {
    /// `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`, `CTA_PROTO_NUM`
    const IP: u16 = 1;
    const TRANSPORT: u16 = 2;
    const NUMBER: u16 = 1;
    let address: &Ipv4Addr = value.ip();
    body.nest(IP, |body| {
        body.attribute(end.address, &address.octets());
    });
    body.nest(TRANSPORT, |body| {
        body.attribute(NUMBER, &[protocol]).attribute(end.port, &value.port().to_be_bytes());
    });
}

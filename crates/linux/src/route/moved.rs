//! Moving a device to another network namespace, with its addresses.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use super::{ADDRESS_LEN, IFF_UP, IPV4, Route, link_header};
use crate::netlink::{Answer, Error, Requests};
use crate::network_namespace;

/// An address as the kernel tells it, of either family.
struct Kept {
    /// `struct ifaddrmsg` without the link.
    header: [u8; 4],
    local: Vec<u8>,
    address: Vec<u8>,
}

impl Route {
    /// Moves the device `name` to another namespace, where it is called `new_name` and is up.
    ///
    /// The kernel takes a device's addresses away as it moves. Those of global scope that
    /// somebody has set, and that do not run out, are set again.
    pub fn move_device(
        &self,
        name: &str,
        namespace: BorrowedFd<'_>,
        new_name: &str,
    ) -> Result<(), Error> {
        let link = self.link(name)?.ok_or(Error::from(Errno::NODEV))?;
        let addresses = self.kept_addresses(link.index)?;
        let mut requests = Requests::default();
        // Down first: what else uses it here is to see it go before it has gone.
        requests.change(libc::RTM_NEWLINK, |body| {
            body.raw(&link_header(link.index, 0, IFF_UP));
        });
        self.socket.run(&requests)?;
        // Renamed as it moves: either name may be taken on either side.
        let mut requests = Requests::default();
        requests.change(libc::RTM_NEWLINK, |body| {
            body.raw(&link_header(link.index, 0, 0))
                .text(libc::IFLA_IFNAME, new_name)
                .number(libc::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
        });
        self.socket.run(&requests)?;
        network_namespace::inside(namespace, || settle_in(new_name, &addresses))
            .map_err(|error| Error::from(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?
    }

    fn kept_addresses(&self, link: u32) -> Result<Vec<Kept>, Error> {
        let mut requests = Requests::default();
        requests.dump(libc::RTM_GETADDR, |body| {
            body.raw(&[0; ADDRESS_LEN]);
        });
        let answers = self.socket.run(&requests)?;
        let of_link = answers.iter().filter(|answer| answer.number_at(4) == Some(link));
        Ok(of_link.filter_map(parse).collect())
    }
}

fn parse(answer: &Answer) -> Option<Kept> {
    let &[family, prefix, flags, scope, ..] = answer.payload.as_slice() else { return None };
    let attributes = answer.attributes(ADDRESS_LEN);
    let flags = attributes.number(libc::IFA_FLAGS).unwrap_or(u32::from(flags));
    if flags & libc::IFA_F_PERMANENT == 0 || scope != libc::RT_SCOPE_UNIVERSE {
        return None;
    }
    let address = attributes.bytes(libc::IFA_ADDRESS)?.to_vec();
    let local = attributes.bytes(libc::IFA_LOCAL).map_or_else(|| address.clone(), <[u8]>::to_vec);
    Some(Kept { header: [family, prefix, 0, scope], local, address })
}

/// Gives a device that has just come its addresses, and takes it up.
fn settle_in(name: &str, addresses: &[Kept]) -> Result<(), Error> {
    let route = Route::open()?;
    let link = route.link(name)?.ok_or(Error::from(Errno::NODEV))?.index;
    let mut requests = Requests::default();
    for Kept { header, local, address } in addresses {
        requests.create(libc::RTM_NEWADDR, |body| {
            body.raw(header)
                .raw(&link.to_ne_bytes())
                .attribute(libc::IFA_LOCAL, local)
                .attribute(libc::IFA_ADDRESS, address);
            if let Some(broadcast) = broadcast(*header, local) {
                body.attribute(libc::IFA_BROADCAST, &broadcast);
            }
        });
    }
    requests.change(libc::RTM_NEWLINK, |body| {
        body.raw(&link_header(link, IFF_UP, IFF_UP));
    });
    route.socket.run(&requests).map(drop)
}

/// Of IPv4 only, and where a network has room for one.
fn broadcast([family, prefix, ..]: [u8; 4], local: &[u8]) -> Option<[u8; 4]> {
    let local = u32::from_be_bytes(local.try_into().ok()?);
    let has_room = family == IPV4 && prefix < 31;
    has_room.then(|| (local | (u32::MAX >> prefix)).to_be_bytes())
}

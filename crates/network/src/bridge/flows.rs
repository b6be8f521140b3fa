//! Datagrams that keep coming while a port changes hands.
//!
//! Where they lead was decided by the first one, perhaps before the container was there, or
//! for the one that had the port before. The kernel is told to decide again. A kernel that
//! can't is no reason to fail: then it takes until the sender pauses for half a minute.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use linux::conntrack::Tracker;
use linux::netlink::Error;
use linux::route::Route;

use super::rules::protocol_number;
use crate::attachment::{AttachmentRecord, Protocol, PublishedPort};

/// Leads to the container whoever sends to one of its ports already.
pub(super) fn lead_to(record: &AttachmentRecord) {
    note(record, datagram_ports(record).try_for_each(lead_port));
}

/// Leads nobody to the container any more.
pub(super) fn lead_away_from(record: &AttachmentRecord) {
    let lead_away = |port: &PublishedPort| {
        let end = SocketAddrV4::new(record.address, port.container_port);
        Tracker::open()?.forget_answered_by(protocol_number(port.protocol), end)
    };
    note(record, datagram_ports(record).try_for_each(lead_away));
}

fn datagram_ports(record: &AttachmentRecord) -> impl Iterator<Item = &PublishedPort> {
    record.ports.iter().filter(|port| port.protocol == Protocol::Udp)
}

fn lead_port(port: &PublishedPort) -> Result<(), Error> {
    let tracker = Tracker::open()?;
    for address in addresses(port.host_ip)? {
        let end = SocketAddrV4::new(address, port.host_port);
        tracker.forget_sent_to(protocol_number(port.protocol), end)?;
    }
    Ok(())
}

/// The host's addresses that `ip` stands for.
fn addresses(ip: IpAddr) -> Result<Vec<Ipv4Addr>, Error> {
    match ip {
        IpAddr::V4(ip) if !ip.is_unspecified() => Ok(vec![ip]),
        _ => Ok(Route::open()?.addresses()?.into_iter().map(|it| it.address).collect()),
    }
}

fn note(record: &AttachmentRecord, result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::debug!(
            container = record.container_id,
            %error,
            "datagrams of old senders may go astray"
        );
    }
}

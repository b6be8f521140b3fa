//! Which host ports are ours, and whose. A book only: binding them is
//! [`reservation`](super::reservation)'s.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::attachment::{Protocol, PublishedPort};

/// Where a port goes if its sender names an address of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostPort {
    pub(super) protocol: Protocol,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

impl From<&PublishedPort> for HostPort {
    fn from(port: &PublishedPort) -> Self {
        Self { protocol: port.protocol, ip: port.host_ip, port: port.host_port }
    }
}

/// Who has a port, and on which address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) ip: IpAddr,
    /// The container's name.
    pub(super) name: String,
}

#[derive(Debug, Default)]
pub(super) struct Ports {
    holders: BTreeMap<(Protocol, u16), Vec<Holder>>,
    /// The port chosen last, for each protocol: the next choice begins behind it, so that a
    /// port which was just given back is not given to somebody else at once.
    last: BTreeMap<Protocol, u16>,
}

impl Ports {
    /// Takes this port, or says who has it.
    pub(super) fn take(&mut self, port: HostPort, name: &str) -> Result<(), Holder> {
        let holders = self.holders.entry((port.protocol, port.port)).or_default();
        if let Some(holder) = holders.iter().find(|holder| overlap(holder.ip, port.ip)) {
            return Err(holder.clone());
        }
        holders.push(Holder { ip: port.ip, name: name.to_owned() });
        Ok(())
    }

    /// The ports of a range in the order in which an unnamed one is chosen.
    pub(super) fn candidates(
        &self,
        protocol: Protocol,
        range: RangeInclusive<u16>,
    ) -> impl Iterator<Item = u16> + use<> {
        let last = self.last.get(&protocol).copied().filter(|last| range.contains(last));
        let split = last.map_or(*range.start(), |last| last.saturating_add(1));
        (split..=*range.end()).chain(*range.start()..split)
    }

    /// Notes that an unnamed port was chosen.
    pub(super) fn chosen(&mut self, protocol: Protocol, port: u16) {
        self.last.insert(protocol, port);
    }

    /// Notes the holder's new name.
    pub(super) fn rename(&mut self, port: HostPort, name: &str) {
        let holders = self.holders.get_mut(&(port.protocol, port.port)).into_iter().flatten();
        for holder in holders.filter(|holder| holder.ip == port.ip) {
            name.clone_into(&mut holder.name);
        }
    }

    pub(super) fn release(&mut self, port: HostPort) {
        if let Some(holders) = self.holders.get_mut(&(port.protocol, port.port)) {
            holders.retain(|holder| holder.ip != port.ip);
            if holders.is_empty() {
                self.holders.remove(&(port.protocol, port.port));
            }
        }
    }
}

/// Whether a packet may mean either. The unspecified address stands for every one.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::{HostPort, Ports};
    use crate::attachment::Protocol::{self, Tcp, Udp};

    fn port(protocol: Protocol, ip: &str, port: u16) -> HostPort {
        HostPort { protocol, ip: ip.parse().unwrap(), port }
    }

    #[track_caller]
    fn check_taken(ports: &mut Ports, wanted: HostPort, by_ip: &str, by_name: &str) {
        let holder = ports.take(wanted, "other").unwrap_err();
        assert_eq!((holder.ip.to_string().as_str(), holder.name.as_str()), (by_ip, by_name));
    }

    #[test]
    fn a_port_has_one_holder_for_each_address() {
        let mut ports = Ports::default();
        ports.take(port(Tcp, "127.0.0.1", 80), "one").unwrap();
        ports.take(port(Tcp, "127.0.0.2", 80), "two").unwrap();
        ports.take(port(Udp, "127.0.0.1", 80), "three").unwrap();
        check_taken(&mut ports, port(Tcp, "127.0.0.1", 80), "127.0.0.1", "one");
    }

    #[test]
    fn every_address_is_one_of_them() {
        let mut ports = Ports::default();
        ports.take(port(Tcp, "0.0.0.0", 80), "every").unwrap();
        check_taken(&mut ports, port(Tcp, "127.0.0.1", 80), "0.0.0.0", "every");
        ports.take(port(Tcp, "127.0.0.1", 81), "one").unwrap();
        check_taken(&mut ports, port(Tcp, "0.0.0.0", 81), "127.0.0.1", "one");
    }

    #[test]
    fn a_released_port_can_be_taken_again() {
        let mut ports = Ports::default();
        ports.take(port(Tcp, "0.0.0.0", 80), "first").unwrap();
        ports.release(port(Tcp, "0.0.0.0", 80));
        ports.release(port(Tcp, "0.0.0.0", 80));
        ports.take(port(Tcp, "0.0.0.0", 80), "second").unwrap();
    }

    #[test]
    fn an_unnamed_port_is_the_one_behind_the_last() {
        let mut ports = Ports::default();
        let order = |ports: &Ports| ports.candidates(Tcp, 10..=13).collect::<Vec<_>>();
        assert_eq!(order(&ports), [10, 11, 12, 13]);
        ports.chosen(Tcp, 11);
        assert_eq!(order(&ports), [12, 13, 10, 11]);
        ports.chosen(Tcp, 13);
        assert_eq!(order(&ports), [10, 11, 12, 13]);
        ports.chosen(Udp, 10);
        assert_eq!(ports.candidates(Udp, u16::MAX..=u16::MAX).collect::<Vec<_>>(), [u16::MAX]);
    }
}

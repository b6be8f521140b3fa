//! Which addresses of a subnet are free.
//!
//! The lowest free address is given, as users expect the first container to have the
//! subnet's second one. But an address that was given back may still be answered for: its
//! namespace dies a little after its container, in the kernel's own time. Until then the
//! address *lingers*, and another one is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::address::Cidr;

/// How many lingering addresses are looked at before a fresh one is preferred.
const LINGERING_CHECKS_MAX: usize = 3;

#[derive(Debug)]
pub(super) struct Addresses {
    subnet: Cidr,
    used: BTreeSet<Ipv4Addr>,
    /// With the host's end of the link that the address was behind.
    lingering: BTreeMap<Ipv4Addr, String>,
}

impl Addresses {
    /// The gateway's address is `gateway`'s own and never given.
    pub(super) fn new(gateway: Cidr) -> Self {
        let reserved = [gateway.network().address(), gateway.address(), gateway.broadcast()];
        Self {
            subnet: gateway.network(),
            used: BTreeSet::from(reserved),
            lingering: BTreeMap::new(),
        }
    }

    /// Takes the lowest address that nobody has or answers for. `is_gone` says whether an
    /// interface no longer exists.
    pub(super) fn take_any(&mut self, is_gone: impl Fn(&str) -> bool) -> Option<Ipv4Addr> {
        let mut checks = 0;
        let mut last_resort = None;
        let first = self.subnet.address().to_bits();
        let last = self.subnet.broadcast().to_bits();
        for address in (first..=last).map(Ipv4Addr::from_bits) {
            if self.used.contains(&address) {
                continue;
            }
            if let Some(interface) = self.lingering.get(&address) {
                last_resort = last_resort.or(Some(address));
                checks += 1;
                if checks > LINGERING_CHECKS_MAX || !is_gone(interface) {
                    continue;
                }
            }
            return Some(self.mark(address));
        }
        // An address that may be answered for twice for a moment is better than none.
        last_resort.map(|address| self.mark(address))
    }

    /// Takes this address, which may be outside the subnet, unless somebody has it.
    pub(super) fn take(&mut self, address: Ipv4Addr) -> bool {
        let is_free = !self.used.contains(&address);
        self.mark(address);
        is_free
    }

    /// Gives an address back. It lingers until `interface` is gone, if there ever was one.
    pub(super) fn release(&mut self, address: Ipv4Addr, interface: String) {
        if self.used.remove(&address) {
            self.lingering.insert(address, interface);
        }
    }

    fn mark(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        self.lingering.remove(&address);
        self.used.insert(address);
        address
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::Addresses;

    fn addresses(gateway: &str) -> Addresses {
        Addresses::new(gateway.parse().unwrap())
    }

    fn take(addresses: &mut Addresses) -> Option<String> {
        addresses.take_any(|_| false).map(|address| address.to_string())
    }

    #[test]
    fn the_lowest_free_address_is_given() {
        let mut addresses = addresses("10.0.0.1/29");
        assert!(addresses.take(Ipv4Addr::new(10, 0, 0, 3)));
        assert_eq!(take(&mut addresses).as_deref(), Some("10.0.0.2"));
        assert_eq!(take(&mut addresses).as_deref(), Some("10.0.0.4"));
        addresses.release(Ipv4Addr::new(10, 0, 0, 2), "never made".to_owned());
        let again = addresses.take_any(|interface| interface == "never made");
        assert_eq!(again, Some(Ipv4Addr::new(10, 0, 0, 2)));
    }

    #[test]
    fn the_network_the_gateway_and_the_broadcast_address_are_never_given() {
        let mut addresses = addresses("10.0.0.2/30");
        assert_eq!(take(&mut addresses).as_deref(), Some("10.0.0.1"));
        assert_eq!(take(&mut addresses), None);
    }

    #[test]
    fn an_address_is_given_once() {
        let mut addresses = addresses("10.0.0.1/24");
        assert!(addresses.take(Ipv4Addr::new(10, 0, 0, 2)));
        assert!(!addresses.take(Ipv4Addr::new(10, 0, 0, 2)));
        assert!(!addresses.take(Ipv4Addr::new(10, 0, 0, 1)));
    }

    #[test]
    fn a_released_address_lingers_until_its_interface_is_gone() {
        let mut addresses = addresses("10.0.0.1/24");
        let first = addresses.take_any(|_| false).unwrap();
        addresses.release(first, "veth0".to_owned());
        assert_eq!(take(&mut addresses).as_deref(), Some("10.0.0.3"));
        let again = addresses.take_any(|interface| interface == "veth0").unwrap();
        assert_eq!(again, first);
    }

    #[test]
    fn a_lingering_address_is_better_than_none() {
        let mut addresses = addresses("10.0.0.1/30");
        let only = addresses.take_any(|_| false).unwrap();
        addresses.release(only, "veth0".to_owned());
        assert_eq!(addresses.take_any(|_| false), Some(only));
        assert_eq!(addresses.take_any(|_| false), None);
    }
}

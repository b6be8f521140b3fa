//! Real links in fresh namespaces.

use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;

use super::{Address, Changes, Destination, Route, VethPair};
use crate::network_namespace;

const MAC: [u8; 6] = [2, 0x42, 10, 0, 0, 2];

fn change(route: &Route, write: impl FnOnce(&mut Changes)) {
    let mut changes = Changes::default();
    write(&mut changes);
    route.change(&changes).unwrap();
}

#[test]
fn a_pair_connects_two_namespaces() {
    network_namespace::in_new(|| {
        let route = Route::open().unwrap();
        change(&route, |changes| changes.add_bridge("br0", MAC, 1400));
        let bridge = route.link("br0").unwrap().unwrap();
        assert_eq!((bridge.kind.as_str(), bridge.is_up), ("bridge", false));

        let inner = network_namespace::in_new(|| network_namespace::current().unwrap()).unwrap();
        let pair = VethPair {
            name: "veth0",
            mtu: 1400,
            bridge: Some(bridge.index),
            peer_name: "eth0",
            peer_mac: MAC,
            peer_namespace: inner.as_fd(),
        };
        change(&route, |changes| {
            changes.set_up(bridge.index);
            changes.add_veth(&pair);
        });
        let port = route.link("veth0").unwrap().unwrap();
        assert_eq!((port.kind.as_str(), port.is_up), ("veth", true));
        assert_eq!(port.bridge, Some(bridge.index));
        assert_eq!(route.links().unwrap().len(), 3, "lo, br0, veth0");
        change(&route, |changes| {
            changes.isolate_port(port.index);
            changes.reflect_port(port.index);
        });

        network_namespace::inside(inner.as_fd(), configure_inside).unwrap();

        change(&route, |changes| {
            changes.set_down(port.index);
            changes.remove_link(port.index);
        });
        assert_eq!(route.link("veth0").unwrap(), None);
    })
    .unwrap();
}

fn configure_inside() {
    let gateway = Ipv4Addr::new(10, 0, 0, 1);
    let route = Route::open().unwrap();
    let link = route.link("eth0").unwrap().unwrap().index;
    let address = Address { link, address: Ipv4Addr::new(10, 0, 0, 2), prefix: 24 };
    change(&route, |changes| {
        changes.set_up(link);
        changes.add_address(address);
        changes.add_default_route(gateway, link);
    });
    assert_eq!(route.addresses().unwrap(), [address]);
    let default = Destination { address: Ipv4Addr::UNSPECIFIED, prefix: 0, link: Some(link) };
    assert!(route.destinations().unwrap().contains(&default));
    change(&route, |changes| changes.remove_address(address));
    assert_eq!(route.addresses().unwrap(), []);
}

#[test]
fn a_refusal_says_why() {
    network_namespace::in_new(|| {
        let route = Route::open().unwrap();
        let mut changes = Changes::default();
        changes.add_default_route(Ipv4Addr::new(10, 0, 0, 1), 1);
        let error = route.change(&changes).unwrap_err();
        assert_eq!(error.errno, rustix::io::Errno::NETUNREACH);
        assert!(error.to_string().contains("gateway"), "{error}");
    })
    .unwrap();
}

#[test]
fn a_device_moves_with_its_addresses() {
    network_namespace::in_new(|| {
        let route = Route::open().unwrap();
        let other = network_namespace::in_new(|| network_namespace::current().unwrap()).unwrap();
        let pair = VethPair {
            name: "dev0",
            mtu: 1400,
            bridge: None,
            peer_name: "peer0",
            peer_mac: MAC,
            peer_namespace: other.as_fd(),
        };
        change(&route, |changes| changes.add_veth(&pair));
        let link = route.link("dev0").unwrap().unwrap().index;
        let address = Ipv4Addr::new(10, 9, 8, 7);
        change(&route, |changes| changes.add_address(Address { link, address, prefix: 24 }));
        change(&route, |changes| changes.set_up(link));
        let inner = network_namespace::in_new(|| network_namespace::current().unwrap()).unwrap();

        route.move_device("dev0", inner.as_fd(), "eth7").unwrap();

        assert!(route.link("dev0").unwrap().is_none());
        let (link, addresses) = network_namespace::inside(inner.as_fd(), || {
            let route = Route::open().unwrap();
            (route.link("eth7").unwrap().unwrap(), route.addresses().unwrap())
        })
        .unwrap();
        assert!(link.is_up);
        assert!(addresses.contains(&Address { link: link.index, address, prefix: 24 }));
    })
    .unwrap();
}

//! A container's end of the network: a namespace with `lo` and `eth0`.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, OwnedFd};

use linux::netlink::Error;
use linux::route::{Address, Changes, Route, VethPair};
use linux::{loopback, network_namespace};
use rustix::io::Errno;

use super::device::{Device, PortMode};
use crate::address::MacAddress;

/// The interface's name inside the container.
pub(super) const INTERFACE: &str = "eth0";

/// What an endpoint is to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) device: Device,
    pub(super) host_interface: String,
    pub(super) address: Ipv4Addr,
    pub(super) mac: MacAddress,
    pub(super) mtu: u32,
}

/// The step that failed, and why.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: &'static str,
    pub(super) source: io::Error,
}

fn failed<E: Into<io::Error>>(step: &'static str) -> impl Fn(E) -> Failure {
    move |source| Failure { step, source: source.into() }
}

/// A fresh network namespace with nothing but `lo`, which is up.
pub fn new_namespace() -> io::Result<OwnedFd> {
    network_namespace::in_new(|| {
        loopback::bring_up()?;
        network_namespace::current()
    })?
}

/// Makes the namespace and all that is in it. When the descriptor is closed, and no process
/// is inside, the kernel takes all of it back, the host's end included.
pub(super) fn make(plan: &Plan) -> Result<OwnedFd, Failure> {
    let outside = Route::open().map_err(failed("talk to the kernel about the network"))?;
    network_namespace::in_new(|| inside(plan, &outside))
        .map_err(failed("make the network namespace"))?
}

fn inside(plan: &Plan, outside: &Route) -> Result<OwnedFd, Failure> {
    let namespace = network_namespace::current().map_err(failed("open the network namespace"))?;
    loopback::bring_up().map_err(failed("bring up the loopback interface"))?;
    link(plan, outside, &namespace).map_err(failed("make the link"))?;
    disable_ipv6().map_err(failed("switch IPv6 off on the interface"))?;
    address(plan).map_err(failed("give its address to the interface"))?;
    port(plan, outside).map_err(failed("set the bridge's port up"))?;
    Ok(namespace)
}

fn link(plan: &Plan, outside: &Route, namespace: &OwnedFd) -> Result<(), Error> {
    let mut changes = Changes::default();
    changes.add_veth(&VethPair {
        name: &plan.host_interface,
        mtu: plan.mtu,
        bridge: Some(plan.device.index),
        peer_name: INTERFACE,
        peer_mac: plan.mac.0,
        peer_namespace: namespace.as_fd(),
    });
    outside.change(&changes)
}

/// Without this the kernel would give the interface an address of its own and ask around
/// whether anybody has it, in a network that has no IPv6.
fn disable_ipv6() -> io::Result<()> {
    match fs::write(format!("/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6"), "1") {
        // A kernel without IPv6 has nothing to switch off.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn address(plan: &Plan) -> Result<(), Error> {
    let inside = Route::open()?;
    let link = inside.link(INTERFACE)?.ok_or(Errno::NODEV)?.index;
    let network = plan.device.address;
    let mut changes = Changes::default();
    changes.set_up(link);
    changes.add_address(Address { link, address: plan.address, prefix: network.prefix() });
    changes.add_default_route(network.address(), link);
    inside.change(&changes)
}

/// Sets the bridge's port up, and sees to it that the first packet gets through: a container
/// that connects before the kernel has noticed that the link is up would wait for a second.
fn port(plan: &Plan, outside: &Route) -> Result<(), Error> {
    // This settles the port. It brings the bridge up, if it is the first one.
    let port = outside.link(&plan.host_interface)?.ok_or(Errno::NODEV)?.index;
    let mut changes = Changes::default();
    match plan.device.ports {
        PortMode::Plain => {}
        PortMode::Reflecting => changes.reflect_port(port),
        PortMode::Isolated => changes.isolate_port(port),
    }
    outside.change(&changes)?;
    outside.settle(plan.device.index)
}

//! The bridge itself, and what the host must allow so that it is of use.

use std::fs;
use std::io;

use linux::netlink::Error;
use linux::route::{Address, Changes, Link, Route};

use super::setup_lock::SetupLock;
use super::subnet;
use crate::address::Cidr;
use crate::errors::{OpenError, PrepareError};
use crate::resolv_conf;
use crate::settings::Settings;

/// The longest name of an interface, with its NUL.
const NAME_SIZE: usize = 16;

/// Exists if the kernel can show the packet filter what passes within a bridge.
const BRIDGE_FILTER_PATH: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Refuses a name that the kernel would refuse.
pub(super) fn check_name(name: &str) -> Result<(), OpenError> {
    let is_valid = !name.is_empty()
        && name.len() < NAME_SIZE
        && name != "."
        && name != ".."
        && !name.contains(|character: char| {
            character == '/' || character == ':' || character.is_whitespace()
        });
    if is_valid { Ok(()) } else { Err(OpenError::BridgeName(name.to_owned())) }
}

/// The bridge's address: its own if it is there, or else a free one.
pub(super) fn find_address(
    route: &Route,
    name: &str,
    settings: &Settings,
) -> Result<Cidr, OpenError> {
    if let Some(bip) = settings.bip {
        return Ok(bip);
    }
    let look = |source: Error| OpenError::Look { source: source.into() };
    let bridge = route.link(name).map_err(look)?;
    let addresses = route.addresses().map_err(look)?;
    let own = |address: &&Address| bridge.as_ref().is_some_and(|link| link.index == address.link);
    if let Some(cidr) = addresses.iter().find(own).and_then(cidr) {
        return Ok(cidr);
    }

    let mut taken: Vec<Cidr> = addresses.iter().filter_map(cidr).collect();
    // The default route leads everywhere, and takes nothing.
    let destinations = route.destinations().map_err(look)?;
    taken.extend(
        destinations
            .iter()
            .filter(|it| it.prefix > 0)
            .filter_map(|it| Cidr::new(it.address, it.prefix)),
    );
    // They are on the other side of the default route, and must stay there.
    let servers = fs::read_to_string(resolv_conf::PATH).unwrap_or_default();
    taken.extend(resolv_conf::servers(&servers).filter_map(|server| Cidr::new(server, 32)));
    subnet::choose(&settings.pools, &taken).ok_or(OpenError::NoFreePool)
}

fn cidr(address: &Address) -> Option<Cidr> {
    Cidr::new(address.address, address.prefix)
}

/// A bridge that is ready for ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) index: u32,
    /// Its address, and with it the network's subnet.
    pub(super) address: Cidr,
    pub(super) ports: PortMode,
}

/// How the bridge's ports treat each other's packets.
///
/// It depends on whether the kernel shows the packet filter what passes within a bridge
/// (`br_netfilter`), which a Docker or a Kubernetes on the same host makes it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortMode {
    Plain,
    /// Packets may leave by the port they came from. A container that calls its own published
    /// port is translated within the bridge, and so never leaves it.
    Reflecting,
    /// Ports don't reach each other. This is how containers are kept apart if the packet
    /// filter never sees what they say.
    Isolated,
}

/// Makes the bridge, or completes the one that is there. `address` is what was decided
/// before; it may be replaced while `is_unused`, if the host has come to use that subnet.
pub(super) fn prepare(
    name: &str,
    settings: &Settings,
    address: Cidr,
    is_unused: bool,
) -> Result<Device, PrepareError> {
    let step = |step| move |source: Error| PrepareError::Step { step, source: source.into() };
    let route = Route::open().map_err(step("talk to the kernel"))?;
    // Between choosing a subnet and using it, nobody of ours may choose the same.
    let _lock = SetupLock::acquire()
        .map_err(|source| PrepareError::Step { step: "wait for another daemon", source })?;

    let address = if is_unused {
        find_address(&route, name, settings).map_err(PrepareError::Subnet)?
    } else {
        address
    };
    let found = route.link(name).map_err(step("look for the bridge"))?;
    let bridge = match found {
        Some(link) if link.kind == "bridge" => link,
        Some(_) => return Err(PrepareError::NotABridge(name.to_owned())),
        None => make(&route, name, settings, address).map_err(step("make the bridge"))?,
    };
    give_address(&route, &bridge, address).map_err(step("give the bridge its address"))?;
    set_up(&route, &bridge).map_err(step("bring the bridge up"))?;
    allow_forwarding(name, settings)?;
    let ports = keep_apart(&route, &bridge, settings)
        .map_err(step("keep the containers of the bridge apart"))?;
    Ok(Device { index: bridge.index, address, ports })
}

fn make(route: &Route, name: &str, settings: &Settings, address: Cidr) -> Result<Link, Error> {
    let mut changes = Changes::default();
    changes.add_bridge(name, super::mac_of(address.address()).0, settings.mtu);
    route.change(&changes)?;
    route.link(name)?.ok_or_else(|| rustix::io::Errno::NODEV.into())
}

/// Makes `address` the bridge's only one.
fn give_address(route: &Route, bridge: &Link, address: Cidr) -> Result<(), Error> {
    let wanted =
        Address { link: bridge.index, address: address.address(), prefix: address.prefix() };
    let present: Vec<_> =
        route.addresses()?.into_iter().filter(|it| it.link == bridge.index).collect();
    let mut changes = Changes::default();
    if !present.contains(&wanted) {
        changes.add_address(wanted);
    }
    for other in present.into_iter().filter(|it| *it != wanted) {
        changes.remove_address(other);
    }
    route.change(&changes)
}

fn set_up(route: &Route, bridge: &Link) -> Result<(), Error> {
    let mut changes = Changes::default();
    if !bridge.is_up {
        changes.set_up(bridge.index);
    }
    route.change(&changes)
}

/// Sees to it that the packet filter decides what containers say to each other, or decides
/// here.
fn keep_apart(route: &Route, bridge: &Link, settings: &Settings) -> Result<PortMode, Error> {
    let sees_bridged = fs::exists(BRIDGE_FILTER_PATH).unwrap_or(false);
    if !sees_bridged {
        let mode = if settings.inter_container { PortMode::Plain } else { PortMode::Isolated };
        return Ok(mode);
    }
    if !settings.inter_container {
        let mut changes = Changes::default();
        changes.filter_bridge(bridge.index);
        route.change(&changes)?;
    }
    Ok(PortMode::Reflecting)
}

fn allow_forwarding(name: &str, settings: &Settings) -> Result<(), PrepareError> {
    // The host's own 127.0.0.1 may be the sender of what goes to a published port. The
    // firewall keeps containers from turning that around.
    let route_localnet = format!("/proc/sys/net/ipv4/conf/{name}/route_localnet");
    switch_on(&route_localnet)?;
    if settings.ip_forward {
        switch_on("/proc/sys/net/ipv4/ip_forward")?;
    }
    Ok(())
}

/// Writes `1` unless it is there: another network namespace's settings may be read-only.
fn switch_on(path: &str) -> Result<(), PrepareError> {
    let write = || -> io::Result<()> {
        if fs::read_to_string(path)?.trim() == "1" { Ok(()) } else { fs::write(path, "1") }
    };
    write().map_err(|source| PrepareError::Setting { path: path.to_owned(), value: "1", source })
}

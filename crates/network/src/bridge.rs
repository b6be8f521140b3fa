//! The bridge driver: containers on a virtual switch behind the host's addresses.
//!
//! ```text
//!   container A        container B              host
//!   ┌──────────┐      ┌──────────┐
//!   │   eth0   │      │   eth0   │     published port ─▶ firewall map ─▶ A or B
//!   └────┬─────┘      └────┬─────┘
//!      veth              veth
//!   ┌────┴────────────────┴─────┐
//!   │      bridge (gateway)     ├───── forward, masquerade ───▶ outside
//!   └───────────────────────────┘
//! ```
//!
//! [`attach`] is the recipe; what is given to whom is in a [`Book`] whose lock is never held
//! over a call to the kernel that can take long. The bridge and the firewall's table are made
//! when the first container comes, and put back when they are missing.

mod addresses;
mod attach;
mod clean_up;
mod device;
mod endpoint;
mod firewall;
mod flows;
mod ports;
mod publish;
mod reservation;
mod rules;
mod setup_lock;
mod subnet;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linux::route::Route;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use self::addresses::Addresses;
use self::device::Device;
use self::firewall::Firewall;
use self::ports::HostPort;
use self::publish::Publisher;
use self::rules::{Rules, Target};
use crate::address::{Cidr, MacAddress};
use crate::attachment::AttachmentRecord;
use crate::errors::{OpenError, PrepareError};
use crate::settings::Settings;
use crate::spares::Spares;

pub(crate) use attach::Spare;
pub use endpoint::new_namespace;

/// A bridge network.
#[derive(Debug)]
pub(crate) struct Bridge {
    id: String,
    name: String,
    bridge: String,
    settings: Settings,
    firewall: Firewall,
    publisher: Publisher,
    spares: Arc<Spares<Spare>>,
    /// The bridge once it is ready. Locked while it is made, so that it is made once.
    device: Mutex<Option<Device>>,
    book: Mutex<Book>,
}

/// What is given to whom.
#[derive(Debug)]
struct Book {
    /// The bridge's own address, and with it the subnet.
    gateway: Cidr,
    addresses: Addresses,
    /// By container id.
    endpoints: BTreeMap<String, AttachmentRecord>,
    /// Containers whose attachment has begun and is not done.
    attaching: BTreeSet<String>,
}

impl Bridge {
    /// Finds the bridge of an earlier daemon, or a free subnet for a new one.
    pub(crate) fn open(id: String, name: &str, settings: Settings) -> Result<Self, OpenError> {
        let bridge = settings.bridge.clone().unwrap_or_else(|| format!("wh-{}", &id[..8]));
        device::check_name(&bridge)?;
        let route = Route::open().map_err(|source| OpenError::Look { source: source.into() })?;
        let gateway = device::find_address(&route, &bridge, &settings)?;
        Ok(Self {
            id,
            name: name.to_owned(),
            bridge,
            firewall: Firewall::new(format!("wharf-{}", settings.instance)),
            publisher: Publisher::new(settings.default_host_ip),
            spares: Arc::default(),
            settings,
            device: Mutex::default(),
            book: Mutex::new(Book {
                gateway,
                addresses: Addresses::new(gateway),
                endpoints: BTreeMap::new(),
                attaching: BTreeSet::new(),
            }),
        })
    }

    pub(crate) fn gateway(&self) -> Cidr {
        self.book().gateway
    }

    pub(crate) fn bridge(&self) -> &str {
        &self.bridge
    }

    /// Every attached container, ordered by its id.
    pub(crate) fn endpoints(&self) -> Vec<AttachmentRecord> {
        self.book().endpoints.values().cloned().collect()
    }

    /// Makes the bridge and the firewall's table, or puts back what somebody removed of them.
    fn prepare(&self) -> Result<Device, PrepareError> {
        let known = *self.device();
        if let Some(device) = known.filter(|device| self.is_there(device)) {
            self.firewall.restore().map_err(firewall_step)?;
            return Ok(device);
        }
        let mut known = self.device();
        // Others may have come first while we waited for the lock.
        if let Some(device) = known.filter(|device| self.is_there(device)) {
            return Ok(device);
        }
        let (gateway, is_free_to_move) = {
            let book = self.book();
            (book.gateway, known.is_none() && book.endpoints.is_empty())
        };
        let made = device::prepare(&self.bridge, &self.settings, gateway, is_free_to_move)?;
        if made.address != gateway {
            let mut book = self.book();
            book.gateway = made.address;
            book.addresses = Addresses::new(made.address);
        }
        self.firewall.install(self.rules(made.address)).map_err(firewall_step)?;
        Ok(*known.insert(made))
    }

    /// Whether nobody removed the bridge.
    fn is_there(&self, device: &Device) -> bool {
        interface_index(&self.bridge) == Some(device.index)
    }

    fn rules(&self, address: Cidr) -> Rules {
        Rules {
            bridge: self.bridge.clone(),
            subnet: address.network(),
            masquerade: self.settings.masquerade,
            inter_container: self.settings.inter_container,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change is one call that leaves the book consistent, whoever panics.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device(&self) -> MutexGuard<'_, Option<Device>> {
        // It is replaced as a whole.
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn targets(record: &AttachmentRecord) -> Vec<(HostPort, Target)> {
    let target = |port| Target { address: record.address, port };
    record.ports.iter().map(|port| (port.into(), target(port.container_port))).collect()
}

fn firewall_step(source: linux::netlink::Error) -> PrepareError {
    PrepareError::Step { step: "write the firewall's table", source: source.into() }
}

/// The hardware address of whoever has this address.
///
/// It is derived, as Docker's was for many years, so that a neighbour which remembers the
/// last owner of an address still finds the next one. `02` marks it as given out locally.
fn mac_of(address: Ipv4Addr) -> MacAddress {
    let [a, b, c, d] = address.octets();
    MacAddress([0x02, 0x42, a, b, c, d])
}

/// The interface's number, without waiting for whoever changes interfaces now.
fn interface_index(name: &str) -> Option<u32> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    netdevice::name_to_index(socket.ok()?, name).ok()
}

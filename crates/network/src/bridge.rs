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
//! [`Bridge::attach`] is the recipe; what it holds is in a [`Book`] whose lock is never held
//! over a call to the kernel that can take long. The bridge and the firewall's table are made
//! when the first container comes, and put back when they are missing.

mod addresses;
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
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linux::route::{Changes, Route};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use self::addresses::Addresses;
use self::device::Device;
use self::endpoint::{INTERFACE, Plan};
use self::firewall::Firewall;
use self::ports::HostPort;
use self::publish::{Owner, Publication, Publisher};
use self::rules::{Rules, Target};
use crate::address::{Cidr, MacAddress};
use crate::attachment::{AttachRequest, Attachment, AttachmentRecord};
use crate::errors::{AdoptError, AttachError, CleanUpError, DetachError, OpenError, PrepareError};
use crate::settings::Settings;
use crate::spares::Spares;

pub use endpoint::new_namespace;

/// How an interface's name on the host begins. Docker's word.
const HOST_INTERFACE_PREFIX: &str = "veth";

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

/// An endpoint that nobody has yet.
#[derive(Debug)]
pub(crate) struct Spare {
    plan: Plan,
    netns: OwnedFd,
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

    /// Connects a container. What fails is undone, and nothing is left.
    pub(crate) fn attach(&self, request: &AttachRequest) -> Result<Attachment, AttachError> {
        self.begin(request)?;
        let _pause = self.spares.pause();
        let result = self.attach_begun(request);
        let mut book = self.book();
        book.attaching.remove(&request.container_id);
        if let Ok(attachment) = &result {
            let record = attachment.record.clone();
            book.endpoints.insert(request.container_id.clone(), record);
        }
        result
    }

    fn begin(&self, request: &AttachRequest) -> Result<(), AttachError> {
        let mut book = self.book();
        let id = &request.container_id;
        if book.endpoints.contains_key(id) || !book.attaching.insert(id.clone()) {
            return Err(AttachError::AlreadyAttached {
                container: request.container_name.clone(),
                network: self.name.clone(),
            });
        }
        Ok(())
    }

    fn attach_begun(&self, request: &AttachRequest) -> Result<Attachment, AttachError> {
        let device = self.ready()?;
        let (plan, spare) = self.plan_or_spare(request, device)?;
        let mut record = self.record(request, &plan);
        let result = self.reserve_ports(&record, request).and_then(|publication| {
            record.ports = publication.ports;
            let netns = self.connect(&plan, &record, spare)?;
            Ok((netns, publication.held))
        });
        match result {
            Ok((netns, held_ports)) => Ok(Attachment { netns, held_ports, record }),
            Err(error) => {
                self.publisher.release(&record.ports);
                self.give_back(&plan);
                Err(error)
            }
        }
    }

    /// What the endpoint is to be, and the endpoint itself if there is one ready.
    fn plan_or_spare(
        &self,
        request: &AttachRequest,
        device: Device,
    ) -> Result<(Plan, Option<OwnedFd>), AttachError> {
        if request.mac.is_none()
            && let Some(Spare { plan, netns }) = self.take_spare(device)
        {
            return Ok((plan, Some(netns)));
        }
        let address = match self.take_address() {
            Some(address) => address,
            // The last ones may be those of spares.
            None => {
                if let Some(spare) = self.spares.take_finished() {
                    self.give_back(&spare.plan);
                }
                self.take_address().ok_or_else(|| AttachError::NoAddress {
                    network: self.name.clone(),
                    id: self.id.clone(),
                })?
            }
        };
        Ok((self.plan(request.mac, address, device), None))
    }

    /// A spare of this bridge that nobody has broken.
    fn take_spare(&self, device: Device) -> Option<Spare> {
        loop {
            let spare = self.spares.take()?;
            if spare.plan.device == device && interface_index(&spare.plan.host_interface).is_some()
            {
                return Some(spare);
            }
            self.give_back(&spare.plan);
        }
    }

    pub(crate) fn spares(&self) -> &Arc<Spares<Spare>> {
        &self.spares
    }

    /// Makes an endpoint for whoever comes next. That is no reason to make the bridge.
    pub(crate) fn make_spare(&self) -> Option<Spare> {
        let device = self.device().filter(|device| self.is_there(device))?;
        let plan = self.plan(None, self.take_address()?, device);
        endpoint::make(&plan)
            .inspect_err(|failure| {
                tracing::debug!(error = %failure.source, "cannot {} of a spare", failure.step);
                self.give_back(&plan);
            })
            .ok()
            .map(|netns| Spare { plan: plan.clone(), netns })
    }

    /// The bridge, made or put back if need be.
    fn ready(&self) -> Result<Device, AttachError> {
        self.prepare().map_err(|source| AttachError::Prepare { network: self.name.clone(), source })
    }

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

    fn take_address(&self) -> Option<Ipv4Addr> {
        self.book().addresses.take_any(|interface| interface_index(interface).is_none())
    }

    fn give_back(&self, plan: &Plan) {
        self.book().addresses.release(plan.address, plan.host_interface.clone());
    }

    fn plan(&self, mac: Option<MacAddress>, address: Ipv4Addr, device: Device) -> Plan {
        Plan {
            device,
            host_interface: format!("{HOST_INTERFACE_PREFIX}{}", &random_hex::<4>()[..7]),
            address,
            mac: mac.unwrap_or_else(|| mac_of(address)),
            mtu: self.settings.mtu,
        }
    }

    fn reserve_ports(
        &self,
        record: &AttachmentRecord,
        request: &AttachRequest,
    ) -> Result<Publication, AttachError> {
        let owner = Owner { name: &record.container_name, address: record.address };
        self.publisher.reserve(owner, &request.ports).map_err(|source| AttachError::Publish {
            container: record.container_name.clone(),
            endpoint: record.endpoint_id.clone(),
            source,
        })
    }

    fn record(&self, request: &AttachRequest, plan: &Plan) -> AttachmentRecord {
        AttachmentRecord {
            container_id: request.container_id.clone(),
            container_name: request.container_name.clone(),
            network_id: self.id.clone(),
            network_name: self.name.clone(),
            endpoint_id: random_hex::<32>(),
            interface: INTERFACE.to_owned(),
            host_interface: plan.host_interface.clone(),
            address: plan.address,
            prefix: plan.device.address.prefix(),
            gateway: plan.device.address.address(),
            mac: plan.mac,
            ports: Vec::new(),
        }
    }

    /// Makes the endpoint unless there is one, and leads the ports to it.
    fn connect(
        &self,
        plan: &Plan,
        record: &AttachmentRecord,
        spare: Option<OwnedFd>,
    ) -> Result<OwnedFd, AttachError> {
        let failed = |step, source| AttachError::Connect {
            step,
            container: record.container_name.clone(),
            source,
        };
        let netns = match spare {
            Some(netns) => netns,
            None => endpoint::make(plan).map_err(|it| failed(it.step, it.source))?,
        };
        // Last, so that nothing but closing the descriptor has to be undone before it.
        self.firewall
            .publish(&targets(record))
            .map_err(|source| failed("publish the ports", source.into()))?;
        flows::lead_to(record);
        Ok(netns)
    }

    /// Takes back what a container has. The link goes with the container's namespace, which
    /// the kernel takes apart in its own time.
    pub(crate) fn detach(&self, container_id: &str) -> Result<(), DetachError> {
        let Some(record) = self.book().endpoints.remove(container_id) else { return Ok(()) };
        let ports: Vec<HostPort> = record.ports.iter().map(HostPort::from).collect();
        let withdrawn = self.firewall.withdraw(&ports);
        flows::lead_away_from(&record);
        // Free only now: another container's port must not be withdrawn.
        self.publisher.release(&record.ports);
        self.book().addresses.release(record.address, record.host_interface);
        withdrawn.map_err(|source| DetachError::Unpublish {
            container: record.container_name,
            source: source.into(),
        })
    }

    pub(crate) fn adopt(&self, record: AttachmentRecord) -> Result<(), AdoptError> {
        let mut book = self.book();
        if book.endpoints.contains_key(&record.container_id) {
            return Ok(());
        }
        if !book.addresses.take(record.address) {
            return Err(AdoptError::AddressTaken {
                address: record.address,
                container: record.container_name,
            });
        }
        self.publisher.adopt(&record.container_name, &record.ports);
        self.firewall.adopt(&targets(&record));
        book.endpoints.insert(record.container_id.clone(), record);
        Ok(())
    }

    /// Removes the links and ports that an earlier daemon left and nobody adopted.
    pub(crate) fn collect(&self) -> Result<(), CleanUpError> {
        self.remove_strangers()?;
        let has_endpoints = !self.book().endpoints.is_empty();
        let has_table = self.firewall.exists().map_err(clean_up("look at the firewall"))?;
        if has_endpoints {
            self.prepare()
                .map_err(|source| CleanUpError::Prepare { network: self.name.clone(), source })?;
        } else if has_table {
            // Nobody is published. The table is written again when somebody is.
            self.firewall.remove().map_err(clean_up("remove the firewall's table"))?;
        }
        Ok(())
    }

    fn remove_strangers(&self) -> Result<(), CleanUpError> {
        let Some(bridge) = interface_index(&self.bridge) else { return Ok(()) };
        let failed = clean_up("remove the links of containers that are gone");
        let route = Route::open().map_err(&failed)?;
        let links = route.links().map_err(&failed)?;
        let known: BTreeSet<_> =
            self.endpoints().into_iter().map(|record| record.host_interface).collect();
        let mut changes = Changes::default();
        for link in links {
            let is_port = link.bridge == Some(bridge) && link.kind == "veth";
            if is_port && !known.contains(&link.name) {
                changes.remove_link(link.index);
            }
        }
        match route.change(&changes) {
            // It went by itself in the meantime, as it should.
            Err(error) if error.errno == Errno::NODEV => Ok(()),
            result => result.map_err(failed),
        }
    }

    /// Removes the bridge and the table. Containers that are still there are cut off.
    pub(crate) fn flush(&self) -> Result<(), CleanUpError> {
        // From here on no spare is made.
        *self.device() = None;
        while let Some(spare) = self.spares.take_finished() {
            self.give_back(&spare.plan);
        }
        let removed = self.firewall.remove().map_err(clean_up("remove the firewall's table"));
        let failed = clean_up("remove the bridge");
        let route = Route::open().map_err(&failed)?;
        if let Some(index) = interface_index(&self.bridge) {
            let mut changes = Changes::default();
            changes.remove_link(index);
            route.change(&changes).map_err(&failed)?;
        }
        removed
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

fn clean_up(step: &'static str) -> impl Fn(linux::netlink::Error) -> CleanUpError {
    move |source| CleanUpError::Step { step, source: source.into() }
}

/// The hardware address of whoever has this address.
///
/// It is derived, as Docker's was for many years, so that a neighbour which remembers the
/// last owner of an address still finds the next one. `02` marks it as given out locally.
fn mac_of(address: Ipv4Addr) -> MacAddress {
    let [a, b, c, d] = address.octets();
    MacAddress([0x02, 0x42, a, b, c, d])
}

fn random_hex<const BYTES: usize>() -> String {
    hex::encode(rand::random::<[u8; BYTES]>())
}

/// The interface's number, without waiting for whoever changes interfaces now.
fn interface_index(name: &str) -> Option<u32> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    netdevice::name_to_index(socket.ok()?, name).ok()
}

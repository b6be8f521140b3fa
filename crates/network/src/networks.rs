//! The handle over everything.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::attachment::{AttachRequest, Attachment, AttachmentRecord};
use crate::bridge::{Bridge, Spare, new_namespace};
use crate::errors::{AdoptError, AttachError, CleanUpError, DetachError, FindError, OpenError};
use crate::info::{EndpointInfo, NetworkInfo};
use crate::settings::Settings;
use crate::spares::{Maker, Spares};

/// The default network's name.
const BRIDGE: &str = "bridge";
/// The host's own network.
const HOST: &str = "host";
/// No network at all.
const NONE: &str = "none";

/// As a bridge's name, it means that there is no default network.
const NO_BRIDGE: &str = "none";

/// The networks of one daemon.
#[derive(Debug)]
pub struct Networks {
    settings: Settings,
    created: SystemTime,
    bridge: Option<Arc<Bridge>>,
    namespaces: Arc<Spares<OwnedFd>>,
    // Started at the first use: a daemon that never has one needs no spares.
    endpoint_maker: OnceLock<Maker<Spare>>,
    namespace_maker: OnceLock<Maker<OwnedFd>>,
}

impl Networks {
    /// Finds what an earlier daemon of this instance left, and decides on the subnet. The
    /// bridge and the firewall's table are made when the first container needs them.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let bridge = match settings.bridge.as_deref() {
            Some(NO_BRIDGE) => None,
            _ => {
                let bridge = Bridge::open(id(&settings, BRIDGE), BRIDGE, settings.clone())?;
                Some(Arc::new(bridge))
            }
        };
        Ok(Self {
            settings,
            created: SystemTime::now(),
            bridge,
            namespaces: Arc::default(),
            endpoint_maker: OnceLock::new(),
            namespace_maker: OnceLock::new(),
        })
    }

    /// Every network: `bridge`, `host`, `none`.
    pub fn list(&self) -> Vec<NetworkInfo> {
        let bridge = self.bridge.as_ref().map(|bridge| self.describe_bridge(bridge));
        bridge
            .into_iter()
            .chain([self.describe(HOST, "host"), self.describe(NONE, "null")])
            .collect()
    }

    /// The network of this name, of this id, or the only one whose id begins so.
    pub fn get(&self, name_or_id: &str) -> Result<NetworkInfo, FindError> {
        let mut networks = self.list();
        let is_exact = |it: &NetworkInfo| it.name == name_or_id || it.id == name_or_id;
        if let Some(index) = networks.iter().position(is_exact) {
            return Ok(networks.swap_remove(index));
        }
        networks.retain(|it| !name_or_id.is_empty() && it.id.starts_with(name_or_id));
        match (networks.pop(), networks.len()) {
            (None, _) => Err(FindError::NotFound(name_or_id.to_owned())),
            (Some(network), 0) => Ok(network),
            (Some(_), others) => {
                Err(FindError::Ambiguous { name: name_or_id.to_owned(), matches: others + 1 })
            }
        }
    }

    /// The address under which containers reach the host: `host-gateway` in `--add-host`.
    pub fn host_gateway(&self) -> Option<Ipv4Addr> {
        self.bridge.as_ref().map(|bridge| bridge.gateway().address())
    }

    /// A network namespace with nothing but `lo`, which is up: the network `none`. Nothing
    /// holds it but the descriptor.
    pub fn new_namespace(&self) -> io::Result<OwnedFd> {
        let _pause = self.namespaces.pause();
        let namespace = self.namespaces.take().map_or_else(new_namespace, Ok)?;
        self.keep_namespaces();
        Ok(namespace)
    }

    /// Connects a container: a namespace, a link, an address, ports. On an error, nothing of
    /// it is left.
    pub fn attach(&self, request: &AttachRequest) -> Result<Attachment, AttachError> {
        let network = self
            .get(&request.network)
            .map_err(|_| AttachError::NotFound(request.network.clone()))?;
        match &self.bridge {
            Some(bridge) if network.name == BRIDGE => {
                let attachment = bridge.attach(request)?;
                self.keep_endpoints(bridge);
                Ok(attachment)
            }
            _ => Err(AttachError::NoEndpoints(network.name)),
        }
    }

    /// Takes back what a container has. Repeating it changes nothing.
    ///
    /// The sockets that hold its ports must be closed before, or else the next container to
    /// want them may find them in use.
    pub fn detach(&self, container_id: &str) -> Result<(), DetachError> {
        self.bridge.as_ref().map_or(Ok(()), |bridge| bridge.detach(container_id))
    }

    /// Notes a container's new name, for messages and descriptions.
    pub fn rename(&self, container_id: &str, name: &str) {
        if let Some(bridge) = &self.bridge {
            bridge.rename(container_id, name);
        }
    }

    /// Takes note of what a running container has from an earlier daemon.
    pub fn adopt(&self, record: AttachmentRecord) -> Result<(), AdoptError> {
        match &self.bridge {
            Some(bridge) if record.network_name == BRIDGE => bridge.adopt(record),
            _ => Err(AdoptError::NotFound(record.network_name)),
        }
    }

    /// Removes what an earlier daemon left and nobody adopted, and sees to it that what was
    /// adopted works. Call it after the last [`adopt`](Self::adopt) and before the first
    /// [`attach`](Self::attach).
    pub fn collect(&self) -> Result<(), CleanUpError> {
        self.bridge.as_ref().map_or(Ok(()), |bridge| bridge.collect())
    }

    /// Removes everything of this instance from the host. What is attached is cut off.
    pub fn flush(&self) -> Result<(), CleanUpError> {
        self.bridge.as_ref().map_or(Ok(()), |bridge| bridge.flush())
    }

    fn keep_endpoints(&self, bridge: &Arc<Bridge>) {
        if self.settings.spares > 0 {
            self.endpoint_maker.get_or_init(|| {
                let spares = Arc::clone(bridge.spares());
                let bridge = Arc::clone(bridge);
                Maker::start(spares, self.settings.spares, move || bridge.make_spare())
            });
        }
    }

    fn keep_namespaces(&self) {
        if self.settings.spares > 0 {
            self.namespace_maker.get_or_init(|| {
                let make = || {
                    new_namespace()
                        .inspect_err(|error| tracing::debug!(%error, "no spare namespace"))
                        .ok()
                };
                Maker::start(Arc::clone(&self.namespaces), self.settings.spares, make)
            });
        }
    }

    fn describe(&self, name: &str, driver: &str) -> NetworkInfo {
        NetworkInfo {
            id: id(&self.settings, name),
            name: name.to_owned(),
            driver: driver.to_owned(),
            scope: "local".to_owned(),
            created: self.created,
            subnet: None,
            gateway: None,
            options: BTreeMap::new(),
            endpoints: Vec::new(),
        }
    }

    fn describe_bridge(&self, bridge: &Bridge) -> NetworkInfo {
        let gateway = bridge.gateway();
        NetworkInfo {
            subnet: Some(gateway.network()),
            gateway: Some(gateway.address()),
            options: self.bridge_options(bridge),
            endpoints: bridge.endpoints().iter().map(EndpointInfo::from).collect(),
            ..self.describe(BRIDGE, "bridge")
        }
    }

    /// The names are those under which users give the options to `network create`.
    fn bridge_options(&self, bridge: &Bridge) -> BTreeMap<String, String> {
        let Settings { inter_container, masquerade, default_host_ip, mtu, .. } = &self.settings;
        [
            ("com.docker.network.bridge.default_bridge", "true".to_owned()),
            ("com.docker.network.bridge.enable_icc", inter_container.to_string()),
            ("com.docker.network.bridge.enable_ip_masquerade", masquerade.to_string()),
            ("com.docker.network.bridge.host_binding_ipv4", default_host_ip.to_string()),
            ("com.docker.network.bridge.name", bridge.bridge().to_owned()),
            ("com.docker.network.driver.mtu", mtu.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// The same for every daemon of an instance, and different for any other.
fn id(settings: &Settings, name: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(settings.instance.as_bytes());
    digest.update([0]);
    digest.update(name.as_bytes());
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests;

//! The handle over everything.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use errors::{Explain, Kind};

use crate::address::Cidr;
use crate::attachment::{AttachRequest, Attachment, AttachmentRecord};
use crate::info::NetworkInfo;
use crate::settings::Settings;

/// The networks of one daemon.
#[derive(Debug)]
pub struct Networks {
    settings: Settings,
}

/// Why the networks cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot look at the host's interfaces and routes")]
    Look { source: io::Error },
    // Docker's words.
    #[error(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )]
    NoFreePool,
}

/// No such network.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("network {0} not found")]
    NotFound(String),
    #[error("network {0} is ambiguous")]
    Ambiguous(String),
}

/// Why a port could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("Bind for {ip}:{port} failed: port is already allocated")]
    Taken { ip: IpAddr, port: u16, holder: String },
}

/// Why a container could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("network {0} not found")]
    NotFound(String),
    #[error("no available IPv4 addresses on this network's address pools: {network}")]
    NoAddress { network: String },
    #[error("driver failed programming external connectivity on endpoint {container} ({endpoint})")]
    Publish { container: String, endpoint: String, source: PublishError },
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
}

/// Why something of a container is still connected.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
}

/// Why a record does not fit what is there.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("network {0} not found")]
    NotFound(String),
    #[error("address {address} of container {container} is held by container {holder}")]
    AddressTaken { address: Ipv4Addr, container: String, holder: String },
}

/// Why something that nobody owns is still there.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
}

/// Why something of ours is still on the host.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
}

macro_rules! explain {
    ($($error:ty),*) => {$(
        impl Explain for $error {
            fn kind(&self) -> Kind {
                Kind::Internal
            }
        }
    )*};
}
explain!(
    OpenError,
    FindError,
    PublishError,
    AttachError,
    DetachError,
    AdoptError,
    CollectError,
    FlushError
);

impl Networks {
    /// Finds what an earlier daemon of this instance left, and decides on the subnet. The
    /// bridge and the firewall table are made when the first container needs them.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        Ok(Self { settings })
    }

    /// Every network: `bridge`, `host`, `none`.
    pub fn list(&self) -> Vec<NetworkInfo> {
        todo!()
    }

    /// The network of this name, this id, or the only one whose id begins so.
    pub fn get(&self, _name_or_id: &str) -> Result<NetworkInfo, FindError> {
        todo!()
    }

    /// The default network's gateway: what `host-gateway` means in `--add-host`.
    pub fn host_gateway(&self) -> Ipv4Addr {
        todo!()
    }

    /// Connects a container: a namespace, a link, an address, ports.
    pub fn attach(&self, _request: &AttachRequest) -> Result<Attachment, AttachError> {
        todo!()
    }

    /// Gives back what a container held. Repeating it changes nothing.
    pub fn detach(&self, _container_id: &str) -> Result<(), DetachError> {
        todo!()
    }

    /// Takes note of what a container holds that outlived an earlier daemon.
    pub fn adopt(&self, _record: AttachmentRecord) -> Result<(), AdoptError> {
        todo!()
    }

    /// Removes what an earlier daemon left and nobody adopted. Call it after the last
    /// [`adopt`](Self::adopt) and before the first [`attach`](Self::attach).
    pub fn collect(&self) -> Result<(), CollectError> {
        todo!()
    }

    /// Removes everything of this instance from the host.
    pub fn flush(&self) -> Result<(), FlushError> {
        let _ = (&self.settings, None::<Cidr>);
        todo!()
    }
}

/// A fresh network namespace with nothing but `lo`, which is up.
pub fn new_namespace() -> io::Result<OwnedFd> {
    todo!()
}

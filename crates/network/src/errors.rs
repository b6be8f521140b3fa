//! What can go wrong, in words that help.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ::errors::{Explain, Kind};

use crate::attachment::Protocol;

/// Why the networks cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot look at the host's interfaces and routes")]
    Look { source: io::Error },
    // Docker's words.
    #[error(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to \
         assign to the network"
    )]
    NoFreePool,
    #[error("invalid name `{0}` for a bridge: an interface's name has 1 to 15 characters")]
    BridgeName(String),
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        match self {
            Self::Look { .. } => Kind::Internal,
            Self::NoFreePool => Kind::Unavailable,
            Self::BridgeName(_) => Kind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFreePool => Some(
                "the host has routes to all of them; choose another subnet with `--bip` or \
                 `default-address-pools`"
                    .to_owned(),
            ),
            Self::Look { .. } | Self::BridgeName(_) => None,
        }
    }
}

/// No such network.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("network {0} not found")]
    NotFound(String),
    // Docker's words.
    #[error("network {name} is ambiguous ({matches} matches found on ID prefix)")]
    Ambiguous { name: String, matches: usize },
}

impl Explain for FindError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::Ambiguous { .. } => Kind::Invalid,
        }
    }
}

/// Why a port could not be published. Docker's words, as scripts match on them.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The address is the holder's, which may be every address where one was asked for.
    #[error("Bind for {ip}:{port} failed: port is already allocated")]
    Taken { ip: IpAddr, port: u16, holder: String },
    #[error("all ports are allocated")]
    AllTaken,
    #[error(
        "failed to bind host port for {ip}:{port}:{address}:{container_port}/{protocol}: {}",
        reason(*errno)
    )]
    Bind {
        ip: IpAddr,
        port: u16,
        /// The container's end.
        address: Ipv4Addr,
        container_port: u16,
        protocol: Protocol,
        errno: rustix::io::Errno,
    },
    #[error("cannot publish a port on {0}: this network has no IPv6")]
    NoIpv6(IpAddr),
}

/// What the C library says, as Go words it: without a capital and without a number.
fn reason(errno: rustix::io::Errno) -> String {
    let text = io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(characters)
        .collect()
}

impl Explain for PublishError {
    fn kind(&self) -> Kind {
        match self {
            Self::Taken { .. } | Self::AllTaken | Self::Bind { .. } => Kind::Conflict,
            Self::NoIpv6(_) => Kind::NotImplemented,
        }
    }

    fn hint(&self) -> Option<String> {
        use rustix::io::Errno;
        match self {
            Self::Taken { port, holder, .. } => Some(format!(
                "container `{holder}` publishes {port}; stop it or publish another port"
            )),
            Self::AllTaken => Some("publish a larger range, or let the engine choose".to_owned()),
            Self::Bind { port, protocol, errno: Errno::ADDRINUSE, .. } => {
                let option = if *protocol == Protocol::Udp { "-lunp" } else { "-ltnp" };
                Some(format!("`ss {option} 'sport = :{port}'` shows which process holds it"))
            }
            Self::Bind { ip, errno: Errno::ADDRNOTAVAIL, .. } => {
                Some(format!("{ip} is not an address of this host; `ip address` lists them"))
            }
            Self::Bind { .. } => None,
            Self::NoIpv6(_) => Some("publish on an IPv4 address".to_owned()),
        }
    }
}

/// Why a container could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("network {0} not found")]
    NotFound(String),
    #[error("network {0} has no endpoints: containers use it without being attached")]
    NoEndpoints(String),
    #[error("container {container} is already attached to network {network}")]
    AlreadyAttached { container: String, network: String },
    // Docker's words.
    #[error("no available IPv4 addresses on this network's address pools: {network} ({id})")]
    NoAddress { network: String, id: String },
    // Docker's words.
    #[error("driver failed programming external connectivity on endpoint {container} ({endpoint})")]
    Publish { container: String, endpoint: String, source: PublishError },
    #[error("cannot prepare network {network}")]
    Prepare { network: String, source: PrepareError },
    #[error("cannot {step} of container {container}")]
    Connect { step: &'static str, container: String, source: io::Error },
}

impl Explain for AttachError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::NoEndpoints(_) => Kind::Invalid,
            Self::AlreadyAttached { .. } => Kind::Conflict,
            Self::NoAddress { .. } => Kind::Unavailable,
            Self::Publish { source, .. } => source.kind(),
            Self::Prepare { source, .. } => source.kind(),
            Self::Connect { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Publish { source, .. } => source.hint(),
            Self::Prepare { source, .. } => source.hint(),
            Self::NoAddress { .. } => {
                Some("remove containers, or give the network a larger subnet".to_owned())
            }
            _ => None,
        }
    }
}

/// Why a network is not ready for containers.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
    #[error("cannot set `{path}` to {value}")]
    Setting { path: String, value: &'static str, source: io::Error },
    #[error("interface {0} exists and is not a bridge")]
    NotABridge(String),
    #[error(transparent)]
    Subnet(OpenError),
}

impl Explain for PrepareError {
    fn kind(&self) -> Kind {
        match self {
            Self::Step { .. } | Self::Setting { .. } => Kind::Internal,
            Self::NotABridge(_) => Kind::Conflict,
            Self::Subnet(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotABridge(_) => Some("name another one with `--bridge`".to_owned()),
            Self::Subnet(error) => error.hint(),
            Self::Step { .. } | Self::Setting { .. } => None,
        }
    }
}

/// Why something of a container is still connected.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    #[error("cannot withdraw the published ports of container {container}")]
    Unpublish { container: String, source: io::Error },
}

impl Explain for DetachError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

/// Why a record does not fit what is there.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("network {0} not found")]
    NotFound(String),
    #[error("address {address} of container {container} is held by another one")]
    AddressTaken { address: Ipv4Addr, container: String },
}

impl Explain for AdoptError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::AddressTaken { .. } => Kind::Conflict,
        }
    }
}

/// Why something that nobody owns, or everybody's, is still on the host.
#[derive(Debug, thiserror::Error)]
pub enum CleanUpError {
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
    #[error("cannot prepare network {network}")]
    Prepare { network: String, source: PrepareError },
}

impl Explain for CleanUpError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    #[test]
    fn a_reason_is_worded_as_go_does() {
        assert_eq!(super::reason(Errno::ADDRINUSE), "address already in use");
        assert_eq!(super::reason(Errno::ADDRNOTAVAIL), "cannot assign requested address");
    }
}

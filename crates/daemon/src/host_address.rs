//! Where to listen: `unix:///run/wharf/wharf.sock`, `tcp://127.0.0.1:2375`, `fd://`.

use std::path::PathBuf;
use std::str::FromStr;

/// The port of an address without one: Docker's.
const DEFAULT_PORT: u16 = 2375;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostAddress {
    Unix(PathBuf),
    /// Host and port, not yet looked up.
    Tcp(String),
    /// Sockets that systemd opened: all, or the one of this number or name.
    Inherited(Option<String>),
}

/// An address that cannot be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostAddressError {
    #[error("invalid bind address ({text}): unix://PATH, tcp://ADDRESS:PORT and fd:// are known")]
    Unknown { text: String },
    #[error("invalid bind address ({text}): the path is empty or not absolute")]
    Path { text: String },
    #[error("invalid bind address ({text}): should not contain a path element")]
    TcpPath { text: String },
}

impl FromStr for HostAddress {
    type Err = HostAddressError;

    fn from_str(text: &str) -> Result<Self, HostAddressError> {
        let text = text.trim();
        let owned = || text.to_owned();
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return match path.is_absolute() {
                true => Ok(Self::Unix(path)),
                false => Err(HostAddressError::Path { text: owned() }),
            };
        }
        if let Some(name) = text.strip_prefix("fd://") {
            return Ok(Self::Inherited(match name {
                "" | "*" => None,
                name => Some(name.to_owned()),
            }));
        }
        // An address alone is TCP's, as in Docker.
        let address = match text.split_once("://") {
            Some(("tcp", address)) => address,
            Some(_) => return Err(HostAddressError::Unknown { text: owned() }),
            None => text,
        };
        if address.trim_end_matches('/').contains('/') {
            return Err(HostAddressError::TcpPath { text: owned() });
        }
        Ok(Self::Tcp(with_port(address.trim_end_matches('/'))))
    }
}

fn with_port(address: &str) -> String {
    let (host, port) = match address.rsplit_once(':') {
        // In an IPv6 address in brackets the last colon may be its own.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (address, ""),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    match port {
        "" => format!("{host}:{DEFAULT_PORT}"),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        let parse = |text: &str| text.parse::<HostAddress>();
        assert_eq!(parse("unix:///run/a.sock"), Ok(HostAddress::Unix("/run/a.sock".into())));
        assert_eq!(parse("tcp://"), Ok(HostAddress::Tcp("127.0.0.1:2375".into())));
        assert_eq!(parse("tcp://0.0.0.0:80"), Ok(HostAddress::Tcp("0.0.0.0:80".into())));
        assert_eq!(parse("[::1]"), Ok(HostAddress::Tcp("[::1]:2375".into())));
        assert_eq!(parse("fd://"), Ok(HostAddress::Inherited(None)));
        assert!(parse("foo://x").is_err());
        assert!(parse("unix://relative").is_err());
        assert!(parse("tcp://a:1/b").is_err());
    }
}

//! Where an engine listens, as `-H` and `DOCKER_HOST` name it.

use std::fmt;
use std::path::PathBuf;

/// The port of an engine that listens without encryption.
const PORT_DEFAULT: &str = "2375";
/// Where an engine listens if only `unix://` is said.
const SOCKET_DEFAULT: &str = "/var/run/docker.sock";

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// A name or address with a port, and what comes before each path.
    Tcp {
        authority: String,
        base: String,
    },
}

/// An address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointError {
    Malformed(String),
    WrongProtocol {
        expected: &'static str,
        given: String,
    },
    /// A way to connect that this client does not have.
    Unsupported(&'static str),
}

impl Endpoint {
    /// Reads an address by the rules of Docker's client.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        let (protocol, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match protocol {
            "unix" if rest.contains("://") => {
                Err(EndpointError::WrongProtocol { expected: "unix", given: rest.to_owned() })
            }
            "unix" if rest.is_empty() => Ok(Self::Unix(SOCKET_DEFAULT.into())),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" | "http" => Self::parse_tcp(rest, text),
            "ssh" => Err(EndpointError::Unsupported("ssh://")),
            "fd" => Err(EndpointError::Unsupported("fd://")),
            "npipe" => Err(EndpointError::Unsupported("npipe://")),
            "https" => Err(EndpointError::Unsupported("https://")),
            _ => Err(EndpointError::Malformed(text.to_owned())),
        }
    }

    fn parse_tcp(rest: &str, text: &str) -> Result<Self, EndpointError> {
        if rest.contains("://") {
            return Err(EndpointError::WrongProtocol { expected: "tcp", given: text.to_owned() });
        }
        let (authority, base) = match rest.find('/') {
            Some(slash) => (&rest[..slash], rest[slash..].trim_end_matches('/')),
            None => (rest, ""),
        };
        // The colons of a bracketed address are not the port's.
        let after_brackets = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match authority[after_brackets..].split_once(':') {
            Some((host, port)) => (&authority[..after_brackets + host.len()], port),
            None => (authority, ""),
        };
        let host = if host.is_empty() { "localhost" } else { host };
        let port = if port.is_empty() { PORT_DEFAULT } else { port };
        if port.parse::<u16>().is_err() {
            return Err(EndpointError::Malformed(text.to_owned()));
        }
        Ok(Self::Tcp { authority: format!("{host}:{port}"), base: base.to_owned() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { authority, base } => write!(f, "tcp://{authority}{base}"),
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(f, "invalid bind address format: {text}"),
            Self::WrongProtocol { expected, given } => {
                write!(f, "invalid proto, expected {expected}: {given}")
            }
            Self::Unsupported(protocol) => write!(f, "{protocol} is not supported by wharf yet"),
        }
    }
}

impl std::error::Error for EndpointError {}

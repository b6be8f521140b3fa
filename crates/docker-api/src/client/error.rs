//! What can go wrong between a client and an engine, in the words of Docker's client.

use std::{fmt, io};

use super::endpoint::Endpoint;
use super::head::Head;
use crate::ErrorBody;

/// A request that did not succeed.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answered.
    Connect {
        endpoint: Endpoint,
        source: io::Error,
    },
    Send(io::Error),
    Receive(io::Error),
    /// An answer that is not the JSON it should be.
    Json(serde_json::Error),
    /// The engine refused.
    Refused {
        status: u16,
        body: ErrorBody,
    },
    /// The engine does not know the path.
    NoRoute {
        status: u16,
        reason: String,
        path: String,
    },
}

impl ClientError {
    pub(super) fn from_answer(head: &Head, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim();
        let is_json =
            head.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        let body = match serde_json::from_slice::<ErrorBody>(bytes) {
            Ok(body) if is_json && !body.message.is_empty() => body,
            _ => ErrorBody { message: text.to_owned(), hint: None },
        };
        if body.message.is_empty() {
            return Self::NoRoute {
                status: head.status,
                reason: head.reason.clone(),
                path: head.path.clone(),
            };
        }
        Self::Refused { status: head.status, body }
    }

    /// The status of an answer that refuses.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::NoRoute { status, .. } => Some(*status),
            Self::Connect { .. } | Self::Send(_) | Self::Receive(_) | Self::Json(_) => None,
        }
    }

    /// What the engine advises.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => body.hint.as_deref(),
            _ => None,
        }
    }

    /// Whether nobody answered at all.
    pub const fn is_connection_failure(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { endpoint, source } => connect_message(f, endpoint, source),
            Self::Send(source) => write!(f, "cannot send a request to the daemon: {source}"),
            Self::Receive(source) => write!(f, "cannot read the daemon's answer: {source}"),
            Self::Json(source) => write!(f, "cannot understand the daemon's answer: {source}"),
            Self::Refused { body, .. } => {
                write!(f, "Error response from daemon: {}", body.message.trim())
            }
            Self::NoRoute { reason, path, .. } => write!(
                f,
                "request returned {reason} for API route and version {path}, \
                 check if the server supports the requested API version"
            ),
        }
    }
}

fn connect_message(
    f: &mut fmt::Formatter<'_>,
    endpoint: &Endpoint,
    source: &io::Error,
) -> fmt::Result {
    match (source.kind(), endpoint) {
        (io::ErrorKind::PermissionDenied, Endpoint::Unix(path)) => write!(
            f,
            "permission denied while trying to connect to the Docker daemon socket at \
             {endpoint}: dial unix {}: connect: permission denied",
            path.display()
        ),
        (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, _) => write!(
            f,
            "Cannot connect to the Docker daemon at {endpoint}. Is the docker daemon running?"
        ),
        _ => write!(f, "error during connect: dial {endpoint}: {source}"),
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } | Self::Send(source) | Self::Receive(source) => {
                Some(source)
            }
            Self::Json(source) => Some(source),
            Self::Refused { .. } | Self::NoRoute { .. } => None,
        }
    }
}

//! What the shim is told at its start.
//!
//! The first message of the launcher is [`Request::Start`]; `config.json` and `shim.json` are in the working folder by then. Should
//! the launcher die before it said so, there is nothing to do.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use oci::runtime::Spec;
use serde::de::DeserializeOwned;
use shim::protocol::{AttachOptions, Failure, FailureKind, Launch, Request, files};
use shim::wire::{self, FrameDecoder, FrameError};

/// Whoever launched us, and what came with its message.
#[derive(Debug)]
pub(crate) struct Start {
    pub launcher: OwnedFd,
    pub network_namespace: Option<OwnedFd>,
    pub attach: Vec<(AttachOptions, OwnedFd)>,
    /// Kept open, and nothing else: sockets that reserve host ports.
    pub held: Vec<OwnedFd>,
}

/// Why there is nothing to start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot hear from the launcher")]
    Socket { source: io::Error },
    #[error("the launcher went away before it said what to start")]
    LauncherGone,
    #[error("the launcher's first message makes no sense")]
    Frame(#[from] FrameError),
    #[error("the launcher's first message is not `start`, or lacks descriptors")]
    Unexpected,
}

/// Waits for the launcher's word.
pub(crate) fn receive(launcher: OwnedFd) -> Result<Start, StartError> {
    let mut decoder = FrameDecoder::new();
    let mut descriptors = Vec::new();
    let mut buffer = [0; 4096];
    let request = loop {
        if let Some(request) = decoder.next_message()? {
            break request;
        }
        match wire::receive(launcher.as_fd(), &mut buffer, &mut descriptors) {
            Ok(0) => return Err(StartError::LauncherGone),
            Ok(count) => decoder.feed(&buffer[..count]),
            Err(source) => return Err(StartError::Socket { source }),
        }
    };
    let Request::Start { has_network_namespace, attach, held_descriptors } = request else {
        return Err(StartError::Unexpected);
    };
    sort(launcher, descriptors, has_network_namespace, attach, held_descriptors as usize)
        .ok_or(StartError::Unexpected)
}

/// Puts each descriptor in its place.
fn sort(
    launcher: OwnedFd,
    descriptors: Vec<OwnedFd>,
    has_network_namespace: bool,
    attach: Vec<AttachOptions>,
    held: usize,
) -> Option<Start> {
    if descriptors.len() != usize::from(has_network_namespace) + attach.len() + held {
        return None;
    }
    let mut descriptors = descriptors.into_iter();
    let network_namespace = if has_network_namespace { Some(descriptors.next()?) } else { None };
    let attach = attach.into_iter().zip(descriptors.by_ref()).collect();
    Some(Start { launcher, network_namespace, attach, held: descriptors.collect() })
}

/// Reads `shim.json`.
pub(crate) fn read_launch() -> Result<Launch, Failure> {
    read_file(files::LAUNCH)
}

/// Reads `config.json`. Done for each run, and forgotten in between: it takes more memory than
/// all the rest of a shim.
pub(crate) fn read_configuration() -> Result<Spec, Failure> {
    read_file(files::CONFIG)
}

fn read_file<T: DeserializeOwned>(name: &str) -> Result<T, Failure> {
    let text = std::fs::read(name).map_err(|error| Failure {
        kind: FailureKind::Internal,
        message: format!("cannot read {name}: {error}"),
    })?;
    serde_json::from_slice(&text).map_err(|error| Failure {
        kind: FailureKind::InvalidConfiguration,
        message: format!("cannot understand {name}: {error}"),
    })
}

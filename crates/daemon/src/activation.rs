//! systemd: sockets that it opened, and telling it that we are ready.
//!
//! See `sd_listen_fds(3)` and `sd_notify(3)`.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A socket that was opened for us.
#[derive(Debug)]
pub(crate) struct InheritedSocket {
    /// As the socket's unit calls it, or its number.
    pub(crate) names: [String; 2],
    pub(crate) descriptor: OwnedFd,
}

/// Takes the sockets that were opened for us. Must come before anything else is opened.
pub(crate) fn inherited_sockets() -> io::Result<Vec<InheritedSocket>> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    // Meant for somebody else: we only got the environment.
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let descriptors = linux::inherited::take_descriptors(number("LISTEN_FDS").unwrap_or(0))?;
    let sockets = descriptors.into_iter().enumerate().map(|(index, descriptor)| InheritedSocket {
        names: [names.next().unwrap_or_default(), (index + 3).to_string()],
        descriptor,
    });
    Ok(sockets.collect())
}

/// Tells systemd, if it asked to be told.
pub(crate) fn notify(state: &str) {
    let Ok(path) = env::var("NOTIFY_SOCKET") else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, path, "cannot notify systemd");
    }
}

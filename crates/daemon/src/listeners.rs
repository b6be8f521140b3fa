//! Opening the sockets.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use docker_server::Listener;
use rustix::net::AddressFamily;

use crate::activation::InheritedSocket;
use crate::host_address::HostAddress;

/// Owner and group may use a unix socket: whoever may is root on this host.
const SOCKET_MODE: u32 = 0o660;

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("cannot listen on unix://{path}: a daemon is listening there already")]
    Taken { path: PathBuf },
    #[error("cannot listen on unix://{path}: there is something that is no socket")]
    NotASocket { path: PathBuf },
    #[error("cannot listen on {address}")]
    Bind { address: String, source: io::Error },
    #[error("no sockets found via socket activation: make sure the service was started by systemd")]
    NoneInherited,
    #[error("no socket named {name} was handed over by systemd")]
    NotInherited { name: String },
    #[error("group {name} not found")]
    NoSuchGroup { name: String },
}

/// Sockets that listen, and the files to remove at the end.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) listeners: Vec<Listener>,
    files: Vec<PathBuf>,
}

impl Sockets {
    /// Opens every address. Must be called on a tokio runtime.
    pub(crate) fn open(
        hosts: &[HostAddress],
        group: Option<&str>,
        inherited: Vec<InheritedSocket>,
    ) -> Result<Self, ListenError> {
        let mut sockets = Self::default();
        let mut inherited = inherited;
        for host in hosts {
            match host {
                HostAddress::Unix(path) => sockets.open_unix(path, group)?,
                HostAddress::Tcp(address) => sockets.open_tcp(address)?,
                HostAddress::Inherited(name) => {
                    sockets.take_inherited(name.as_deref(), &mut inherited)?;
                }
            }
        }
        Ok(sockets)
    }

    fn open_unix(&mut self, path: &Path, group: Option<&str>) -> Result<(), ListenError> {
        remove_stale(path)?;
        let failed =
            |source| ListenError::Bind { address: format!("unix://{}", path.display()), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let listener = bind_closed(path).map_err(failed)?;
        self.files.push(path.to_owned());
        if let Some(group) = group {
            give_to_group(path, group)
                .map_err(failed)?
                .ok_or_else(|| ListenError::NoSuchGroup { name: group.to_owned() })?;
        }
        let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
        std::fs::set_permissions(path, mode).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
        self.listeners.push(Listener::Unix(listener));
        Ok(())
    }

    fn open_tcp(&mut self, address: &str) -> Result<(), ListenError> {
        let failed = |source| ListenError::Bind { address: format!("tcp://{address}"), source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if !bound.ip().is_loopback() {
            tracing::warn!(
                "[DEPRECATION NOTICE]: API is accessible on http://{bound} without encryption. \
                 Access to the remote API is equivalent to root access on the host."
            );
        }
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        self.listeners.push(Listener::Tcp(listener));
        Ok(())
    }

    fn take_inherited(
        &mut self,
        name: Option<&str>,
        inherited: &mut Vec<InheritedSocket>,
    ) -> Result<(), ListenError> {
        let fits = |socket: &InheritedSocket| {
            name.is_none_or(|name| socket.names.iter().any(|own| own == name))
        };
        let taken: Vec<_> = inherited.extract_if(.., |socket| fits(socket)).collect();
        if taken.is_empty() {
            return Err(match name {
                None => ListenError::NoneInherited,
                Some(name) => ListenError::NotInherited { name: name.to_owned() },
            });
        }
        for socket in taken {
            let address = format!("fd://{}", socket.names[1]);
            let listener = from_descriptor(socket.descriptor)
                .map_err(|source| ListenError::Bind { address, source })?;
            self.listeners.push(listener);
        }
        Ok(())
    }

    /// Removes the files of the sockets that were opened here.
    pub(crate) fn remove_files(files: &[PathBuf]) {
        for path in files {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!(%error, path = %path.display(), "the socket's file is gone");
            }
        }
    }

    /// Splits it into what listens and what to remove.
    pub(crate) fn into_parts(self) -> (Vec<Listener>, Vec<PathBuf>) {
        (self.listeners, self.files)
    }
}

/// Removes the socket that a dead daemon left, and refuses if it is alive.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    use std::os::unix::fs::FileTypeExt as _;
    let failed =
        |source| ListenError::Bind { address: format!("unix://{}", path.display()), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ListenError::Taken { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Binds a socket that nobody but its owner may use until its group and mode are set.
fn bind_closed(path: &Path) -> io::Result<UnixListener> {
    let previous = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(previous);
    listener
}

/// Gives a socket to a group, by name or number; `None` if there is no such group.
fn give_to_group(path: &Path, group: &str) -> io::Result<Option<()>> {
    let Some(number) = group_number(group)? else { return Ok(None) };
    std::os::unix::fs::chown(path, None, Some(number))?;
    Ok(Some(()))
}

fn group_number(group: &str) -> io::Result<Option<u32>> {
    if let Ok(number) = group.parse() {
        return Ok(Some(number));
    }
    let groups = std::fs::read_to_string("/etc/group")?;
    Ok(groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == group).then(|| fields.nth(1)?.parse().ok())?
    }))
}

fn from_descriptor(descriptor: OwnedFd) -> io::Result<Listener> {
    let family = rustix::net::getsockname(descriptor.as_fd())?.address_family();
    if family == AddressFamily::UNIX {
        let listener = UnixListener::from(descriptor);
        listener.set_nonblocking(true)?;
        Ok(Listener::Unix(tokio::net::UnixListener::from_std(listener)?))
    } else {
        let listener = std::net::TcpListener::from(descriptor);
        listener.set_nonblocking(true)?;
        Ok(Listener::Tcp(tokio::net::TcpListener::from_std(listener)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/wharf.sock");
        let hosts = [HostAddress::Unix(path.clone())];
        let open = || Sockets::open(&hosts, None, Vec::new());

        let first = open().unwrap();
        assert!(matches!(open(), Err(ListenError::Taken { .. })));
        drop(first);
        open().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
    }

    #[tokio::test]
    async fn a_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        let opened = Sockets::open(&[HostAddress::Unix(path)], None, Vec::new());
        assert!(matches!(opened, Err(ListenError::NotASocket { .. })));
    }

    #[tokio::test]
    async fn what_systemd_did_not_hand_over_is_missed() {
        let opened = Sockets::open(&[HostAddress::Inherited(None)], None, Vec::new());
        assert!(matches!(opened, Err(ListenError::NoneInherited)));
    }
}

//! One daemon at a time sets a bridge up on a host.
//!
//! The lock is a listening socket with an abstract name. Such names belong to a network
//! namespace, which is exactly what the lock must cover, and the kernel releases it with its
//! holder. Whoever waits connects and is hung up on when the holder is done.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recv,
    socket_with,
};

const NAME: &[u8] = b"wharf-network-setup";

/// Setting up takes milliseconds. A holder that needs longer is stuck.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Daemons that can wait at once. More would be told to come back by the kernel.
const WAITING_MAX: i32 = 64;

#[derive(Debug)]
pub(super) struct SetupLock {
    _socket: OwnedFd,
}

impl SetupLock {
    pub(super) fn acquire() -> io::Result<Self> {
        let address = SocketAddrUnix::new_abstract_name(NAME)?;
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let socket = new_socket()?;
            match bind(&socket, &address) {
                Ok(()) => {
                    listen(&socket, WAITING_MAX)?;
                    return Ok(Self { _socket: socket });
                }
                Err(Errno::ADDRINUSE) => wait(&address, deadline)?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Returns when the holder may be gone.
fn wait(address: &SocketAddrUnix, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let socket = new_socket()?;
    set_socket_timeout(&socket, Timeout::Recv, Some(left))?;
    set_socket_timeout(&socket, Timeout::Send, Some(left))?;
    // Refused: it is gone already, or has the name and doesn't listen yet.
    if connect(&socket, address).is_ok() {
        let mut nothing = [0; 1];
        // Nobody ever sends anything: this ends with the holder, or with the time.
        let _ = recv(&socket, &mut nothing, RecvFlags::empty());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use linux::network_namespace;

    use super::SetupLock;

    #[test]
    fn one_holds_it_at_a_time() {
        let host = network_namespace::in_new(|| network_namespace::current().unwrap()).unwrap();
        let holders = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    network_namespace::inside(std::os::fd::AsFd::as_fd(&host), || {
                        let _lock = SetupLock::acquire().unwrap();
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        holders.fetch_sub(1, Ordering::SeqCst);
                    })
                    .unwrap();
                });
            }
        });
    }
}

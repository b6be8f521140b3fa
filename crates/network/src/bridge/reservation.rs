//! Keeping host ports from other programs.
//!
//! A published port is led to its container by the packet filter, before any socket of the
//! host sees it. So without a socket another program could listen there, be told that all
//! is well, and never hear a thing. A bound socket per port makes it fail instead, and makes
//! us fail if the other program was there first. It never listens.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{
    AddressFamily, Protocol as SocketProtocol, Shutdown, SocketFlags, SocketType, bind, ipproto,
    listen, shutdown, socket_with,
};

use super::ports::HostPort;
use crate::attachment::Protocol;

/// Binds a socket to the port. `None`: the kernel doesn't speak the protocol, so that
/// nobody else can be there either.
pub(super) fn reserve(port: HostPort) -> Result<Option<OwnedFd>, Errno> {
    let socket = match open(port) {
        Err(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => return Ok(None),
        result => result?,
    };
    match bind(&socket, &SocketAddr::new(port.ip, port.port)) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::ADDRINUSE) if port.protocol == Protocol::Tcp => {
            reserve_among_closed(port).map(Some)
        }
        Err(errno) => Err(errno),
    }
}

/// Binds a TCP socket where old connections of a closed server still wait for their end.
///
/// That takes `SO_REUSEADDR`, which would also share the port with another socket that is
/// bound so and does not listen. Listening for a moment finds that out; nobody can connect
/// in it, as the port leads nowhere yet. Afterwards the option is withdrawn, so that nobody
/// joins us later.
fn reserve_among_closed(port: HostPort) -> Result<OwnedFd, Errno> {
    let socket = open(port)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::new(port.ip, port.port))?;
    listen(&socket, 0)?;
    shutdown(&socket, Shutdown::Read)?;
    set_socket_reuseaddr(&socket, false)?;
    Ok(socket)
}

fn open(port: HostPort) -> Result<OwnedFd, Errno> {
    let family = match port.ip {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let (kind, protocol): (_, Option<SocketProtocol>) = match port.protocol {
        Protocol::Tcp => (SocketType::STREAM, None),
        Protocol::Udp => (SocketType::DGRAM, None),
        Protocol::Sctp => (SocketType::STREAM, Some(ipproto::SCTP)),
    };
    socket_with(family, kind, SocketFlags::CLOEXEC, protocol)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;

    use linux::{loopback, network_namespace};
    use rustix::io::Errno;

    use super::reserve;
    use crate::attachment::Protocol::{self, Sctp, Tcp, Udp};
    use crate::bridge::ports::HostPort;

    const PORT: u16 = 8080;

    fn take(protocol: Protocol, ip: Ipv4Addr) -> Result<Option<OwnedFd>, Errno> {
        reserve(HostPort { protocol, ip: ip.into(), port: PORT })
    }

    fn on_a_host(test: impl FnOnce() + Send) {
        network_namespace::in_new(|| {
            loopback::bring_up().unwrap();
            test();
        })
        .unwrap();
    }

    #[test]
    fn a_reserved_port_is_nobody_elses() {
        on_a_host(|| {
            let _tcp = take(Tcp, Ipv4Addr::UNSPECIFIED).unwrap();
            let _udp = take(Udp, Ipv4Addr::LOCALHOST).unwrap();
            TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).unwrap_err();
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap_err();
            assert_eq!(take(Tcp, Ipv4Addr::LOCALHOST).unwrap_err(), Errno::ADDRINUSE);
            assert_eq!(take(Udp, Ipv4Addr::LOCALHOST).unwrap_err(), Errno::ADDRINUSE);
            take(Sctp, Ipv4Addr::LOCALHOST).unwrap();
        });
    }

    #[test]
    fn the_port_of_another_program_is_refused() {
        on_a_host(|| {
            let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).unwrap();
            assert_eq!(take(Tcp, Ipv4Addr::UNSPECIFIED).unwrap_err(), Errno::ADDRINUSE);
        });
    }

    #[test]
    fn an_address_of_another_host_is_refused() {
        on_a_host(|| {
            let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
            assert_eq!(take(Tcp, elsewhere).unwrap_err(), Errno::ADDRNOTAVAIL);
        });
    }

    #[test]
    fn old_connections_of_a_closed_server_are_no_obstacle() {
        on_a_host(|| {
            leave_an_old_connection();
            let strict = rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                None,
            )
            .unwrap();
            let address = std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
            rustix::net::bind(&strict, &address).unwrap_err();

            let _held = take(Tcp, Ipv4Addr::UNSPECIFIED).unwrap().unwrap();
            assert_eq!(take(Tcp, Ipv4Addr::UNSPECIFIED).unwrap_err(), Errno::ADDRINUSE);
            // Rust's listener reuses addresses too, as most servers do.
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap_err();
            TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).unwrap_err();
        });
    }

    /// The side that closes first keeps the connection for a minute.
    fn leave_an_old_connection() {
        let server = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        accepted.write_all(b"x").unwrap();
        drop(accepted);
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
    }
}

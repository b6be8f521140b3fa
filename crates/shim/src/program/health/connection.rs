//! Probes without a process: a connection that the shim makes in the container's network.
//!
//! A socket belongs to the network namespace in which it was made, whoever uses it. So the shim
//! goes there for the one call that makes it, and nothing is forked.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use shim::health::Target;

use super::http;
use crate::event_loop::{EventLoop, Readiness, Token, Watched};

/// Bytes read at once: a short answer fits.
const READ_BYTES: usize = 4096;

/// Reads in a row at most. A container that writes faster than we read must not keep us from
/// everything else.
const READS_MAX: usize = 4;

/// The container's network, and the way back.
#[derive(Debug)]
pub(crate) struct Networks {
    containers: OwnedFd,
    own: OwnedFd,
}

impl Networks {
    pub(crate) fn of(containers: OwnedFd) -> io::Result<Self> {
        Ok(Self { containers, own: File::open("/proc/self/ns/net")?.into() })
    }

    fn socket(&self, family: AddressFamily) -> io::Result<OwnedFd> {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(self.containers.as_fd(), kind)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None);
        // We have its descriptor and were there a moment ago. Were it to fail nevertheless, we
        // would be in the container's network for good, and dial the log's peers from there:
        // the container could answer in their place. Better no supervisor than that one.
        move_into_link_name_space(self.own.as_fd(), kind)
            .expect("the way back to our own network namespace is open");
        Ok(socket?)
    }
}

/// How such a probe ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub is_healthy: bool,
    pub output: String,
}

/// A connection on its way.
#[derive(Debug)]
pub(crate) struct ConnectionProbe {
    plan: Plan,
    address: SocketAddr,
    socket: Watched,
    is_connected: bool,
}

/// What there is to do, and still to try.
#[derive(Debug)]
struct Plan {
    /// Addresses that are yet to be tried, should the present one refuse.
    further: VecDeque<SocketAddr>,
    /// `None`: to be connected is all that is wanted.
    exchange: Option<Exchange>,
    /// Of several addresses the first says most.
    first_error: Option<String>,
}

/// A request, and its answer as far as it has come.
#[derive(Debug)]
struct Exchange {
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
}

/// What has become of a probe.
#[derive(Debug)]
pub(crate) enum Progress {
    Pending(ConnectionProbe),
    Over(Outcome),
}

impl Plan {
    /// Connects to the next address that does not refuse at once.
    fn advance(mut self, networks: &Networks, events: &EventLoop, token: Token) -> Progress {
        while let Some(address) = self.further.pop_front() {
            let opened = match connect(address, networks) {
                Ok((_, true)) if self.exchange.is_none() => {
                    return Progress::Over(connected(address));
                }
                Ok((socket, is_connected)) => events
                    .watch(socket, token, Some(Readiness::OUT))
                    .map(|socket| (socket, is_connected))
                    .map_err(io::Error::from),
                Err(error) => Err(error),
            };
            match opened {
                Ok((socket, is_connected)) => {
                    let probe = ConnectionProbe { plan: self, address, socket, is_connected };
                    return if is_connected { probe.talk() } else { Progress::Pending(probe) };
                }
                Err(error) => self.note(address, &error),
            }
        }
        Progress::Over(failed(self.first_error.unwrap_or_default()))
    }

    fn note(&mut self, address: SocketAddr, error: &io::Error) {
        self.first_error.get_or_insert_with(|| cannot_connect(address, error));
    }
}

impl ConnectionProbe {
    /// Begins. `path` is what to `GET`; without one, to be connected is enough.
    pub(crate) fn begin(
        target: Target,
        path: Option<&str>,
        networks: &Networks,
        events: &EventLoop,
        token: Token,
    ) -> Progress {
        let exchange = path.map(|path| Exchange {
            request: http::request(target, path),
            sent: 0,
            answer: Vec::new(),
        });
        let plan = Plan { further: target.addresses().into(), exchange, first_error: None };
        plan.advance(networks, events, token)
    }

    /// Goes on after the socket has become ready.
    pub(crate) fn go_on(
        mut self,
        networks: &Networks,
        events: &EventLoop,
        token: Token,
    ) -> Progress {
        if self.is_connected {
            return self.talk();
        }
        match sockopt::socket_error(&self.socket) {
            Ok(Ok(())) if self.plan.exchange.is_none() => Progress::Over(connected(self.address)),
            Ok(Ok(())) => Self { is_connected: true, ..self }.talk(),
            Ok(Err(error)) | Err(error) => {
                self.plan.note(self.address, &error.into());
                self.plan.advance(networks, events, token)
            }
        }
    }

    /// Sends and receives as much as goes without waiting.
    fn talk(mut self) -> Progress {
        match self.exchange() {
            Ok(Some(answer)) => {
                Progress::Over(Outcome { is_healthy: answer.is_healthy, output: answer.output })
            }
            Ok(None) => Progress::Pending(self),
            Err(reason) => Progress::Over(failed(format!("http://{}: {reason}", self.address))),
        }
    }

    fn exchange(&mut self) -> Result<Option<http::Answer>, String> {
        let Some(exchange) = &mut self.plan.exchange else { return Ok(None) };
        while exchange.sent < exchange.request.len() {
            let rest = &exchange.request[exchange.sent..];
            match rustix::net::send(&self.socket, rest, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => exchange.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            }
        }
        self.socket.want(Some(Readiness::IN)).map_err(|error| error.to_string())?;
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS_MAX {
            let has_ended = match rustix::io::read(&self.socket, &mut buffer) {
                Ok(0) => true,
                Ok(count) => {
                    exchange.answer.extend_from_slice(&buffer[..count]);
                    false
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            };
            let answer = http::read_answer(&exchange.answer, has_ended)?;
            if answer.is_some() {
                return Ok(answer);
            }
        }
        // The socket is still readable if there is more, so we are back soon.
        Ok(None)
    }

    /// What had come when time ran out.
    pub(crate) fn so_far(&self) -> &'static str {
        match &self.plan.exchange {
            Some(exchange) if self.is_connected && exchange.answer.is_empty() => {
                "connected, but no answer yet"
            }
            Some(_) if self.is_connected => "the answer is not complete",
            _ => "not connected yet",
        }
    }
}

/// A socket that is connected already, or is on its way.
fn connect(address: SocketAddr, networks: &Networks) -> io::Result<(OwnedFd, bool)> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = networks.socket(family)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error.into()),
    }
}

fn connected(address: SocketAddr) -> Outcome {
    Outcome { is_healthy: true, output: format!("connected to {address}") }
}

fn failed(output: String) -> Outcome {
    Outcome { is_healthy: false, output }
}

fn cannot_connect(address: SocketAddr, error: &io::Error) -> String {
    let error = error.to_string();
    let reason = error.split(" (os error").next().unwrap_or_default();
    format!("cannot connect to {address}: {reason}")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn whoever_cannot_leave_the_container_s_network_ends() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: it needs root");
            return;
        }
        let containers = File::open("/proc/self/ns/net").unwrap().into();
        let own = File::open("/dev/null").unwrap().into();
        let ended = std::thread::spawn(move || {
            let networks = Networks { containers, own };
            drop(networks.socket(AddressFamily::INET));
        });
        ended.join().unwrap_err();
    }

    /// A probe whose request has been sent, and the server's side of its connection.
    fn waiting(events: &EventLoop) -> (ConnectionProbe, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = events.watch(ours.into(), Token::Probe(0), Some(Readiness::IN)).unwrap();
        let exchange = Exchange { request: Vec::new(), sent: 0, answer: Vec::new() };
        let plan = Plan { further: VecDeque::new(), exchange: Some(exchange), first_error: None };
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        (ConnectionProbe { plan, address, socket, is_connected: true }, theirs)
    }

    #[test]
    fn a_server_that_never_pauses_is_left_in_between_and_given_up_in_the_end() {
        let events = EventLoop::new().unwrap();
        let (mut probe, mut server) = waiting(&events);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;";
        server.write_all(chunked.as_bytes()).unwrap();
        server.write_all(&vec![b'x'; 64 << 10]).unwrap();
        let mut turns = 1;
        let outcome = loop {
            match probe.talk() {
                Progress::Over(outcome) => break outcome,
                Progress::Pending(pending) => probe = pending,
            }
            let exchange = probe.plan.exchange.as_ref().unwrap();
            assert!(exchange.answer.len() <= turns * READS_MAX * READ_BYTES);
            assert_eq!(events.wait(None).unwrap().len(), 1, "it is still to be read");
            turns += 1;
        };
        assert_eq!(outcome, Outcome { is_healthy: true, output: "HTTP/1.1 200 OK".to_owned() });
        assert!((2..10).contains(&turns), "{turns}");
    }
}

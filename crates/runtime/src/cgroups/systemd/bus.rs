//! A connection to systemd's manager: directly where that is possible, over a bus otherwise.
//!
//! A call is written, and then read until its answer comes; there is no thread and nothing
//! that runs besides, because a process that clones containers has to be alone.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use super::message::{Message, Reader, START, Target, Value, Writer, call, parse, whole_length};

/// How long systemd may take to answer, and to finish what it was told to do.
const SECONDS_MAX: u64 = 30;
const TIME_MAX: Duration = Duration::from_secs(SECONDS_MAX);

const MANAGER: Target = Target {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

const PROPERTIES: Target = Target { interface: "org.freedesktop.DBus.Properties", ..MANAGER };

const DAEMON: Target = Target {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// systemd could not be asked, or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("systemd not running on this host, cannot use systemd cgroups manager")]
    NotRunning,
    #[error("cannot speak with systemd")]
    Io(#[source] io::Error),
    #[error("systemd says: {text} ({name})")]
    Refused { name: String, text: String },
    #[error("systemd has not answered after {SECONDS_MAX} s")]
    TimedOut,
    #[error("systemd has answered what makes no sense")]
    Nonsense,
    #[error("the job of the unit `{unit}` has ended with `{result}`")]
    Job { unit: String, result: String },
}

impl BusError {
    pub(super) fn is_refusal(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name.ends_with(wanted))
    }
}

#[derive(Debug)]
pub(super) struct Bus {
    socket: OwnedFd,
    serial: u32,
    /// Bytes that came in and were not read yet.
    inbox: Vec<u8>,
    /// Jobs that have ended, each with its result.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects to the manager of the system, or of this process's user.
    pub(super) fn connect(is_users: bool) -> Result<Self, BusError> {
        for place in places(is_users) {
            let Some(socket) = open(&place, TIME_MAX) else { continue };
            let mut bus = Self { socket, serial: 0, inbox: Vec::new(), ended: Vec::new() };
            bus.authenticate()?;
            if !place.is_direct {
                bus.join_bus()?;
            }
            return Ok(bus);
        }
        Err(BusError::NotRunning)
    }

    /// The socket knows who we are: nothing has to be said but that this is to count.
    fn authenticate(&mut self) -> Result<(), BusError> {
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let deadline = deadline();
        // `DATA`, asking for more, then `OK` and the bus's name.
        for expected in [&b"DATA"[..], b"OK "] {
            let end = loop {
                match self.inbox.windows(2).position(|two| two == b"\r\n") {
                    Some(end) => break end,
                    None => self.receive(deadline)?,
                }
            };
            if !self.inbox.starts_with(expected) {
                return Err(BusError::Io(io::ErrorKind::PermissionDenied.into()));
            }
            self.inbox.drain(..end + 2);
        }
        Ok(())
    }

    /// A bus wants to be greeted, and passes signals on only to those who ask for them.
    fn join_bus(&mut self) -> Result<(), BusError> {
        self.call(DAEMON, "Hello", "", &Writer::default())?;
        let mut body = Writer::default();
        body.text("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
        self.call(DAEMON, "AddMatch", "s", &body)?;
        self.call(MANAGER, "Subscribe", "", &Writer::default())?;
        Ok(())
    }

    /// A text that the manager tells of itself.
    pub(super) fn manager_property(&mut self, name: &str) -> Result<String, BusError> {
        let mut body = Writer::default();
        body.text(MANAGER.interface);
        body.text(name);
        let answer = self.call(PROPERTIES, "Get", "ss", &body)?;
        let mut reader = Reader::of(&answer);
        let text = reader.signature().filter(|kind| *kind == "s").and_then(|_| reader.text());
        text.map(str::to_owned).ok_or(BusError::Nonsense)
    }

    /// Makes a unit that is gone when it has ended. Comes back when it has been started.
    pub(super) fn start_unit<'a>(
        &mut self,
        unit: &str,
        properties: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<(), BusError> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("replace");
        body.properties(properties);
        // No further units.
        body.array(8, |_| {});
        let answer = self.call(MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body)?;
        self.await_job(unit, &answer)
    }

    /// Comes back when the unit has been stopped, its processes killed.
    pub(super) fn stop_unit(&mut self, unit: &str) -> Result<(), BusError> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("replace");
        let answer = self.call(MANAGER, "StopUnit", "ss", &body)?;
        self.await_job(unit, &answer)
    }

    /// Lets go of a unit that is kept for having failed.
    pub(super) fn reset_failed_unit(&mut self, unit: &str) -> Result<(), BusError> {
        let mut body = Writer::default();
        body.text(unit);
        self.call(MANAGER, "ResetFailedUnit", "s", &body).map(drop)
    }

    /// Changes a unit for as long as the host runs.
    pub(super) fn set_properties<'a>(
        &mut self,
        unit: &str,
        properties: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<(), BusError> {
        let mut body = Writer::default();
        body.text(unit);
        body.flag(true);
        body.properties(properties);
        self.call(MANAGER, "SetUnitProperties", "sba(sv)", &body).map(drop)
    }

    /// Moves a process into a unit, or a cgroup below it.
    pub(super) fn attach(&mut self, unit: &str, sub: &str, process: u32) -> Result<(), BusError> {
        let mut body = Writer::default();
        body.text(unit);
        body.text(sub);
        body.array(4, |writer| writer.number(process));
        self.call(MANAGER, "AttachProcessesToUnit", "ssau", &body).map(drop)
    }

    /// `answer` names the job. Its end is told by a signal, which may be here already.
    fn await_job(&mut self, unit: &str, answer: &[u8]) -> Result<(), BusError> {
        let job = Reader::of(answer).text().ok_or(BusError::Nonsense)?;
        let deadline = deadline();
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(ended, _)| ended == job) {
                return match result.as_str() {
                    "done" => Ok(()),
                    _ => Err(BusError::Job { unit: unit.to_owned(), result: result.clone() }),
                };
            }
            let message = self.next(deadline)?;
            self.note(&message);
        }
    }

    fn call(
        &mut self,
        target: Target,
        member: &str,
        signature: &str,
        body: &Writer,
    ) -> Result<Vec<u8>, BusError> {
        self.serial += 1;
        let serial = self.serial;
        self.send(&call(serial, target, member, signature, body))?;
        let deadline = deadline();
        loop {
            match self.next(deadline)? {
                Message::Answer { to, body } if to == serial => return Ok(body),
                Message::Error { to, name, body } if to == serial => {
                    let text = Reader::of(&body).text().unwrap_or_default().to_owned();
                    return Err(BusError::Refused { name, text });
                }
                other => self.note(&other),
            }
        }
    }

    /// `JobRemoved`: its number, its path, the unit, the result.
    fn note(&mut self, message: &Message) {
        let Message::Signal { member, body } = message else { return };
        if member != "JobRemoved" {
            return;
        }
        let mut reader = Reader::of(body);
        let ended = (|| {
            reader.number()?;
            let job = reader.text()?.to_owned();
            reader.text()?;
            Some((job, reader.text()?.to_owned()))
        })();
        self.ended.extend(ended);
    }

    fn next(&mut self, deadline: Instant) -> Result<Message, BusError> {
        self.await_bytes(START, deadline)?;
        let length = whole_length(&self.inbox).ok_or(BusError::Nonsense)?;
        self.await_bytes(length, deadline)?;
        let bytes: Vec<u8> = self.inbox.drain(..length).collect();
        parse(&bytes).ok_or(BusError::Nonsense)
    }

    fn await_bytes(&mut self, count: usize, deadline: Instant) -> Result<(), BusError> {
        while self.inbox.len() < count {
            self.receive(deadline)?;
        }
        Ok(())
    }

    fn send(&self, mut bytes: &[u8]) -> Result<(), BusError> {
        while !bytes.is_empty() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(BusError::TimedOut),
                Err(error) => return Err(BusError::Io(error.into())),
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Instant) -> Result<(), BusError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Others' signals may come for ever.
            return Err(BusError::TimedOut);
        }
        let left = Timespec::try_from(left).expect("half a minute is a short time");
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(BusError::TimedOut),
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(BusError::Io(error.into())),
        }
        let mut bytes = [0; 4096];
        match recv(&self.socket, &mut bytes[..], RecvFlags::empty()) {
            Ok((_, 0)) => Err(BusError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok((_, count)) => {
                self.inbox.extend(&bytes[..count]);
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(BusError::Io(error.into())),
        }
    }
}

fn deadline() -> Instant {
    Instant::now() + TIME_MAX
}

/// A socket to try.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    address: Address,
    /// systemd itself listens there, not a bus.
    is_direct: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Address {
    Path(PathBuf),
    Abstract(String),
}

/// First what the environment names, then systemd's own socket, then the bus's usual one.
fn places(is_users: bool) -> Vec<Place> {
    let at = |path: PathBuf, is_direct| Place { address: Address::Path(path), is_direct };
    let variable = if is_users { "DBUS_SESSION_BUS_ADDRESS" } else { "DBUS_SYSTEM_BUS_ADDRESS" };
    let named = std::env::var(variable).unwrap_or_default();
    let mut places: Vec<Place> = parse_addresses(&named)
        .into_iter()
        .map(|address| Place { address, is_direct: false })
        .collect();
    if !is_users {
        places.push(at("/run/systemd/private".into(), true));
        places.push(at("/run/dbus/system_bus_socket".into(), false));
    } else if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        places.push(at(folder.join("systemd/private"), true));
        places.push(at(folder.join("bus"), false));
    }
    places
}

/// `unix:path=/x,guid=…;unix:abstract=y`.
fn parse_addresses(text: &str) -> Vec<Address> {
    let parse = |address: &str| {
        let pairs =
            address.strip_prefix("unix:")?.split(',').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find_map(|(key, value)| match key {
            "path" => Some(Address::Path(value.into())),
            "abstract" => Some(Address::Abstract(value.to_owned())),
            _ => None,
        })
    };
    text.split(';').filter_map(parse).collect()
}

/// Connects. Neither that nor sending takes longer than `time_max`, whoever does not listen.
fn open(place: &Place, time_max: Duration) -> Option<OwnedFd> {
    let address = match &place.address {
        Address::Path(path) => SocketAddrUnix::new(path).ok()?,
        Address::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()).ok()?,
    };
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    set_socket_timeout(&socket, Timeout::Send, Some(time_max)).ok()?;
    connect(&socket, &address).ok().map(|()| socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_talks_of_other_things_is_not_listened_to_for_ever() {
        let (socket, other) = std::os::unix::net::UnixStream::pair().unwrap();
        rustix::io::write(&other, b"something").unwrap();
        let mut bus =
            Bus { socket: socket.into(), serial: 0, inbox: Vec::new(), ended: Vec::new() };
        assert!(matches!(bus.receive(Instant::now()), Err(BusError::TimedOut)));
        bus.receive(deadline()).unwrap();
        assert_eq!(bus.inbox, b"something");
    }

    #[test]
    fn who_lets_nobody_in_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let place = Place { address: Address::Path(path), is_direct: true };
        let time_max = Duration::from_millis(20);
        // There is room for one who waits.
        let first = open(&place, time_max);
        assert!(first.is_some());
        assert!(open(&place, time_max).is_none());
    }

    #[test]
    fn addresses_are_lists() {
        let addresses = parse_addresses("tcp:host=x;unix:path=/a b,guid=1;unix:abstract=y");
        assert_eq!(addresses, [Address::Path("/a b".into()), Address::Abstract("y".to_owned())]);
        assert_eq!(parse_addresses(""), []);
    }
}

//! The whole way to peers of every kind, which the tests themselves are.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

use shim::protocol::{LogAddress, LogSettings, SyslogFormat};

use super::*;
use crate::event_loop::Token;
use crate::log::Log;

/// How long a test waits for what should come at once.
const SOON: Duration = Duration::from_secs(10);

fn syslog(address: LogAddress) -> LogPeer {
    LogPeer::Syslog {
        address,
        facility: 3,
        format: SyslogFormat::Rfc3164,
        hostname: "here".to_owned(),
        tag: "tag".to_owned(),
    }
}

fn fluentd(address: LogAddress, wants_acknowledgement: bool) -> LogPeer {
    LogPeer::Fluentd {
        address,
        tag: "tag".to_owned(),
        fields: Vec::new(),
        has_subsecond_time: false,
        wants_acknowledgement,
        retry_wait: Duration::from_millis(5),
        retries_max: u32::MAX,
    }
}

fn settings(peer: LogPeer) -> RemoteLog {
    RemoteLog {
        peer,
        copy: None,
        queue_bytes_max: 1 << 20,
        is_lossy: false,
        patience: None,
        is_optional: false,
    }
}

/// A log and the loop that drives it.
struct Bench {
    events: EventLoop,
    log: Log,
}

impl Bench {
    fn open(settings: RemoteLog) -> io::Result<Self> {
        let events = EventLoop::new().unwrap();
        let log = Log::open(&LogSettings::Remote(settings), &events)?.unwrap();
        Ok(Self { events, log })
    }

    fn write(&mut self, text: &str) -> &mut Self {
        self.log.write(Source::Stdout, text.as_bytes());
        self
    }

    /// Turns the loop once, as the supervisor does.
    fn turn(&mut self) {
        let soon = Instant::now() + Duration::from_millis(20);
        let deadline = self.log.deadline().map_or(soon, |deadline| deadline.min(soon));
        for (token, readiness) in self.events.wait(Some(deadline)).unwrap() {
            assert_eq!(token, Token::Log);
            self.log.ready(readiness);
        }
        self.log.handle_deadline(Instant::now());
    }

    #[track_caller]
    fn turn_until(&mut self, what: &str, is_done: impl Fn(&Log) -> bool) {
        let until = Instant::now() + SOON;
        while !is_done(&self.log) {
            assert!(Instant::now() < until, "waited in vain: {what}");
            self.turn();
        }
    }

    fn deliver(&mut self) {
        self.turn_until("everything is delivered", |log| !log.is_delivering());
    }
}

fn text_of(datagram: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> String {
    let mut buffer = vec![0; 64 << 10];
    let length = datagram(&mut buffer).unwrap();
    buffer.truncate(length);
    String::from_utf8(buffer).unwrap()
}

#[track_caller]
fn is_syslog_of(text: &str, content: &str) {
    let end = format!(" here tag[{}]: {content}\n", std::process::id());
    assert!(text.starts_with("<30>") && text.ends_with(&end), "{text}");
}

#[test]
fn syslog_by_datagrams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = UnixDatagram::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(SOON)).unwrap();
    let address = udp.local_addr().unwrap();

    let peer = syslog(LogAddress::UnixDatagram(path));
    Bench::open(settings(peer)).unwrap().write("one\n\ntwo\n");
    is_syslog_of(&text_of(|buffer| unix.recv(buffer)), "one");
    is_syslog_of(&text_of(|buffer| unix.recv(buffer)), "two");

    Bench::open(settings(syslog(LogAddress::Udp(address)))).unwrap().write("one\n");
    is_syslog_of(&text_of(|buffer| udp.recv(buffer)), "one");
}

#[test]
fn syslog_by_streams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    Bench::open(settings(syslog(LogAddress::Unix(path)))).unwrap().write("one\n").deliver();
    is_syslog_of(&io::read_to_string(unix.accept().unwrap().0).unwrap(), "one");

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = syslog(LogAddress::Tcp(tcp.local_addr().unwrap()));
    Bench::open(settings(peer)).unwrap().write("one\n").deliver();
    is_syslog_of(&io::read_to_string(tcp.accept().unwrap().0).unwrap(), "one");
}

#[test]
fn a_peer_that_is_not_there_is_an_error_in_go_s_words() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = |peer: LogPeer| Bench::open(settings(peer)).map(drop).unwrap_err().to_string();
    assert_eq!(
        refused(syslog(LogAddress::Tcp(closed))),
        format!("dial tcp {closed}: connect: connection refused")
    );
    let nowhere = LogAddress::Unix("/nowhere/at/all".into());
    let expected = "dial unix /nowhere/at/all: connect: no such file or directory";
    assert_eq!(refused(syslog(nowhere)), expected);
    let journald = LogPeer::Journald { socket: "/nowhere".into(), fields: Vec::new() };
    assert_eq!(refused(journald), "journald is not enabled on this host");
    // With a peer that is optional, the container starts.
    let optional =
        RemoteLog { is_optional: true, ..settings(fluentd(LogAddress::Tcp(closed), false)) };
    assert!(Bench::open(optional).is_ok());
}

fn journald(path: &Path) -> LogPeer {
    let fields = vec![("CONTAINER_NAME".to_owned(), "web".to_owned())];
    LogPeer::Journald { socket: path.to_owned(), fields }
}

#[test]
fn journald_gets_fields_and_long_entries_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let mut peer = journald(&path);
    Bench::open(settings(peer.clone())).unwrap().write("hello\n");
    let text = text_of(|buffer| journal.recv(buffer));
    assert!(text.starts_with("PRIORITY=6\nMESSAGE=hello\nCONTAINER_NAME=web\n"), "{text}");

    if let LogPeer::Journald { fields, .. } = &mut peer {
        fields.push(("LONG".to_owned(), "x".repeat(1 << 20)));
    }
    Bench::open(settings(peer)).unwrap().write("hello\n");
    let mut descriptors = Vec::new();
    let mut buffer = [0; 16];
    let count =
        shim::wire::receive(std::os::fd::AsFd::as_fd(&journal), &mut buffer, &mut descriptors);
    assert_eq!(count.unwrap(), 0);
    let mut file = std::fs::File::from(descriptors.pop().unwrap());
    io::Seek::rewind(&mut file).unwrap();
    let text = io::read_to_string(file).unwrap();
    assert!(text.contains("MESSAGE=hello\n") && text.len() > 1 << 20);
}

#[test]
fn fluentd_confirms_and_gets_again_what_it_has_not_confirmed() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = fluentd(LogAddress::Tcp(tcp.local_addr().unwrap()), true);
    let mut bench = Bench::open(settings(peer)).unwrap();
    let first = tcp.accept().unwrap().0;
    bench.write("one\n").turn();
    assert!(bench.log.is_delivering());
    // It dies without a word.
    drop(first);
    let listening = std::thread::spawn(move || {
        let mut stream = tcp.accept().unwrap().0;
        let receipt = read_receipt(&mut stream);
        let mut answer = b"\x81\xa3ack".to_vec();
        answer.push(0xa0 | receipt.len() as u8);
        answer.extend_from_slice(receipt.as_bytes());
        stream.write_all(&answer).unwrap();
        stream
    });
    bench.deliver();
    assert_eq!(bench.log.lost(), 0);
    drop(listening.join().unwrap());
}

/// Reads one entry; comes back with what it wants to have confirmed.
fn read_receipt(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
        let Some(end) = end_of(b"\x81\xa5chunk", &seen) else { continue };
        if seen.len() > end && seen.len() == end + 1 + usize::from(seen[end] & 0x1f) {
            return String::from_utf8(seen[end + 1..].to_vec()).unwrap();
        }
    }
}

#[test]
fn a_container_waits_for_a_slow_peer_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    let settings = RemoteLog {
        queue_bytes_max: 100_000,
        patience: Some(Duration::from_millis(200)),
        ..settings(syslog(LogAddress::Unix(path)))
    };
    let mut bench = Bench::open(settings).unwrap();
    let mut stream = unix.accept().unwrap().0;
    let line = "x".repeat(999) + "\n";
    let mut written = 0;
    while !bench.log.is_full() {
        bench.write(&line);
        written += 1;
    }
    assert_eq!(bench.log.lost(), 0);
    // Nobody reads. After a while the container goes on, and entries are counted.
    bench.turn_until("the peer is given up", |log| !log.is_full());
    for _ in 0..500 {
        bench.write(&line);
    }
    let lost = bench.log.lost();
    assert!(lost > 300, "{lost}");
    // The connection is made anew, and the peer reads again.
    let listening = std::thread::spawn(move || {
        let mut seen = String::new();
        stream.read_to_string(&mut seen).unwrap();
        unix.accept().unwrap().0.read_to_string(&mut seen).unwrap();
        seen
    });
    bench.turn_until("the peer takes the rest", |log| !log.is_delivering() && log.lost() == lost);
    let told = format!("[{lost} log entries were dropped here]\n");
    while bench.log.deadline().is_some() {
        bench.turn();
    }
    drop(bench);
    let seen = listening.join().unwrap();
    assert!(seen.ends_with(&told), "{}", &seen[seen.len() - 200..]);
    let lines = seen.lines().filter(|line| line.ends_with("xxx")).count() as u64;
    assert!(lines >= written + 500 - lost, "{lines} of {written} and 500, {lost} lost");
}

#[test]
fn however_much_comes_at_once_the_queue_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    let queue_bytes_max = 100_000;
    let settings = RemoteLog { queue_bytes_max, ..settings(syslog(LogAddress::Unix(path))) };
    let mut bench = Bench::open(settings).unwrap();
    let stream = unix.accept().unwrap().0;
    let lines = 200_000;
    bench.write(&"x\n".repeat(lines));
    let remote = bench.log.remote().unwrap();
    let kept: usize = remote.queue.iter().map(|message| message.bytes.capacity()).sum();
    let kept = kept + remote.queue.capacity() * size_of::<Message>();
    assert!(kept <= 100_000 + SURPLUS_BYTES_MAX, "{kept}");
    // What is missing is known, and nothing else is missing.
    let lost = bench.log.lost();
    assert!(lost > 0 && bench.log.is_full());
    let listening = std::thread::spawn(move || io::read_to_string(stream).unwrap());
    bench.deliver();
    drop(bench);
    let seen = listening.join().unwrap();
    let seen = seen.lines().filter(|line| line.ends_with(": x")).count();
    assert_eq!(seen as u64 + lost, lines as u64);
}

#[test]
fn a_lossy_log_never_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    let settings = RemoteLog {
        queue_bytes_max: 10_000,
        is_lossy: true,
        ..settings(syslog(LogAddress::Unix(path)))
    };
    let mut bench = Bench::open(settings).unwrap();
    let stream = unix.accept().unwrap().0;
    let line = "x".repeat(999) + "\n";
    let mut written = 0;
    while bench.log.lost() < 100 {
        bench.write(&line);
        assert!(!bench.log.is_full());
        written += 1;
    }
    let listening = std::thread::spawn(move || io::read_to_string(stream).unwrap());
    bench.deliver();
    let lost = bench.log.lost();
    drop(bench);
    let seen = listening.join().unwrap();
    let lines = seen.lines().filter(|line| line.ends_with("xxx")).count() as u64;
    assert_eq!(lines, written - lost);
    assert!(seen.ends_with("[100 log entries were dropped here]\n"), "{}", seen.len());
}

#[test]
fn what_comes_before_an_optional_peer_is_kept_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let settings = RemoteLog {
        is_optional: true,
        is_lossy: true,
        ..settings(fluentd(LogAddress::Unix(path.clone()), false))
    };
    let mut bench = Bench::open(settings).unwrap();
    bench.write("early\n").turn();
    let unix = UnixListener::bind(&path).unwrap();
    bench.deliver();
    drop(bench);
    let mut seen = Vec::new();
    unix.accept().unwrap().0.read_to_end(&mut seen).unwrap();
    assert!(end_of(b"\xa3log\xa5early\x80", &seen).is_some(), "{seen:?}");
}

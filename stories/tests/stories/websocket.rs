//! `attach` by WebSocket, and with what was logged before.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use stories::{Host, PATIENCE};

/// Of RFC 6455's own example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const BINARY: u8 = 2;
const CLOSE: u8 = 8;

/// As much of a WebSocket's client as a story needs.
struct WebSocket(UnixStream);

impl WebSocket {
    #[track_caller]
    fn open(host: &Host, path: &str) -> Self {
        let mut stream = UnixStream::connect(host.socket()).expect("the daemon runs");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        write!(
            stream,
            "GET /v1.51/containers/{path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nOrigin: http://d\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n"
        )
        .expect("the daemon reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the daemon answers");
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains(ACCEPT), "{head}");
        Self(stream)
    }

    fn send(&mut self, kind: u8, bytes: &[u8]) {
        let length = u8::try_from(bytes.len()).expect("short");
        let mask = [1, 2, 3, 4];
        let masked = bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let mut frame = vec![0x80 | kind, 0x80 | length];
        frame.extend(mask);
        frame.extend(masked);
        self.0.write_all(&frame).expect("the daemon reads");
    }

    /// The next message: its kind and its bytes.
    #[track_caller]
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut start = [0; 2];
        self.0.read_exact(&mut start).expect("the daemon writes");
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).expect("the daemon writes");
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("the daemon writes");
        (start[0] & 0xf, bytes)
    }

    /// All that comes until there is `end`.
    #[track_caller]
    fn receive_until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        loop {
            let (kind, bytes) = self.receive();
            assert_eq!(kind, BINARY, "after {:?}", String::from_utf8_lossy(&all));
            // Docker sends each line by itself: what was looked through once is not again.
            let new_from = all.len().saturating_sub(end.len());
            all.extend(bytes);
            if all[new_from..].windows(end.len()).any(|part| part == end.as_bytes()) {
                return String::from_utf8_lossy(&all).into_owned();
            }
        }
    }
}

#[test]
fn a_websocket_gives_input_and_gets_output() {
    let host = Host::start();
    host.run(
        "--name box --interactive busybox sh -c 'while read l; do echo got $l; echo err >&2; done'",
    );
    let mut socket = WebSocket::open(&host, "box/attach/ws?stream=1&stdin=1&stdout=1");
    socket.send(BINARY, b"one\n");
    assert_eq!(socket.receive_until("got one\n"), "got one\n");
    socket.send(BINARY, b"tw");
    socket.send(BINARY, b"o\n");
    assert_eq!(socket.receive_until("got two\n"), "got two\n");

    let mut errors = WebSocket::open(&host, "box/attach/ws?stream=1&stderr=1");
    socket.send(BINARY, b"three\n");
    assert_eq!(errors.receive_until("err\n"), "err\n");
    assert_eq!(host.container("box").status(), "running");
}

#[test]
fn a_terminal_works_by_websocket() {
    let host = Host::start();
    host.run("--name box --interactive --tty busybox sh");
    let mut socket = WebSocket::open(&host, "box/attach/ws?stream=1&stdin=1&stdout=1&stderr=1");
    socket.send(BINARY, b"echo $((40 + 2))\n");
    let text = socket.receive_until("42\r\n");
    assert!(text.contains("echo $((40 + 2))\r\n"), "{text:?}");
}

#[test]
fn a_websocket_ends_with_its_container_and_not_the_other_way_round() {
    let host = Host::start();
    let container = host.run("--name box --interactive busybox sh -c 'read l; echo bye'");
    let mut leaving = WebSocket::open(&host, "box/attach/ws?stream=1&stdout=1");
    leaving.send(CLOSE, &1000_u16.to_be_bytes());
    drop(leaving);
    assert_eq!(container.status(), "running");
    let mut socket = WebSocket::open(&host, "box/attach/ws?stream=1&stdin=1&stdout=1");
    socket.send(BINARY, b"\n");
    assert_eq!(socket.receive_until("bye\n"), "bye\n");
    container.wait();
    let mut rest = [0; 64];
    // A close frame or the end of the connection.
    let length = socket.0.read(&mut rest).expect("the connection ends in good order");
    assert!(length == 0 || rest[0] & 0xf == CLOSE, "{:?}", &rest[..length]);
}

#[test]
fn what_was_logged_comes_first_on_demand() {
    let host = Host::start();
    let container =
        host.run("--name box --interactive busybox sh -c 'echo before; read l; echo after'");
    container.logs_eventually("before");
    let mut socket =
        WebSocket::open(&host, "box/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1");
    assert_eq!(socket.receive_until("before\n"), "before\n");
    socket.send(BINARY, b"\n");
    assert_eq!(socket.receive_until("after\n"), "after\n");
    container.wait();

    // Longer than what fits between two sockets.
    let long = "seq 100000; echo end; read l";
    let container = host.run(&format!("--name long --interactive busybox sh -c '{long}'"));
    container.logs_eventually("end");
    let mut socket = WebSocket::open(&host, "long/attach/ws?logs=1&stream=1&stdin=1&stdout=1");
    let text = socket.receive_until("end\n");
    assert!(text.starts_with("1\n2\n") && text.ends_with("100000\nend\n"), "{}", text.len());

    // Without a stream there is only the log, of a container that has ended, too.
    let answer = host.api("POST", "/v1.51/containers/box/attach?logs=1&stdout=1&stderr=1", None);
    let frames =
        [&[1, 0, 0, 0, 0, 0, 0, 7][..], b"before\n", &[1, 0, 0, 0, 0, 0, 0, 6], b"after\n"];
    assert_eq!(answer.body.as_bytes(), frames.concat());
}

#[test]
fn what_is_no_websocket_is_refused() {
    let host = Host::start();
    host.run("--name box busybox sleep 1000");
    let answer = host.api("GET", "/v1.51/containers/box/attach/ws?stream=1", None);
    assert_eq!(answer.status, 400, "{}", answer.body);
}

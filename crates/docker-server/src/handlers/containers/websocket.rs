//! `GET /containers/{name}/attach/ws`: attaching for browsers.
//!
//! A browser has no raw sockets, but WebSockets, whose bytes are in frames and masked. The
//! container's supervisor speaks neither, so a task of the daemon's stands between the two: it
//! has the client's socket, and the supervisor one end of a pair. Unlike other attached clients
//! these do not outlive the daemon; the container does not notice.
//!
//! Docker never says here which stream a byte is of, so the headers of multiplexed streams are
//! taken out.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use engine::Engine;
use engine::containers::{AttachStreams, ClientStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Response;
use hyper::header::{HeaderMap, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::attach;
use crate::http::{Answer, ApiError, Request};
use crate::versions;

/// Bytes of output in one message at most.
const READ_BYTES: usize = 32 << 10;

/// The longest message that is taken from a client. What somebody types is short; what somebody
/// pastes is not.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The version of the protocol, of which there is one.
const PROTOCOL_VERSION: &str = "13";

/// Bytes before each piece of a multiplexed stream: its number, and its length at the end.
const HEADER_LENGTH: usize = 8;

pub(crate) async fn attach_by_websocket(request: Request) -> Result<Response<Answer>, ApiError> {
    attach::check_detach_keys(&request.query)?;
    let key = handshake(&request.head.headers)?;
    let view = request.engine().check_attach(&request.name)?;
    let query = &request.query;
    let takes_all = !versions::has_stream_types(request.version);
    let streams = AttachStreams {
        stdin: takes_all || query.flag("stdin"),
        stdout: takes_all || query.flag("stdout"),
        stderr: takes_all || query.flag("stderr"),
        ..attach::wanted_streams(query)
    };
    let talk = Talk {
        engine: request.engine().clone(),
        id: view.id.to_string(),
        streams,
        has_terminal: view.spec.process.terminal,
        sends_text: !versions::has_binary_websockets(request.version),
    };
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {key}\r\n\r\n"
    );
    request.hijack(head.into_bytes(), |stream| talk.serve(stream)).await
}

/// What proves to the client that we understand it.
fn handshake(headers: &HeaderMap) -> Result<String, ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |reason: &str| {
        Err(ApiError::invalid(reason)
            .with_hint("this path is for WebSockets; other clients use `POST …/attach`"))
    };
    if !text(UPGRADE).eq_ignore_ascii_case("websocket") {
        return refuse("not websocket protocol");
    }
    if text(SEC_WEBSOCKET_VERSION) != PROTOCOL_VERSION {
        return refuse("missing or bad WebSocket Version");
    }
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) if !key.is_empty() => Ok(derive_accept_key(key.as_bytes())),
        _ => refuse("missing Sec-WebSocket-Key"),
    }
}

/// One client's conversation.
struct Talk {
    engine: Engine,
    id: String,
    streams: AttachStreams,
    has_terminal: bool,
    sends_text: bool,
}

type Socket = WebSocketStream<UnixStream>;

impl Talk {
    async fn serve(self, stream: ClientStream) {
        if let Err(error) = self.run(stream).await {
            tracing::debug!(container = self.id, %error, "a websocket broke");
        }
    }

    async fn run(&self, stream: ClientStream) -> std::io::Result<()> {
        let mut client = to_async(stream.socket)?;
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = ClientStream {
            socket: theirs.into_std()?.into(),
            greeting: Vec::new(),
            early_input: Vec::new(),
        };
        let mut attaching =
            Box::pin(attach::attach(&self.engine, &self.id, self.streams.clone(), theirs));
        let mut attached = None;
        // A client that is answered sooner could start something whose output nobody hears yet.
        // The log, though, is passed on while it is read: it may be long.
        if !self.streams.logs {
            attached = Some((&mut attaching).await);
        }
        client.write_all(&stream.greeting).await?;
        let mut socket = open(client, stream.early_input).await;
        let attached = match attached {
            Some(Ok(())) => {
                self.pass(&mut socket, ours).await;
                Ok(())
            }
            Some(refused) => refused,
            None => tokio::join!(attaching, self.pass(&mut socket, ours)).0,
        };
        if let Err(error) = attached {
            let text = format!("Error attaching: {}\n", error.message());
            // The client may have gone already, here and below.
            let _ = socket.send(self.message(text.as_bytes())).await;
        }
        let _ = socket.close(None).await;
        Ok(())
    }

    /// Passes everything on in both directions, until one side has ended.
    async fn pass(&self, socket: &mut Socket, container: UnixStream) {
        let (mut output, mut input) = container.into_split();
        let (mut sink, mut messages) = socket.split();
        let receive = async {
            while let Some(Ok(message)) = messages.next().await {
                let bytes = match message {
                    Message::Binary(bytes) => bytes,
                    Message::Text(text) => text.into(),
                    Message::Close(_) => break,
                    // The library answers these by itself.
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                };
                // A container that takes no input is still one to listen to.
                let _ = input.write_all(&bytes).await;
            }
        };
        let send = async {
            let mut frames = Frames::new(!self.has_terminal);
            let mut buffer = vec![0; READ_BYTES];
            while let Ok(length @ 1..) = output.read(&mut buffer).await {
                // Many short lines that came together go together.
                let bytes = frames.pieces(&buffer[..length]).concat();
                if !bytes.is_empty() && sink.send(self.message(&bytes)).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = receive => {}
            () = send => {}
        }
    }

    /// Old clients get text, whatever it is.
    fn message(&self, bytes: &[u8]) -> Message {
        match self.sends_text {
            true => Message::Text(String::from_utf8_lossy(bytes).into_owned().into()),
            false => Message::Binary(Bytes::copy_from_slice(bytes)),
        }
    }
}

/// The server's side of a connection that has become a WebSocket.
async fn open(client: UnixStream, early_input: Vec<u8>) -> Socket {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    WebSocketStream::from_partially_read(client, early_input, Role::Server, Some(limits)).await
}

/// A connected socket, of whichever kind, in the hands of the event loop.
pub(super) fn to_async(socket: OwnedFd) -> std::io::Result<UnixStream> {
    // All that is done with it is reading and writing, in which sockets do not differ.
    let socket = StdUnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Takes the headers out of a multiplexed stream, however it is cut into pieces.
#[derive(Debug)]
struct Frames {
    is_multiplexed: bool,
    header: Vec<u8>,
    /// Bytes of the present frame that are still to come.
    left: usize,
}

impl Frames {
    fn new(is_multiplexed: bool) -> Self {
        Self { is_multiplexed, header: Vec::with_capacity(HEADER_LENGTH), left: 0 }
    }

    fn pieces<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        if !self.is_multiplexed {
            return vec![bytes];
        }
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            if self.left > 0 {
                let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
                self.left -= piece.len();
                pieces.push(piece);
                bytes = rest;
                continue;
            }
            let wanted = (HEADER_LENGTH - self.header.len()).min(bytes.len());
            let (part, rest) = bytes.split_at(wanted);
            self.header.extend_from_slice(part);
            bytes = rest;
            if self.header.len() == HEADER_LENGTH {
                let length = [4, 5, 6, 7].map(|at| self.header[at]);
                self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.header.clear();
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_taken_out_wherever_the_stream_is_cut() {
        let stream = [
            &[1, 0, 0, 0, 0, 0, 0, 3][..],
            b"out",
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 4],
            b"errs",
        ]
        .concat();
        for length in 1..=stream.len() {
            let mut frames = Frames::new(true);
            let text: Vec<u8> =
                stream.chunks(length).flat_map(|piece| frames.pieces(piece).concat()).collect();
            assert_eq!(text, b"outerrs", "in pieces of {length}");
        }
        assert_eq!(Frames::new(false).pieces(b"as it is"), [b"as it is"]);
    }

    #[test]
    fn a_handshake_is_checked() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            headers
        };
        let good = [
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        // The example of RFC 6455.
        assert_eq!(handshake(&headers(&good)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for missing in 0..good.len() {
            let mut rest = good.to_vec();
            rest.remove(missing);
            assert_eq!(handshake(&headers(&rest)).unwrap_err().status(), 400);
        }
    }
}

//! Long bodies: read and written by code that blocks, in step with the client.

use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::ApiError;

/// How many pieces wait for a slow client before the writer waits as well.
const PIECES_WAITING_MAX: usize = 8;

/// Pieces smaller than this are gathered before they are sent.
const PIECE_BYTES_MIN: usize = 64 << 10;

/// How many bodies may be read and written by blocking code at once. Each has a thread for as
/// long as its client likes, and there must be some left for everybody else.
const LONG_BODIES_MAX: usize = 128;

static LONG_BODIES: Semaphore = Semaphore::const_new(LONG_BODIES_MAX);

/// A long body's share of the threads, or what is said where there is none left.
type Share = Option<SemaphorePermit<'static>>;

/// A share for code that blocks for as long as somebody else likes, but has no body to tell in
/// that there is none left.
pub(crate) fn share_of_long_bodies() -> Result<SemaphorePermit<'static>, ApiError> {
    LONG_BODIES.try_acquire().map_err(|_| ApiError::unavailable(none_left()))
}

fn none_left() -> String {
    format!("{LONG_BODIES_MAX} uploads and downloads are under way: try again when some are done")
}

fn check(share: &Share) -> io::Result<()> {
    if share.is_some() {
        return Ok(());
    }
    Err(io::Error::other(none_left()))
}

/// How much of a body that nobody wants is read all the same.
const DRAINED_BYTES_MAX: usize = 1 << 20;

/// How long the next piece of it is waited for: a client that sends nothing more is waiting for
/// the answer.
const DRAINING_PATIENCE: Duration = Duration::from_secs(1);

/// Reads a body that nobody wants. A client that is still writing when its connection closes
/// tells its user about that, and not what we answered.
pub(crate) async fn drain(mut body: Incoming) {
    let mut drained = 0;
    while drained < DRAINED_BYTES_MAX {
        match tokio::time::timeout(DRAINING_PATIENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => drained += frame.data_ref().map_or(0, Bytes::len),
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
}

/// A request's body as a blocking reader. To be used in a thread that may block.
pub(crate) struct Frames {
    body: Incoming,
    runtime: Handle,
    rest: Bytes,
    share: Share,
}

impl Frames {
    pub(crate) fn new(body: Incoming) -> Self {
        let share = LONG_BODIES.try_acquire().ok();
        Self { body, runtime: Handle::current(), rest: Bytes::new(), share }
    }

    /// Whether it can be read at all, for whoever blocks before reading.
    pub(crate) fn check_share(&self) -> Result<(), ApiError> {
        check(&self.share).map_err(|error| ApiError::unavailable(error.to_string()))
    }

    /// What was not read.
    pub(crate) fn into_body(self) -> Incoming {
        self.body
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(&self.share)?;
        while self.rest.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(io::Error::other(error)),
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// A blocking writer whose bytes are an answer's body.
pub(crate) struct BlockingWriter {
    sender: mpsc::Sender<Bytes>,
    gathered: Vec<u8>,
    share: Share,
}

/// A writer for a thread that may block, and what comes of it.
pub(crate) fn blocking_writer() -> (BlockingWriter, impl Stream<Item = Bytes> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let share = LONG_BODIES.try_acquire().ok();
    (BlockingWriter { sender, gathered: Vec::new(), share }, pieces)
}

impl Write for BlockingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check(&self.share)?;
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE_BYTES_MIN {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.gathered).into();
        self.sender.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

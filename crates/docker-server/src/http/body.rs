//! Long bodies: read and written by code that blocks, in step with the client.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::ApiError;

/// How many pieces wait for a slow client before the writer waits as well.
const PIECES_WAITING_MAX: usize = 8;

/// Pieces smaller than this are gathered before they are sent.
const PIECE_BYTES_MIN: usize = 64 << 10;

/// How many bodies may be read and written by blocking code at once. Each has a thread for as
/// long as its client likes, and there must be some left for everybody else.
const LONG_BODIES_MAX: usize = 128;

/// How long a client may send nothing of a body, or take nothing of one. It may hold a
/// container's files meanwhile, and a share of the threads.
pub(crate) const PIECE_PATIENCE: Duration = Duration::from_secs(5 * 60);

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

/// A request's body until somebody reads it.
///
/// What nobody took is read all the same, and thrown away: a client that is still writing when
/// its connection closes tells its user about that, and not what we answered.
pub(crate) struct Unread(Option<Incoming>);

impl Unread {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }

    pub(crate) fn take(mut self) -> Incoming {
        self.0.take().expect("only `take` and `give_up` leave nothing, and both end it")
    }

    /// Leaves it where it is, for whoever has the connection from now on.
    pub(crate) fn give_up(mut self) {
        self.0 = None;
    }

    /// The next piece.
    pub(crate) async fn frame(&mut self) -> Option<Result<Frame<Bytes>, hyper::Error>> {
        self.0.as_mut()?.frame().await
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // Without a runtime the daemon is ending, and nobody is answered any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(drain(body));
        }
    }
}

/// Reads a body that nobody wants.
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
pub(crate) struct Frames<B = Incoming> {
    body: B,
    runtime: Handle,
    rest: Bytes,
    share: Share,
    patience: Duration,
}

impl<B> Frames<B> {
    pub(crate) fn new(body: B) -> Self {
        let share = LONG_BODIES.try_acquire().ok();
        let patience = PIECE_PATIENCE;
        Self { body, runtime: Handle::current(), rest: Bytes::new(), share, patience }
    }

    /// Whether it can be read at all, for whoever blocks before reading.
    pub(crate) fn check_share(&self) -> Result<(), ApiError> {
        check(&self.share).map_err(|error| ApiError::unavailable(error.to_string()))
    }

    /// What was not read.
    pub(crate) fn into_body(self) -> B {
        self.body
    }
}

impl<B> Read for Frames<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(&self.share)?;
        while self.rest.is_empty() {
            let patience = self.patience;
            let body = &mut self.body;
            let frame = async { tokio::time::timeout(patience, body.frame()).await };
            match self.runtime.block_on(frame) {
                Ok(None) => return Ok(0),
                Ok(Some(Ok(frame))) => self.rest = frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return Err(io::Error::other(error)),
                Err(_) => return Err(too_slow("sent", patience)),
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn too_slow(done: &str, patience: Duration) -> io::Error {
    let text = format!("the client has {done} nothing for {} s", patience.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// A blocking writer whose bytes are an answer's body.
pub(crate) struct BlockingWriter {
    sender: mpsc::Sender<Bytes>,
    runtime: Handle,
    gathered: Vec<u8>,
    share: Share,
    patience: Duration,
    /// The answer is not whole and must not look so.
    is_broken: Arc<AtomicBool>,
}

/// A writer for a thread that may block, and what comes of it.
pub(crate) fn blocking_writer()
-> (BlockingWriter, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let is_broken = Arc::new(AtomicBool::new(false));
    let state = (receiver, Arc::clone(&is_broken));
    let pieces = futures_util::stream::unfold(state, async |(mut receiver, is_broken)| {
        let piece = match receiver.recv().await {
            Some(piece) => Ok(piece),
            // Once: then it is at its end.
            None if is_broken.swap(false, Ordering::Relaxed) => {
                Err(too_slow("taken", PIECE_PATIENCE))
            }
            None => return None,
        };
        Some((piece, (receiver, is_broken)))
    });
    let writer = BlockingWriter {
        sender,
        runtime: Handle::current(),
        gathered: Vec::new(),
        share: LONG_BODIES.try_acquire().ok(),
        patience: PIECE_PATIENCE,
        is_broken,
    };
    (writer, pieces)
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
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(too_slow("taken", self.patience));
        }
        let sending = async { self.sender.send_timeout(piece, self.patience).await };
        self.runtime.block_on(sending).map_err(|error| match error {
            SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
            SendTimeoutError::Timeout(_) => {
                self.is_broken.store(true, Ordering::Relaxed);
                too_slow("taken", self.patience)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn an_upload_that_stands_still_is_given_up() {
        let first = Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"first")));
        let pieces = futures_util::stream::iter([first]).chain(futures_util::stream::pending());
        let mut frames = Frames::new(StreamBody::new(pieces));
        frames.patience = SHORT;
        let read = tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            let error = frames.read_to_end(&mut text).unwrap_err();
            (text, error)
        });
        let (text, error) = read.await.unwrap();
        assert_eq!(text, b"first");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_download_that_nobody_takes_is_given_up_and_does_not_look_whole() {
        let (mut writer, mut pieces) = {
            let (writer, pieces) = blocking_writer();
            (writer, Box::pin(pieces))
        };
        writer.patience = SHORT;
        let written = tokio::task::spawn_blocking(move || {
            let error = std::iter::repeat_n([0; PIECE_BYTES_MIN], PIECES_WAITING_MAX + 1)
                .find_map(|piece| writer.write_all(&piece).err());
            // Nobody waits a second time.
            let again = writer.write_all(&[0; PIECE_BYTES_MIN]).unwrap_err();
            (error.unwrap(), again)
        });
        let (error, again) = written.await.unwrap();
        assert_eq!([error.kind(), again.kind()], [io::ErrorKind::TimedOut; 2]);
        for _ in 0..PIECES_WAITING_MAX {
            assert!(pieces.next().await.unwrap().is_ok());
        }
        assert!(pieces.next().await.unwrap().is_err());
        assert!(pieces.next().await.is_none());
    }
}

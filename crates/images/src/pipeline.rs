//! Work on a stream by several threads, each on the piece that the one before it has done.
//!
//! Pieces travel through bounded channels, so that memory is bounded by their number, and a
//! slow stage holds up the faster ones before it. A stage that fails hangs up; the one before
//! it notices when it next sends.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use oci::{Digest, Hasher};

/// Bytes of a piece: enough that handing it over costs nothing.
pub(crate) const PIECE_LENGTH: usize = 256 << 10;

/// Pieces that wait between two stages.
pub(crate) const PIECES_WAITING: usize = 8;

/// What the threads need: none of them recurses deeply.
const STACK_LENGTH: usize = 1 << 20;

/// A piece of a stream. Several stages may look at the same one.
pub(crate) type Piece = Arc<Vec<u8>>;

/// Starts a stage.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().name(name.to_owned()).stack_size(STACK_LENGTH).spawn_scoped(scope, work)
}

/// Waits for a stage. Should it have panicked, so does this thread.
pub(crate) fn join<T>(stage: ScopedJoinHandle<'_, T>) -> T {
    stage.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Reads the next piece. An empty one is the end.
pub(crate) fn read_piece(input: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE_LENGTH);
    input.take(PIECE_LENGTH as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Hashes whatever comes.
pub(crate) fn hash(pieces: &Receiver<Piece>) -> Digest {
    let mut hasher = Hasher::default();
    for piece in pieces {
        hasher.update(&piece);
    }
    hasher.finish()
}

/// Passes a stream on, piece by piece, until it ends or whoever it is for has hung up.
pub(crate) fn pass_on(
    input: &mut dyn Read,
    output: &SyncSender<io::Result<Piece>>,
    mut after_each: impl FnMut(),
) {
    loop {
        let piece = match read_piece(input) {
            Ok(piece) if piece.is_empty() => return,
            piece => piece.map(Arc::new),
        };
        let is_last = piece.is_err();
        if output.send(piece).is_err() || is_last {
            return;
        }
        after_each();
    }
}

/// Cuts what is written into pieces, for a [`PieceReader`].
#[derive(Debug)]
pub(crate) struct PieceWriter {
    output: SyncSender<io::Result<Piece>>,
    piece: Vec<u8>,
}

impl PieceWriter {
    pub(crate) fn new(output: SyncSender<io::Result<Piece>>) -> Self {
        Self { output, piece: Vec::new() }
    }

    /// Lets the reader fail, if there is one still.
    pub(crate) fn fail(self, error: io::Error) {
        let _ = self.output.send(Err(error));
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_LENGTH {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        self.output.send(Ok(Arc::new(piece))).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A stream again, made of the pieces that come.
#[derive(Debug)]
pub(crate) struct PieceReader<I> {
    pieces: I,
    current: Piece,
    /// How much of the current piece was read.
    read: usize,
}

impl<I: Iterator<Item = io::Result<Piece>>> PieceReader<I> {
    pub(crate) fn new(pieces: I) -> Self {
        Self { pieces, current: Piece::default(), read: 0 }
    }
}

impl<I: Iterator<Item = io::Result<Piece>>> BufRead for PieceReader<I> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.read == self.current.len() {
            match self.pieces.next() {
                None => return Ok(&[]),
                Some(piece) => {
                    self.current = piece?;
                    self.read = 0;
                }
            }
        }
        Ok(&self.current[self.read..])
    }

    fn consume(&mut self, length: usize) {
        self.read += length;
    }
}

impl<I: Iterator<Item = io::Result<Piece>>> Read for PieceReader<I> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let buffer = self.fill_buf()?;
        let length = buffer.len().min(target.len());
        target[..length].copy_from_slice(&buffer[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_stream_comes_out_as_it_went_in() {
        let content: Vec<u8> = (0..PIECE_LENGTH * 3 + 5).map(|at| at.to_le_bytes()[0]).collect();
        let (output, pieces) = sync_channel(1);
        let received = thread::scope(|scope| {
            let reader = spawn(scope, "reader", move || {
                let mut received = Vec::new();
                PieceReader::new(pieces.into_iter()).read_to_end(&mut received).map(|_| received)
            });
            pass_on(&mut &content[..], &output, || {});
            drop(output);
            join(reader.unwrap()).unwrap()
        });
        assert_eq!(received, content);
    }

    #[test]
    fn an_error_comes_out_where_it_happened() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let (output, pieces) = sync_channel(1);
        pass_on(&mut Failing, &output, || {});
        let error = PieceReader::new(pieces.into_iter()).fill_buf().unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }
}

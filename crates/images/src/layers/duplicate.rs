//! The same layer once more, to be put above other layers.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use oci::Digest;

use crate::layers::ArchiveError;
use crate::layers::assemble::{AssembleError, assemble};
use crate::layers::unpack::{Unpacked, unpack};
use crate::pipeline::{self, PIECE_LENGTH, PIECES_WAITING, Piece, PieceReader};
use crate::store::Parts;

/// Makes a layer's archive again, and unpacks it once more. Someone must hold on to it.
pub(crate) fn duplicate(parts: &Parts, chain_id: &Digest) -> Result<Unpacked, ArchiveError> {
    let folder = parts.folders.layer(chain_id);
    let (output, pieces) = sync_channel(PIECES_WAITING);
    thread::scope(|scope| {
        let assembler = pipeline::spawn(scope, "assemble", move || {
            let mut writer = PieceWriter { output, piece: Vec::new() };
            let written = assemble(&folder, &mut writer)
                .and_then(|_| writer.flush().map_err(AssembleError::Write));
            if let Err(AssembleError::Read(error)) = written {
                let _ = writer.output.send(Err(error));
            }
        })
        .map_err(ArchiveError::Write)?;
        let unpacked = unpack(&parts.folders, PieceReader::new(pieces.into_iter()));
        pipeline::join(assembler);
        unpacked
    })
}

/// Cuts what is written into pieces.
struct PieceWriter {
    output: SyncSender<io::Result<Piece>>,
    piece: Vec<u8>,
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

//! The same layer once more, to be put above other layers.

use std::io::Write as _;
use std::sync::mpsc::sync_channel;
use std::thread;

use oci::Digest;

use crate::layers::ArchiveError;
use crate::layers::assemble::{AssembleError, assemble};
use crate::layers::unpack::{Unpacked, unpack};
use crate::pipeline::{self, PIECES_WAITING, PieceReader, PieceWriter};
use crate::store::Parts;

/// Makes a layer's archive again, and unpacks it once more. Someone must hold on to it.
pub(crate) fn duplicate(parts: &Parts, chain_id: &Digest) -> Result<Unpacked, ArchiveError> {
    let folder = parts.folders.layer(chain_id);
    let (output, pieces) = sync_channel(PIECES_WAITING);
    thread::scope(|scope| {
        let assembler = pipeline::spawn(scope, "assemble", move || {
            let mut writer = PieceWriter::new(output);
            let written = assemble(&folder, &mut writer)
                .and_then(|_| writer.flush().map_err(AssembleError::Write));
            if let Err(AssembleError::Read(error)) = written {
                writer.fail(error);
            }
        })
        .map_err(ArchiveError::Write)?;
        let unpacked = unpack(&parts.folders, PieceReader::new(pieces.into_iter()));
        pipeline::join(assembler);
        unpacked
    })
}

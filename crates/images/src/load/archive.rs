//! What an archive of images holds: its documents, and its layers already unpacked.
//!
//! The documents say what is a layer, but they mostly come last, and the archive is a stream
//! that cannot be read twice. So whatever looks like a layer is unpacked as it comes by, and
//! the documents are believed only afterwards. Layers that none of them names are dropped.
//!
//! ```text
//! caller ── pieces ──▶ archive ── pieces ──▶ layer 1: decompress ──▶ hash
//!  (reads)              (tar)   │                        └──────────▶ make files
//!                               └─ pieces ──▶ layer 2: …
//! ```

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use archive::entry::{Entry, Kind};
use archive::header::Header;
use archive::place;
use archive::reader::{End, NoTape, Reader};
use archive::{BLOCK_LENGTH, TarError};
use oci::Digest;

use crate::compression::{Compression, decompress};
use crate::folders::Folders;
use crate::layers::unpack::{self, Unpacked};

use crate::layers::ArchiveError;
use crate::load::LoadProgress;
use crate::pipeline::{self, PIECE_LENGTH, PIECES_WAITING, Piece, PieceReader};

/// Layers that are unpacked at the same time. More would not be faster, but take memory.
const LAYERS_AT_ONCE: usize = 3;

/// A layer's pieces that wait for its decompression, so that the next layer can be begun
/// meanwhile.
const LAYER_PIECES_WAITING: usize = 4 * PIECES_WAITING;

/// A larger document is not one of ours, and is left out. Registries draw the line for
/// manifests at 4 MiB.
const DOCUMENT_LENGTH_MAX: u64 = 8 << 20;

/// All documents of an archive together.
const DOCUMENTS_LENGTH_MAX: u64 = 64 << 20;

/// Bytes of a layer between two reports.
const PROGRESS_LENGTH: u64 = 512 << 10;

/// Symlinks from file to file that are followed.
const ALIASES_MAX: usize = 16;

/// Everything in an archive, by its cleaned path.
#[derive(Debug, Default)]
pub(super) struct Contents {
    documents: HashMap<Vec<u8>, Vec<u8>>,
    layers: HashMap<Vec<u8>, ArchivedLayer>,
    /// Links. Old versions of `docker save` wrote a layer once, and then links to it.
    aliases: HashMap<Vec<u8>, Vec<u8>>,
}

/// Something that looked like a layer.
#[derive(Debug)]
pub(super) struct ArchivedLayer {
    /// The digest of the file as it stands in the archive, if its name is one.
    pub(super) digest: Option<Digest>,
    pub(super) unpacked: Result<Unpacked, ArchiveError>,
}

impl Contents {
    pub(super) fn document(&self, path: &str) -> Option<&[u8]> {
        self.documents.get(&self.follow(path)?).map(Vec::as_slice)
    }

    /// Hands a layer out. It is there once.
    pub(super) fn take_layer(&mut self, path: &str) -> Option<ArchivedLayer> {
        self.layers.remove(&self.follow(path)?)
    }

    pub(super) fn layer(&self, path: &str) -> Option<&ArchivedLayer> {
        self.layers.get(&self.follow(path)?)
    }

    /// Where a path leads, past links.
    fn follow(&self, path: &str) -> Option<Vec<u8>> {
        let mut path = place::clean(path.as_bytes())?;
        for _ in 0..ALIASES_MAX {
            match self.aliases.get(&path) {
                Some(target) => path.clone_from(target),
                None => return Some(path),
            }
        }
        None
    }
}

/// Reads an archive to its end.
pub(super) fn read(
    folders: &Folders,
    archive: &mut dyn Read,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Contents, ArchiveError> {
    let (output, pieces) = sync_channel(PIECES_WAITING);
    let (report, reports) = channel();
    thread::scope(|scope| {
        let collector = pipeline::spawn(scope, "archive", move || {
            collect(folders, PieceReader::new(pieces.into_iter()), &report)
        })
        .map_err(ArchiveError::Write)?;
        pipeline::pass_on(archive, &output, || reports.try_iter().for_each(&mut *progress));
        drop(output);
        reports.iter().for_each(&mut *progress);
        pipeline::join(collector)
    })
}

/// Sorts what an archive holds.
fn collect(
    folders: &Folders,
    archive: impl BufRead + Send,
    report: &Sender<LoadProgress>,
) -> Result<Contents, ArchiveError> {
    thread::scope(|scope| {
        let mut collector = Collector {
            folders,
            scope,
            report,
            contents: Contents::default(),
            documents_length: 0,
            running: VecDeque::new(),
        };
        let mut archive = Reader::new(decompress(archive)?, NoTape);
        let read = collector.read_all(&mut archive);
        // Whatever happened, the layers under way must end before their threads' scope does.
        collector.finish_until(0);
        read.map_err(unpack::explain)?;
        if archive.end() != End::Marked {
            return Err(TarError::Truncated { offset: archive.offset() }.into());
        }
        Ok(collector.contents)
    })
}

/// A layer under way.
struct Running<'scope> {
    path: Vec<u8>,
    unpacking: ScopedJoinHandle<'scope, Result<Unpacked, ArchiveError>>,
    hashing: Option<ScopedJoinHandle<'scope, Digest>>,
}

struct Collector<'scope, 'env, 'a> {
    folders: &'env Folders,
    scope: &'scope Scope<'scope, 'env>,
    report: &'a Sender<LoadProgress>,
    contents: Contents,
    documents_length: u64,
    running: VecDeque<Running<'scope>>,
}

type Archive<R> = Reader<R, NoTape>;

impl<'scope, 'env> Collector<'scope, 'env, '_> {
    fn read_all<R: BufRead>(&mut self, archive: &mut Archive<R>) -> Result<(), ArchiveError> {
        while let Some(entry) = archive.next_entry()? {
            let outside = || ArchiveError::Outside { path: entry.display() };
            let path = place::clean(&entry.path).ok_or_else(outside)?;
            match &entry.kind {
                Kind::File { fragments: None, .. } => self.read_file(&entry, path, archive)?,
                Kind::Symlink { target } => {
                    let folder = if target.starts_with(b"/") { b"" } else { place::split(&path).0 };
                    let target =
                        place::clean(&[folder, b"/", target].concat()).ok_or_else(outside)?;
                    self.contents.aliases.insert(path, target);
                }
                Kind::HardLink { target } => {
                    let target = place::clean(target).ok_or_else(outside)?;
                    self.contents.aliases.insert(path, target);
                }
                // Folders need not be made, and nothing else has a meaning here.
                _ => {}
            }
        }
        Ok(())
    }

    fn read_file<R: BufRead>(
        &mut self,
        entry: &Entry,
        path: Vec<u8>,
        archive: &mut Archive<R>,
    ) -> Result<(), ArchiveError> {
        let mut beginning = Vec::with_capacity(PIECE_LENGTH);
        read_up_to(archive, &mut beginning, BLOCK_LENGTH)?;
        // The last file of a name is the one that counts, as for everybody who unpacks.
        self.contents.documents.remove(&path);
        self.contents.layers.remove(&path);
        self.contents.aliases.remove(&path);
        if looks_like_layer(&beginning) {
            return self.read_layer(path, beginning, archive);
        }
        let length = archive.left() + beginning.len() as u64;
        if length > DOCUMENT_LENGTH_MAX || self.documents_length + length > DOCUMENTS_LENGTH_MAX {
            tracing::debug!(path = entry.display(), length, "left out of the loaded archive");
            return Ok(());
        }
        self.documents_length += length;
        let length = usize::try_from(length).expect("the limit fits");
        read_up_to(archive, &mut beginning, length)?;
        beginning.shrink_to_fit();
        self.contents.documents.insert(path, beginning);
        Ok(())
    }

    /// Hands a layer to threads of its own, piece by piece.
    fn read_layer<R: BufRead>(
        &mut self,
        path: Vec<u8>,
        mut piece: Vec<u8>,
        archive: &mut Archive<R>,
    ) -> Result<(), ArchiveError> {
        self.finish_until(LAYERS_AT_ONCE - 1);
        let mut layer = self.start_layer(path).map_err(ArchiveError::Write)?;
        let total = archive.left() + piece.len() as u64;
        let mut progress = Progress::new(&layer.running.path, total);
        loop {
            read_up_to(archive, &mut piece, PIECE_LENGTH)?;
            if piece.is_empty() {
                break;
            }
            progress.advance(piece.len() as u64, self.report);
            layer.send(Arc::new(std::mem::take(&mut piece)));
        }
        self.running.push_back(layer.running);
        Ok(())
    }

    fn start_layer(&self, path: Vec<u8>) -> io::Result<Feeding<'scope>> {
        let folders: &'env Folders = self.folders;
        let (to_unpack, pieces) = sync_channel(LAYER_PIECES_WAITING);
        let unpacking = pipeline::spawn(self.scope, "layer", move || {
            unpack::unpack(folders, PieceReader::new(pieces.into_iter()))
        })?;
        let (to_hash, hashing) = match claimed_digest(&path) {
            None => (None, None),
            Some(_) => {
                let (to_hash, pieces): (_, Receiver<Piece>) = sync_channel(LAYER_PIECES_WAITING);
                let hashing = pipeline::spawn(self.scope, "hash", move || pipeline::hash(&pieces))?;
                (Some(to_hash), Some(hashing))
            }
        };
        Ok(Feeding { to_unpack, to_hash, running: Running { path, unpacking, hashing } })
    }

    /// Waits until no more than `count` layers are under way.
    fn finish_until(&mut self, count: usize) {
        while self.running.len() > count {
            let Some(running) = self.running.pop_front() else { return };
            let unpacked = pipeline::join(running.unpacking);
            let digest = running.hashing.map(pipeline::join);
            self.contents.layers.insert(running.path, ArchivedLayer { digest, unpacked });
        }
    }
}

/// A layer that is being handed over.
struct Feeding<'scope> {
    to_unpack: SyncSender<io::Result<Piece>>,
    to_hash: Option<SyncSender<Piece>>,
    running: Running<'scope>,
}

impl Feeding<'_> {
    fn send(&mut self, piece: Piece) {
        // A layer that failed hung up, and told why. The rest of the archive goes on, for it
        // may not have been a layer at all.
        if let Some(to_hash) = &self.to_hash {
            let _ = to_hash.send(Arc::clone(&piece));
        }
        let _ = self.to_unpack.send(Ok(piece));
    }
}

/// Reports how far a layer is.
struct Progress {
    layer: String,
    current: u64,
    reported: u64,
    total: u64,
}

impl Progress {
    fn new(path: &[u8], total: u64) -> Self {
        Self { layer: short_name(path), current: 0, reported: 0, total }
    }

    fn advance(&mut self, length: u64, report: &Sender<LoadProgress>) {
        self.current += length;
        if self.current < self.total && self.current - self.reported < PROGRESS_LENGTH {
            return;
        }
        self.reported = self.current;
        // Whoever reads these ends last.
        let _ = report.send(LoadProgress {
            layer: self.layer.clone(),
            current: self.current,
            total: self.total,
        });
    }
}

/// What people recognise a layer by: the beginning of the id in its path.
fn short_name(path: &[u8]) -> String {
    let is_id = |part: &&[u8]| part.len() >= 12 && part.iter().all(u8::is_ascii_hexdigit);
    let part = path.split(|byte| *byte == b'/').rev().find(is_id).unwrap_or(path);
    String::from_utf8_lossy(part).chars().take(12).collect()
}

/// The digest that a path claims for its file: `blobs/sha256/<hex>`.
pub(super) fn claimed_digest(path: &[u8]) -> Option<Digest> {
    let hex = path.strip_prefix(b"blobs/sha256/")?;
    Digest::from_hex(std::str::from_utf8(hex).ok()?).ok()
}

/// Whether a file may be a layer: compressed, or an archive, be it an empty one.
fn looks_like_layer(beginning: &[u8]) -> bool {
    if Compression::of(beginning) != Compression::None {
        return true;
    }
    let Ok(block) = <&[u8; BLOCK_LENGTH]>::try_from(beginning) else { return false };
    *block == [0; BLOCK_LENGTH] || Header::check(block).is_ok()
}

/// Reads content until there are `length` bytes, or no more.
fn read_up_to<R: BufRead>(
    archive: &mut Archive<R>,
    target: &mut Vec<u8>,
    length: usize,
) -> Result<(), TarError> {
    while target.len() < length {
        let piece = archive.content()?;
        if piece.is_empty() {
            break;
        }
        let taken = piece.len().min(length - target.len());
        target.extend_from_slice(&piece[..taken]);
        archive.consume(taken);
    }
    Ok(())
}

//! From a layer's folder back to its archive.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use archive::place;
use archive::sparse::Fragment;
use oci::{Digest, Hasher};
use rustix::fs::{OFlags, ResolveFlags};

use crate::layers::recipe::{RecipeReader, Step};

/// Bytes read from a file at a time.
const BUFFER_LENGTH: usize = 256 << 10;

/// Why an archive was not written.
#[derive(Debug)]
pub(crate) enum AssembleError {
    /// The layer cannot be read.
    Read(io::Error),
    /// The output does not take it.
    Write(io::Error),
}

/// Something that a later entry of the archive took the place of.
#[derive(Debug)]
struct Replaced {
    /// It was there for the files of the steps up to this one.
    step: usize,
    path: Vec<u8>,
    number: u32,
}

/// Writes the archive of the layer in `folder`, and answers with the digest of what was
/// written. Whether it is the right one is for the caller to see.
pub(crate) fn assemble(folder: &Path, output: &mut dyn Write) -> Result<Digest, AssembleError> {
    let replaced = read_replaced(folder).map_err(AssembleError::Read)?;
    let root = File::open(folder.join("fs")).map_err(AssembleError::Read)?;
    let mut recipe = RecipeReader::open(&folder.join("recipe.zst")).map_err(AssembleError::Read)?;
    let mut output = Hashed { output, hasher: Hasher::default() };
    let mut buffer = vec![0; BUFFER_LENGTH];
    let mut step_count = 0;
    while let Some(step) = recipe.next_step().map_err(AssembleError::Read)? {
        match step {
            Step::Literal(bytes) => output.write(&bytes)?,
            Step::File { path, fragments } => {
                let file = match find_replaced(&replaced, step_count, &path) {
                    Some(path) => {
                        open(File::open(folder).map_err(AssembleError::Read)?.as_fd(), &path)
                    }
                    None => open(root.as_fd(), &path),
                };
                let file = file.map_err(AssembleError::Read)?;
                copy(&file, &fragments, &mut buffer, &mut output)?;
            }
            Step::Replaced { .. } => {}
        }
        step_count += 1;
    }
    Ok(output.hasher.finish())
}

/// Collects what was replaced. Most layers have nothing of the kind, and no folder for it.
fn read_replaced(folder: &Path) -> io::Result<Vec<Replaced>> {
    let mut replaced = Vec::new();
    if !folder.join("replaced").exists() {
        return Ok(replaced);
    }
    let mut recipe = RecipeReader::open(&folder.join("recipe.zst"))?;
    let mut step = 0;
    while let Some(next) = recipe.next_step()? {
        if let Step::Replaced { path, number } = next {
            replaced.push(Replaced { step, path, number });
        }
        step += 1;
    }
    Ok(replaced)
}

/// Where a file of some step is now, in the layer's folder, if it was replaced after it.
fn find_replaced(replaced: &[Replaced], step: usize, path: &[u8]) -> Option<Vec<u8>> {
    replaced.iter().filter(|replaced| replaced.step > step).find_map(|replaced| {
        let rest = path.strip_prefix(replaced.path.as_slice())?;
        if !rest.is_empty() && rest[0] != b'/' {
            return None;
        }
        Some([format!("replaced/{}", replaced.number).as_bytes(), rest].concat())
    })
}

fn open(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(place::open_at(root, path, OFlags::RDONLY | OFlags::NOFOLLOW, resolve)?.into())
}

fn copy(
    file: &File,
    fragments: &[Fragment],
    buffer: &mut [u8],
    output: &mut Hashed<'_>,
) -> Result<(), AssembleError> {
    for fragment in fragments {
        let mut at = fragment.offset;
        let mut left = fragment.length;
        while left > 0 {
            let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = &mut buffer[..length];
            file.read_exact_at(piece, at).map_err(AssembleError::Read)?;
            output.write(piece)?;
            at += length as u64;
            left -= length as u64;
        }
    }
    Ok(())
}

/// An output that knows the digest of what went through it.
struct Hashed<'a> {
    output: &'a mut dyn Write,
    hasher: Hasher,
}

impl Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), AssembleError> {
        self.hasher.update(bytes);
        self.output.write_all(bytes).map_err(AssembleError::Write)
    }
}

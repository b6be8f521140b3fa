//! How to make a layer's archive again from its tree.
//!
//! An image must be given back as it came: a layer's digest is that of its archive, to the
//! byte. Keeping the archive beside the tree would keep everything twice. Instead, all bytes
//! of the archive that are not a file's content (headers, padding, the end) are kept here,
//! compressed, and in between stands which file's content belongs there. Whoever makes the
//! archive again checks the digest.
//!
//! A later entry may take the place of an earlier one. What it replaces is moved to the
//! layer's `replaced` folder, and the recipe says so.

use archive::reader::Tape;
use archive::sparse::Fragment;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// The beginning of every recipe, with the version of what follows.
const MAGIC: &[u8] = b"wharf recipe 1\n";

const LITERAL: u8 = b'L';
const FILE: u8 = b'F';
const REPLACED: u8 = b'R';

/// Bytes collected before they are written as one step.
const LITERAL_LENGTH: usize = 32 << 10;

/// Headers repeat themselves so much that more effort saves next to nothing.
const COMPRESSION_LEVEL: i32 = 1;

/// More parts in one file are a damaged recipe.
const FRAGMENTS_MAX: u32 = 1 << 20;

/// One step of making the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// These bytes.
    Literal(Vec<u8>),
    /// These parts of a file of the tree, one after the other.
    File { path: Vec<u8>, fragments: Vec<Fragment> },
    /// What was at `path`, and below it, up to here, is now in `replaced` under `number`.
    Replaced { path: Vec<u8>, number: u32 },
}

/// Writes a recipe while its archive is unpacked.
pub(crate) struct RecipeWriter {
    output: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    literal: Vec<u8>,
}

impl RecipeWriter {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let mut output = zstd::stream::write::Encoder::new(file, COMPRESSION_LEVEL)?;
        output.write_all(MAGIC)?;
        Ok(Self { output, literal: Vec::with_capacity(LITERAL_LENGTH) })
    }

    /// The content of a file stands here.
    pub(crate) fn file(&mut self, path: &[u8], fragments: &[Fragment]) -> io::Result<()> {
        self.flush_literal()?;
        self.output.write_all(&[FILE])?;
        self.write_bytes(path)?;
        self.write_number(fragments.len())?;
        for fragment in fragments {
            self.output.write_all(&fragment.offset.to_le_bytes())?;
            self.output.write_all(&fragment.length.to_le_bytes())?;
        }
        Ok(())
    }

    /// What was at `path` has moved.
    pub(crate) fn replaced(&mut self, path: &[u8], number: u32) -> io::Result<()> {
        self.flush_literal()?;
        self.output.write_all(&[REPLACED])?;
        self.write_bytes(path)?;
        self.output.write_all(&number.to_le_bytes())
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush_literal()?;
        self.output.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(())
    }

    fn flush_literal(&mut self) -> io::Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        let literal = std::mem::take(&mut self.literal);
        self.output.write_all(&[LITERAL])?;
        self.write_bytes(&literal)?;
        self.literal = literal;
        self.literal.clear();
        Ok(())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_number(bytes.len())?;
        self.output.write_all(bytes)
    }

    fn write_number(&mut self, number: usize) -> io::Result<()> {
        let number = u32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.output.write_all(&number.to_le_bytes())
    }
}

impl Tape for RecipeWriter {
    fn literal(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(LITERAL_LENGTH) {
            if self.literal.len() + piece.len() > LITERAL_LENGTH {
                self.flush_literal()?;
            }
            self.literal.extend_from_slice(piece);
        }
        Ok(())
    }
}

impl std::fmt::Debug for RecipeWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecipeWriter").finish_non_exhaustive()
    }
}

/// Reads a recipe, step by step.
pub(crate) struct RecipeReader {
    input: BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>,
}

impl RecipeReader {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let decoder = zstd::stream::read::Decoder::new(File::open(path)?)?;
        let mut input = BufReader::new(decoder);
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(damaged());
        }
        Ok(Self { input })
    }

    pub(crate) fn next_step(&mut self) -> io::Result<Option<Step>> {
        let mut kind = [0];
        if self.input.read(&mut kind)? == 0 {
            return Ok(None);
        }
        Ok(Some(match kind[0] {
            LITERAL => Step::Literal(self.read_bytes()?),
            FILE => {
                let path = self.read_bytes()?;
                let count = self.read_number()?;
                if count > FRAGMENTS_MAX {
                    return Err(damaged());
                }
                let fragments = (0..count).map(|_| self.read_fragment());
                Step::File { path, fragments: fragments.collect::<io::Result<_>>()? }
            }
            REPLACED => Step::Replaced { path: self.read_bytes()?, number: self.read_number()? },
            _ => return Err(damaged()),
        }))
    }

    fn read_fragment(&mut self) -> io::Result<Fragment> {
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes)?;
        let offset = u64::from_le_bytes(bytes);
        self.input.read_exact(&mut bytes)?;
        Ok(Fragment { offset, length: u64::from_le_bytes(bytes) })
    }

    fn read_bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = u64::from(self.read_number()?);
        let mut bytes = Vec::new();
        // A damaged length must not become a large allocation.
        let read = (&mut self.input).take(length).read_to_end(&mut bytes)?;
        if read as u64 == length { Ok(bytes) } else { Err(damaged()) }
    }

    fn read_number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.input.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

impl std::fmt::Debug for RecipeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecipeReader").finish_non_exhaustive()
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the layer's recipe is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.zst");
        let fragments = [Fragment { offset: 0, length: 4 }, Fragment { offset: 9, length: 1 }];
        let long = vec![7; 100_000];

        let mut writer = RecipeWriter::create(&path).unwrap();
        writer.literal(b"head").unwrap();
        writer.literal(b"er").unwrap();
        writer.file(b"a/b", &fragments).unwrap();
        writer.literal(&long).unwrap();
        writer.replaced(b"a", 3).unwrap();
        writer.finish().unwrap();

        let mut reader = RecipeReader::open(&path).unwrap();
        let mut literals = Vec::new();
        let mut others = Vec::new();
        while let Some(step) = reader.next_step().unwrap() {
            match step {
                Step::Literal(bytes) => literals.extend(bytes),
                other => others.push(other),
            }
        }
        assert_eq!(literals, [&b"header"[..], &long].concat());
        let file = Step::File { path: b"a/b".to_vec(), fragments: fragments.to_vec() };
        assert_eq!(others, [file, Step::Replaced { path: b"a".to_vec(), number: 3 }]);
    }

    #[test]
    fn a_damaged_recipe_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.zst");
        let body = [MAGIC, &[LITERAL, 0xff, 0xff, 0xff, 0xff, 1]].concat();
        std::fs::write(&path, zstd::encode_all(&body[..], 1).unwrap()).unwrap();
        assert!(RecipeReader::open(&path).unwrap().next_step().is_err());
        std::fs::write(&path, b"something else").unwrap();
        assert!(RecipeReader::open(&path).is_err());
    }
}

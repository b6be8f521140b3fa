//! Writes archives of plain files and folders, the same for the same input.

use std::io::{self, Write};

use crate::BLOCK_LENGTH;

/// The largest size that fits a header in octal.
const OCTAL_SIZE_MAX: u64 = 0o777_7777_7777;

/// An archive that is being written.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    pub fn new(output: W) -> Self {
        Self { output }
    }

    pub fn folder(&mut self, path: &str, seconds: u64) -> io::Result<()> {
        let header = header(&format!("{path}/"), b'5', 0o755, 0, seconds);
        self.output.write_all(&header)
    }

    pub fn file(&mut self, path: &str, seconds: u64, content: &[u8]) -> io::Result<()> {
        self.begin(path, seconds, content.len() as u64)?;
        self.output.write_all(content)?;
        self.pad(content.len() as u64)
    }

    /// Writes a file that can be run.
    pub fn program(&mut self, path: &str, seconds: u64, content: &[u8]) -> io::Result<()> {
        let size = content.len() as u64;
        self.output.write_all(&header(path, b'0', 0o755, size, seconds))?;
        self.output.write_all(content)?;
        self.pad(size)
    }

    /// Writes the header of a file. Its content goes to [`Self::output`], then [`Self::pad`].
    pub fn begin(&mut self, path: &str, seconds: u64, size: u64) -> io::Result<()> {
        self.output.write_all(&header(path, b'0', 0o644, size, seconds))
    }

    pub fn output(&mut self) -> &mut W {
        &mut self.output
    }

    /// Fills the last block of a file.
    pub fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK_LENGTH as u64) - size;
        self.output.write_all(&[0; BLOCK_LENGTH][..usize::try_from(padding).unwrap_or_default()])
    }

    /// Writes the end mark.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.write_all(&[0; 2 * BLOCK_LENGTH])?;
        self.output.flush()?;
        Ok(self.output)
    }
}

/// A header of root's. The paths written here fit its 100 bytes.
fn header(path: &str, kind: u8, mode: u32, size: u64, seconds: u64) -> [u8; BLOCK_LENGTH] {
    let mut block = [0; BLOCK_LENGTH];
    let mut put =
        |start: usize, bytes: &[u8]| block[start..start + bytes.len()].copy_from_slice(bytes);
    put(0, path.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, &size_field(size));
    put(136, format!("{:011o}\0", seconds.min(OCTAL_SIZE_MAX)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// In octal, or in base 256 from 8 GiB up.
fn size_field(size: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if size <= OCTAL_SIZE_MAX {
        field.copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&size.to_be_bytes());
    }
    field
}

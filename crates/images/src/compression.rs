//! Telling how something is compressed, and undoing it.

use std::io::{self, BufRead, BufReader, Read};

use crate::layers::ArchiveError;
use crate::pipeline::PIECE_LENGTH;

/// How something is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    /// Known by its looks, but not understood.
    Other(&'static str),
}

impl Compression {
    /// Tells it by the beginning.
    pub(crate) fn of(beginning: &[u8]) -> Self {
        let begins = |magic: &[u8]| beginning.starts_with(magic);
        if begins(b"\x1f\x8b\x08") {
            Self::Gzip
        } else if begins(b"\x28\xb5\x2f\xfd") || is_skippable_zstd_frame(beginning) {
            Self::Zstd
        } else if begins(b"BZh") {
            Self::Other("bzip2")
        } else if begins(b"\xfd7zXZ\0") {
            Self::Other("xz")
        } else {
            Self::None
        }
    }
}

/// Some writers (of seekable archives) begin with a frame of notes.
fn is_skippable_zstd_frame(beginning: &[u8]) -> bool {
    matches!(beginning, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Undoes the compression that the input turns out to have.
pub fn decompress<'a, R: BufRead + Send + 'a>(
    mut input: R,
) -> Result<Box<dyn BufRead + Send + 'a>, ArchiveError> {
    let compression = Compression::of(input.fill_buf().map_err(ArchiveError::Read)?);
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => buffered(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => buffered(
            zstd::stream::read::Decoder::with_buffer(input).map_err(ArchiveError::Decompress)?,
        ),
        Compression::Other(compression) => return Err(ArchiveError::Compression { compression }),
    })
}

fn buffered<'a>(input: impl Read + Send + 'a) -> Box<dyn BufRead + Send + 'a> {
    Box::new(BufReader::with_capacity(PIECE_LENGTH, Marked(input)))
}

/// Marks errors as the decompressor's, so that "corrupt deflate stream" is not taken for a
/// failure to read.
struct Marked<R>(R);

/// The mark.
#[derive(Debug, thiserror::Error)]
#[error("the compressed data is damaged or cut off")]
pub(crate) struct DecompressError(#[source] io::Error);

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.0.read(target).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, DecompressError(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decompress(compressed).unwrap().read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn what_is_compressed_is_read_as_it_was() {
        assert_eq!(read(b"plain").unwrap(), b"plain");
        assert_eq!(read(b"").unwrap(), b"");
        assert_eq!(read(&gzip(b"zipped")).unwrap(), b"zipped");
        assert_eq!(read(&zstd::encode_all(&b"zst"[..], 1).unwrap()).unwrap(), b"zst");
    }

    #[test]
    fn several_members_are_one_stream() {
        assert_eq!(read(&[gzip(b"one "), gzip(b"two")].concat()).unwrap(), b"one two");
        let frame = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        assert_eq!(read(&[frame(b"one "), frame(b"two")].concat()).unwrap(), b"one two");
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for compressed in [gzip(&[7; 9000]), zstd::encode_all(&[7; 9000][..], 1).unwrap()] {
            for length in 7..compressed.len() {
                assert!(read(&compressed[..length]).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn a_compression_that_is_not_understood_is_named() {
        let error = |bytes: &[u8]| decompress(bytes).err().unwrap().to_string();
        assert_eq!(error(b"BZh91AY"), "bzip2 archives are not supported");
        assert_eq!(error(b"\xfd7zXZ\0"), "xz archives are not supported");
    }
}

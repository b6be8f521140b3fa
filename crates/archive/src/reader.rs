//! Reads an archive from its beginning to its end, once.

use std::io::{self, BufRead};

use crate::entry::{Entry, Kind, Time};
use crate::header::{self, Header};
use crate::pax::{self, Records};
use crate::sparse::{self, InRecords, Map};
use crate::{BLOCK_LENGTH, TarError};

/// A header's extension (a long name, PAX records, a sparse map) must be shorter. Go's reader,
/// and so Docker, draws the line here as well.
const EXTENSION_LENGTH_MAX: u64 = 1 << 20;

/// No file is longer: the kernel counts with a sign.
const CONTENT_LENGTH_MAX: u64 = i64::MAX as u64;

/// Takes down every byte of an archive that is not the content of a file.
pub trait Tape {
    fn literal(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Takes nothing down.
#[derive(Debug)]
pub struct NoTape;

impl Tape for NoTape {
    fn literal(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// How an archive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    NotReached,
    /// With the two empty blocks that say so.
    Marked,
    /// The input just ended, though not within an entry.
    Unmarked,
}

/// An archive that is being read.
#[derive(Debug)]
pub struct Reader<R, T> {
    input: R,
    tape: T,
    /// Bytes read so far.
    offset: u64,
    /// Bytes of the current entry's content that were not read yet.
    left: u64,
    /// Bytes after the content, up to the next block.
    padding: u64,
    end: End,
}

/// What extension headers said of the entry that follows them.
#[derive(Debug, Default)]
struct Extensions {
    records: Records,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

type Block = [u8; BLOCK_LENGTH];

impl<R: BufRead, T: Tape> Reader<R, T> {
    pub fn new(input: R, tape: T) -> Self {
        Self { input, tape, offset: 0, left: 0, padding: 0, end: End::NotReached }
    }

    pub fn end(&self) -> End {
        self.end
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn tape(&mut self) -> &mut T {
        &mut self.tape
    }

    pub fn into_tape(self) -> T {
        self.tape
    }

    /// Goes to the next entry, past whatever is left of this one.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.end != End::NotReached {
            return Ok(None);
        }
        self.skip(self.left)?;
        self.left = 0;
        self.skip(self.padding)?;
        self.padding = 0;

        let mut extensions = Extensions::default();
        loop {
            let start = self.offset;
            let Some(block) = self.read_header()? else { return Ok(None) };
            let header = Header::check(&block)
                .map_err(|reason| TarError::Header { offset: start, reason })?;
            let refused = |reason| TarError::Header { offset: start, reason };
            match header.kind() {
                b'x' | b'X' => {
                    let body = self.read_extension(header.size().map_err(refused)?, start)?;
                    extensions.records = Records::parse(&body).map_err(refused)?;
                }
                // What a PAX header says of all entries after it is a comment in practice
                // (`git archive` writes one); Docker does not look at it either.
                b'g' => {
                    self.read_extension(header.size().map_err(refused)?, start)?;
                }
                b'L' => {
                    let body = self.read_extension(header.size().map_err(refused)?, start)?;
                    extensions.long_path = Some(header::text(&body).to_vec());
                }
                b'K' => {
                    let body = self.read_extension(header.size().map_err(refused)?, start)?;
                    extensions.long_link = Some(header::text(&body).to_vec());
                }
                _ => return self.read_entry(&header, &extensions, start).map(Some),
            }
        }
    }

    /// Some more of the current entry's content; empty at its end. [`Self::consume`] says how
    /// much of it was taken. Content is not written to the tape.
    pub fn content(&mut self) -> Result<&[u8], TarError> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let buffer = fill(&mut self.input)?;
        if buffer.is_empty() {
            return Err(TarError::Truncated { offset: self.offset });
        }
        Ok(&buffer[..buffer.len().min(left)])
    }

    pub fn consume(&mut self, length: usize) {
        self.input.consume(length);
        self.offset += length as u64;
        self.left -= length as u64;
    }

    /// Bytes of the current entry's content that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    fn read_entry(
        &mut self,
        header: &Header<'_>,
        extensions: &Extensions,
        start: u64,
    ) -> Result<Entry, TarError> {
        let refused = |reason| TarError::Header { offset: start, reason };
        let records = &extensions.records;

        let mut size = header.size().map_err(refused)?;
        if let Some(record) = records.number::<u64>("size").map_err(refused)? {
            if record > CONTENT_LENGTH_MAX {
                return Err(refused("its size is beyond that of any file"));
            }
            size = record;
        }
        let mut path = extensions.long_path.clone().unwrap_or_else(|| header.path());
        if let Some(record) = records.path("path").map_err(refused)? {
            path = record;
        }
        let mut kind = kind(header, extensions, &path, size).map_err(refused)?;
        if let Kind::File { .. } = kind {
            self.set_content_length(size);
            let map = self.read_sparse_map(header, records, start)?;
            if let Some(map) = map {
                let map = map.check(self.left).map_err(refused)?;
                kind = Kind::File { size: map.size, fragments: Some(map.fragments) };
                if let Some(record) = records.path("GNU.sparse.name").map_err(refused)? {
                    path = record;
                }
            }
        }
        if path.is_empty() || path.contains(&0) {
            return Err(refused("it has no path"));
        }
        attributes(header, records, path, kind).map_err(refused)
    }

    fn set_content_length(&mut self, size: u64) {
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK_LENGTH as u64) - size;
    }

    /// Finds out where the content of a sparse file goes. Reads the map where it stands after
    /// the header.
    fn read_sparse_map(
        &mut self,
        header: &Header<'_>,
        records: &Records,
        start: u64,
    ) -> Result<Option<Map>, TarError> {
        let refused = |reason| TarError::Header { offset: start, reason };
        if header.kind() == b'S' {
            return self.read_gnu_map(header, start).map(Some);
        }
        match sparse::in_records(records).map_err(refused)? {
            InRecords::None => Ok(None),
            InRecords::Map(map) => Ok(Some(map)),
            InRecords::BeforeContent { size } => self.read_leading_map(size, start).map(Some),
        }
    }

    fn read_gnu_map(&mut self, header: &Header<'_>, start: u64) -> Result<Map, TarError> {
        let refused = |reason| TarError::Header { offset: start, reason };
        let (size, entries, mut goes_on) = header.sparse();
        let size = header::number(size).and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or(refused("its sparse map has no size"))?;
        let mut fragments = Vec::new();
        sparse::extend_from_gnu(&mut fragments, entries).map_err(refused)?;
        while goes_on {
            let mut block = [0; BLOCK_LENGTH];
            self.read_exact(&mut block)?;
            sparse::extend_from_gnu(&mut fragments, &block[..504]).map_err(refused)?;
            goes_on = block[504] != 0;
        }
        Ok(Map { size, fragments })
    }

    /// The map of version 1.0: lines with numbers (how many parts, then each one's offset and
    /// length), up to the end of a block. It counts as content.
    fn read_leading_map(&mut self, size: u64, start: u64) -> Result<Map, TarError> {
        let refused = |reason| TarError::Header { offset: start, reason };
        let mut numbers: Vec<u64> = Vec::new();
        let mut line = Vec::new();
        let mut wanted = 1;
        while numbers.len() < wanted {
            if self.left < BLOCK_LENGTH as u64 {
                return Err(refused("its sparse map is incomplete"));
            }
            let mut block = [0; BLOCK_LENGTH];
            self.read_exact(&mut block)?;
            self.left -= BLOCK_LENGTH as u64;
            for byte in block {
                if numbers.len() == wanted {
                    break;
                }
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let number = pax::number(&line).map_err(refused)?;
                line.clear();
                numbers.push(number);
                if numbers.len() == 1 {
                    wanted = usize::try_from(number)
                        .ok()
                        .filter(|count| *count <= sparse::FRAGMENTS_MAX)
                        .map(|count| 1 + 2 * count)
                        .ok_or(refused("its sparse map is too long"))?;
                }
            }
            if line.len() > 20 {
                return Err(refused("its sparse map is not made of numbers"));
            }
        }
        Ok(Map { size, fragments: sparse::pairs(&numbers[1..]).map_err(refused)? })
    }

    /// The body of an extension header, without its padding.
    fn read_extension(&mut self, size: u64, start: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENSION_LENGTH_MAX {
            return Err(TarError::Header { offset: start, reason: "its extension is too long" });
        }
        let size = usize::try_from(size).expect("the limit fits");
        let mut body = vec![0; size.next_multiple_of(BLOCK_LENGTH)];
        self.read_exact(&mut body)?;
        body.truncate(size);
        Ok(body)
    }

    /// The next block, unless the archive ends here.
    fn read_header(&mut self) -> Result<Option<Block>, TarError> {
        let Some(block) = self.read_block()? else {
            self.end = End::Unmarked;
            return Ok(None);
        };
        if block != [0; BLOCK_LENGTH] {
            return Ok(Some(block));
        }
        let start = self.offset;
        match self.read_block()? {
            Some(block) if block != [0; BLOCK_LENGTH] => {
                Err(TarError::Header { offset: start, reason: "it follows an empty block" })
            }
            // Some writers are content with one empty block.
            _ => {
                self.end = End::Marked;
                self.skip_all()?;
                Ok(None)
            }
        }
    }

    /// A block, or nothing if the input is at its end.
    fn read_block(&mut self) -> Result<Option<Block>, TarError> {
        if fill(&mut self.input)?.is_empty() {
            return Ok(None);
        }
        let mut block = [0; BLOCK_LENGTH];
        self.read_exact(&mut block)?;
        Ok(Some(block))
    }

    fn read_exact(&mut self, target: &mut [u8]) -> Result<(), TarError> {
        let mut filled = 0;
        while filled < target.len() {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return Err(TarError::Truncated { offset: self.offset });
            }
            let length = buffer.len().min(target.len() - filled);
            target[filled..filled + length].copy_from_slice(&buffer[..length]);
            self.input.consume(length);
            self.offset += length as u64;
            filled += length;
        }
        self.tape.literal(target).map_err(TarError::Read)
    }

    /// Reads past some bytes, which the tape takes down.
    fn skip(&mut self, mut length: u64) -> Result<(), TarError> {
        while length > 0 {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return Err(TarError::Truncated { offset: self.offset });
            }
            let taken = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
            self.tape.literal(&buffer[..taken]).map_err(TarError::Read)?;
            self.input.consume(taken);
            self.offset += taken as u64;
            length -= taken as u64;
        }
        Ok(())
    }

    /// Reads what follows the archive. GNU tar fills its last record with empty blocks.
    fn skip_all(&mut self) -> Result<(), TarError> {
        loop {
            let length = fill(&mut self.input)?.len() as u64;
            if length == 0 {
                return Ok(());
            }
            self.skip(length)?;
        }
    }
}

fn fill<R: BufRead>(input: &mut R) -> Result<&[u8], TarError> {
    // What a loop over `Interrupted` would return cannot leave it while the borrow checker
    // does not see that; so the first call waits, and the second returns what is there.
    while let Err(error) = input.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(TarError::Read(error));
        }
    }
    input.fill_buf().map_err(TarError::Read)
}

/// What an entry is, by its header and extensions. A file's holes come later.
fn kind(
    header: &Header<'_>,
    extensions: &Extensions,
    path: &[u8],
    size: u64,
) -> Result<Kind, &'static str> {
    let device = || header.device();
    let target = || -> Result<Vec<u8>, &'static str> {
        if let Some(record) = extensions.records.path("linkpath")? {
            return Ok(record);
        }
        let target = extensions.long_link.clone().unwrap_or_else(|| header.link());
        if target.is_empty() { Err("it is a link to nothing") } else { Ok(target) }
    };
    Ok(match header.kind() {
        // Before there was a kind for folders, their paths ended so.
        b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::File { size, fragments: None },
        b'1' => Kind::HardLink { target: target()? },
        b'2' => Kind::Symlink { target: target()? },
        b'3' => {
            let (major, minor) = device()?;
            Kind::CharacterDevice { major, minor }
        }
        b'4' => {
            let (major, minor) = device()?;
            Kind::BlockDevice { major, minor }
        }
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return Err("it is of an unknown kind"),
    })
}

fn attributes(
    header: &Header<'_>,
    records: &Records,
    path: Vec<u8>,
    kind: Kind,
) -> Result<Entry, &'static str> {
    let modified = match records.time("mtime")? {
        Some(time) => time,
        None => Time { seconds: header.modified()?, nanoseconds: 0 },
    };
    let uid = records.number("uid")?.map_or_else(|| header.uid(), Ok)?;
    let gid = records.number("gid")?.map_or_else(|| header.gid(), Ok)?;
    let mode = u32::try_from(header.mode()? & 0o7777).expect("the mask leaves 12 bits");
    Ok(Entry {
        path,
        kind,
        mode,
        uid: owner(uid)?,
        gid: owner(gid)?,
        modified,
        accessed: records.time("atime")?,
        xattrs: records.xattrs(),
    })
}

/// The highest number stands for "as it is" in the kernel, and so for nobody.
fn owner(number: i64) -> Result<u32, &'static str> {
    u32::try_from(number).ok().filter(|number| *number != u32::MAX).ok_or("its owner is nobody")
}

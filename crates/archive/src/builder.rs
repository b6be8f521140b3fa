//! Archives for tests, in every dialect, made from scratch so that the reader is not checked
//! against itself.

use crate::BLOCK_LENGTH;

/// An archive under construction. Each method adds one entry, as GNU or PAX writers do.
#[derive(Debug, Default, Clone)]
pub struct Builder {
    bytes: Vec<u8>,
}

/// The fields of one header.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    pub path: &'a str,
    pub kind: u8,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub modified: u64,
    pub link: &'a str,
    pub device: (u32, u32),
    pub is_gnu: bool,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            path: "",
            kind: b'0',
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified: 1_700_000_000,
            link: "",
            device: (0, 0),
            is_gnu: false,
        }
    }
}

impl Builder {
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(&Fields { path, ..Fields::default() }, content)
    }

    pub fn folder(self, path: &str) -> Self {
        self.entry(&Fields { path, kind: b'5', mode: 0o755, ..Fields::default() }, b"")
    }

    pub fn symlink(self, path: &str, link: &str) -> Self {
        self.entry(&Fields { path, link, kind: b'2', mode: 0o777, ..Fields::default() }, b"")
    }

    pub fn hard_link(self, path: &str, link: &str) -> Self {
        self.entry(&Fields { path, link, kind: b'1', ..Fields::default() }, b"")
    }

    /// Adds a PAX header for the entry that follows.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.entry(&Fields { path: "PaxHeaders/x", kind: b'x', ..Fields::default() }, &body)
    }

    pub fn entry(mut self, fields: &Fields<'_>, content: &[u8]) -> Self {
        let header = header(fields, content.len() as u64);
        self.bytes.extend_from_slice(&header);
        self.content(content)
    }

    /// Adds content and its padding.
    pub fn content(mut self, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(content);
        let length = self.bytes.len().next_multiple_of(BLOCK_LENGTH);
        self.bytes.resize(length, 0);
        self
    }

    /// Adds bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The archive with its end mark.
    pub fn finish(self) -> Vec<u8> {
        self.raw(&[0; 2 * BLOCK_LENGTH]).bytes
    }
}

/// A header with a correct checksum.
pub fn header(fields: &Fields<'_>, size: u64) -> [u8; BLOCK_LENGTH] {
    let mut block = [0; BLOCK_LENGTH];
    let mut put =
        |start: usize, bytes: &[u8]| block[start..start + bytes.len()].copy_from_slice(bytes);
    put(0, fields.path.as_bytes());
    put(100, format!("{:07o}\0", fields.mode).as_bytes());
    put(108, &owner(fields.uid));
    put(116, &owner(fields.gid));
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", fields.modified).as_bytes());
    put(156, &[fields.kind]);
    put(157, fields.link.as_bytes());
    put(257, if fields.is_gnu { b"ustar  \0" } else { b"ustar\x0000" });
    put(329, format!("{:07o}\0", fields.device.0).as_bytes());
    put(337, format!("{:07o}\0", fields.device.1).as_bytes());
    seal(&mut block);
    block
}

/// Writes the checksum.
pub fn seal(block: &mut [u8; BLOCK_LENGTH]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn owner(number: u64) -> [u8; 8] {
    let mut field = [0; 8];
    if number < 1 << 21 {
        field.copy_from_slice(format!("{number:07o}\0").as_bytes());
    } else {
        field = number.to_be_bytes();
        field[0] |= 0x80;
    }
    field
}

/// A PAX record, whose length counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

//! The head of an answer: its status and its headers.

use std::io::{self, BufRead};

/// The longest head that is read.
const LENGTH_MAX: usize = 64 << 10;

/// The head of an answer.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) reason: String,
    /// What was asked for.
    pub(super) path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads up to the empty line that ends it.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut length = 0;
        let status_line = read_line(reader, &mut length)?;
        let mut words = status_line.splitn(3, ' ');
        let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
        let status = words.next().and_then(|status| status.parse().ok()).filter(|_| is_http);
        let mut head = Self {
            status: status.ok_or_else(|| malformed("the answer is not HTTP"))?,
            reason: words.next().unwrap_or_default().to_owned(),
            ..Self::default()
        };
        loop {
            let line = read_line(reader, &mut length)?;
            if line.is_empty() {
                return Ok(head);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("a bad header"))?;
            head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A header's value; `name` is in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A line without its end.
fn read_line(reader: &mut impl BufRead, length: &mut usize) -> io::Result<String> {
    let mut line = Vec::new();
    let read =
        io::Read::take(&mut *reader, (LENGTH_MAX - *length) as u64).read_until(b'\n', &mut line)?;
    *length += read;
    if line.pop() != Some(b'\n') {
        return Err(if *length >= LENGTH_MAX {
            malformed("the answer's head is too long")
        } else {
            io::ErrorKind::UnexpectedEof.into()
        });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| malformed("the answer's head is not text"))
}

pub(super) fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

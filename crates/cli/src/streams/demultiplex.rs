//! One stream that carries two: frames of eight bytes of header and a payload.

use std::io::{self, Read, Write};

/// The header: which stream, three zeros, the payload's length with the high byte first.
const HEADER: usize = 8;
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// A message of the engine about its own trouble.
const SYSTEM_ERROR: u8 = 3;

/// Copies each frame to the stream that it is for, until the end.
///
/// A stream that ends within a frame's header ends: the engine was killed, say.
pub(crate) fn demultiplex(
    mut from: impl Read,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
) -> io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    let (mut start, mut end) = (0, 0);
    loop {
        while end - start < HEADER {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            match read(&mut from, &mut buffer[end..])? {
                0 => return Ok(()),
                length => end += length,
            }
        }
        let header = &buffer[start..start + HEADER];
        let kind = header[0];
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        start += HEADER;
        let mut left = length as usize;
        let mut message = Vec::new();
        while left > 0 {
            if start == end {
                (start, end) = (0, read(&mut from, &mut buffer)?);
                if end == 0 {
                    return Ok(());
                }
            }
            let length = left.min(end - start);
            let payload = &buffer[start..start + length];
            match kind {
                STDIN | STDOUT => stdout.write_all(payload)?,
                STDERR => stderr.write_all(payload)?,
                SYSTEM_ERROR => message.extend_from_slice(payload),
                _ => return Err(io::Error::other(format!("Unrecognized input header: {kind}"))),
            }
            start += length;
            left -= length;
        }
        match kind {
            SYSTEM_ERROR => {
                let message = String::from_utf8_lossy(&message);
                return Err(io::Error::other(format!("error from daemon in stream: {message}")));
            }
            STDERR => stderr.flush()?,
            _ => stdout.flush()?,
        }
    }
}

fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What the other end left unread when it closed is no failure of the output.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(0),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::demultiplex;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0], &length, payload].concat()
    }

    /// Gives one byte at a time, the worst that a socket can do.
    struct Dripping<'a>(&'a [u8]);

    impl std::io::Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn frames_reach_their_streams_however_they_are_cut() {
        let stream =
            [frame(1, b"out"), frame(2, b"error"), frame(1, b""), frame(1, b"put")].concat();
        for drip in [false, true] {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            if drip {
                demultiplex(Dripping(&stream), &mut stdout, &mut stderr).unwrap();
            } else {
                demultiplex(stream.as_slice(), &mut stdout, &mut stderr).unwrap();
            }
            assert_eq!((stdout.as_slice(), stderr.as_slice()), (&b"output"[..], &b"error"[..]));
        }
    }

    #[test]
    fn the_engines_trouble_is_an_error() {
        let stream = frame(3, b"disk full");
        let error = demultiplex(stream.as_slice(), &mut Vec::new(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "error from daemon in stream: disk full");
    }
}

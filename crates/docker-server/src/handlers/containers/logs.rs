//! `GET /containers/{name}/logs`

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use docker_api::{MEDIA_TYPE_MULTIPLEXED_STREAM, MEDIA_TYPE_RAW_STREAM};
use engine::{LogEntry, LogQuery, LogStream};
use futures_util::stream;
use hyper::Response;
use jiff::Timestamp;

use crate::http::{Answer, ApiError, Request, stream as answer_stream};
use crate::show::parse_seconds;
use crate::versions;

/// The frames' numbers of the streams.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// An error of the engine's own.
const SYSTEM_ERROR: u8 = 3;

/// How lines are shown.
#[derive(Debug, Clone, Copy)]
struct Format {
    is_multiplexed: bool,
    has_timestamps: bool,
    has_details: bool,
}

pub(crate) async fn logs(request: Request) -> Result<Response<Answer>, ApiError> {
    let query = &request.query;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    let has_terminal = request.engine().container(&request.name)?.spec.process.terminal;
    let wanted = LogQuery {
        stdout,
        stderr,
        follow: query.flag("follow"),
        since: time(query.text("since"))?,
        until: time(query.text("until"))?,
        tail: tail(query.text("tail")),
    };
    let format = Format {
        is_multiplexed: !has_terminal,
        has_timestamps: query.flag("timestamps"),
        has_details: query.flag("details"),
    };
    let entries = request.engine().container_logs(&request.name, wanted).await?;
    let media_type = if format.is_multiplexed && versions::has_stream_types(request.version) {
        MEDIA_TYPE_MULTIPLEXED_STREAM
    } else {
        MEDIA_TYPE_RAW_STREAM
    };
    let pieces = stream::unfold((entries, format), async |(mut entries, format)| {
        let piece = next_piece(&mut entries, format).await?;
        Some((piece, (entries, format)))
    });
    Ok(answer_stream(media_type, pieces))
}

/// Zero and nothing are no limit.
fn time(text: &str) -> Result<Option<Timestamp>, ApiError> {
    match text {
        "" | "0" => Ok(None),
        text => parse_seconds(text).map(Some).map_err(ApiError::internal),
    }
}

/// Anything but a number is all, as `all` is.
fn tail(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Waits for what was read next.
async fn next_piece(entries: &mut LogStream, format: Format) -> Option<Bytes> {
    let mut piece = BytesMut::new();
    match entries.recv().await? {
        Ok(entries) => {
            for entry in &entries {
                put_entry(&mut piece, entry, format);
            }
        }
        Err(error) => put_error(&mut piece, &error, format),
    }
    Some(piece.freeze())
}

fn put_entry(piece: &mut BytesMut, entry: &LogEntry, format: Format) {
    let stream = if entry.is_stderr { STDERR } else { STDOUT };
    put(piece, stream, &line(entry, format), format);
}

fn put_error(piece: &mut BytesMut, error: &io::Error, format: Format) {
    let text = format!("Error grabbing logs: {error}\n");
    put(piece, SYSTEM_ERROR, text.as_bytes(), format);
}

fn put(piece: &mut BytesMut, stream: u8, text: &[u8], format: Format) {
    if format.is_multiplexed {
        piece.put_slice(&[stream, 0, 0, 0]);
        piece.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    }
    piece.put_slice(text);
}

fn line(entry: &LogEntry, format: Format) -> Vec<u8> {
    let mut line = Vec::with_capacity(entry.text.len() + 64);
    if format.has_timestamps {
        // Always nine digits, so that lines can be sorted.
        line.extend_from_slice(format!("{:.9} ", entry.at).as_bytes());
    }
    if format.has_details {
        let mut pairs: Vec<String> = entry
            .attributes
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        pairs.sort_unstable();
        line.extend_from_slice(pairs.join(",").as_bytes());
        line.push(b' ');
    }
    line.extend_from_slice(&entry.text);
    line
}

/// As in the query of an address.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(is_stderr: bool) -> LogEntry {
        LogEntry {
            at: "2026-11-21T02:29:30.5Z".parse().unwrap(),
            is_stderr,
            text: b"hi\n".to_vec(),
            attributes: vec![("b".into(), "x y".into()), ("a".into(), "1".into())],
        }
    }

    #[test]
    fn frames_say_which_stream_they_are_of() {
        let format = Format { is_multiplexed: true, has_timestamps: false, has_details: false };
        let mut piece = BytesMut::new();
        put_entry(&mut piece, &entry(true), format);
        assert_eq!(&piece[..], b"\x02\0\0\0\0\0\0\x03hi\n");
    }

    #[test]
    fn lines_begin_with_what_was_asked_for() {
        let format = Format { is_multiplexed: false, has_timestamps: true, has_details: true };
        let text = String::from_utf8(line(&entry(false), format)).unwrap();
        assert_eq!(text, "2026-11-21T02:29:30.500000000Z a=1,b=x+y hi\n");
    }
}

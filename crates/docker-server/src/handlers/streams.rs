//! The heads of connections that become raw streams.

use docker_api::{MEDIA_TYPE_MULTIPLEXED_STREAM, MEDIA_TYPE_RAW_STREAM};

use crate::http::Request;
use crate::versions;

/// What is said before the stream begins, as a Docker engine says it.
pub(super) fn head(request: &Request, has_terminal: bool) -> Vec<u8> {
    let start = if request.wants_upgrade() {
        let is_multiplexed = !has_terminal && versions::has_stream_types(request.version);
        let media_type =
            if is_multiplexed { MEDIA_TYPE_MULTIPLEXED_STREAM } else { MEDIA_TYPE_RAW_STREAM };
        format!(
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: {media_type}\r\nConnection: Upgrade\r\n\
             Upgrade: tcp\r\n"
        )
    } else {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {MEDIA_TYPE_RAW_STREAM}\r\n")
    };
    format!("{start}\r\n").into_bytes()
}

/// Tells an error on a connection that is no HTTP any more. Its buffer is empty, so that this
/// either fits at once or the client has gone.
pub(super) fn write_last_words(socket: std::os::fd::OwnedFd, words: &[u8]) {
    use std::io::Write as _;
    let mut file = std::fs::File::from(socket);
    if let Err(error) = file.write_all(words) {
        tracing::debug!(%error, "a client left before it heard why its stream failed");
    }
}

/// A line of output, as a container with or without a terminal would write it.
pub(super) fn output(text: &str, has_terminal: bool) -> Vec<u8> {
    let line = format!("{text}\r\n").into_bytes();
    if has_terminal {
        return line;
    }
    let length = u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[1, 0, 0, 0], &length[..], &line].concat()
}

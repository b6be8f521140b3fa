//! Long answers that are written by code which blocks.

use std::io::Write as _;

use hyper::Response;

use crate::http::{Answer, BlockingWriter, blocking_writer, long_stream};

/// An answer that blocking code writes. Should that fail, the body ends early, and the daemon's
/// log says `what` went wrong, unless it is only that the client has gone.
pub(super) fn download<E: std::error::Error + 'static>(
    content_type: &'static str,
    what: String,
    write: impl FnOnce(&mut BlockingWriter) -> Result<(), E> + Send + 'static,
) -> Response<Answer> {
    let (mut writer, pieces) = blocking_writer();
    tokio::task::spawn_blocking(move || {
        let written = write(&mut writer);
        // If this fails, the client has gone.
        let _ = writer.flush();
        if let Err(error) = written
            && !reader_has_gone(&error)
        {
            tracing::warn!("{what}: {}", errors::chain(&error));
        }
    });
    long_stream(content_type, pieces)
}

/// Whether an error means that whoever was written to has gone: nobody's fault, and nobody is
/// left to be told.
fn reader_has_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

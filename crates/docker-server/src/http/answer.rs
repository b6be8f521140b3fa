//! Answers: JSON, nothing, or a stream.

use std::io;

use bytes::Bytes;
use docker_api::MEDIA_TYPE_RAW_STREAM;
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// The body of an answer.
pub(crate) type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A status and nothing else.
pub(crate) fn status_only(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(body(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// `204 No Content`.
pub(crate) fn empty() -> Response<Answer> {
    status_only(StatusCode::NO_CONTENT)
}

/// A document. It ends with a line feed, as Go writes it.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, document: &T) -> Response<Answer> {
    let mut response = Response::new(body(encode(document)));
    *response.status_mut() = status;
    set_content_type(&mut response, "application/json");
    response
}

/// Plain text.
pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(body(text.into()));
    *response.status_mut() = status;
    set_content_type(&mut response, "text/plain; charset=utf-8");
    response
}

/// Text as a container without a terminal of its own would write it.
pub(super) fn raw(status: StatusCode, text: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(body(text.into()));
    *response.status_mut() = status;
    set_content_type(&mut response, MEDIA_TYPE_RAW_STREAM);
    response
}

/// Bytes as they come, each piece sent at once. The status line goes out before the first.
pub(crate) fn stream(
    content_type: &'static str,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Answer> {
    long_stream(content_type, pieces.map(Ok))
}

/// As [`stream`]. A body that breaks off takes its connection with it, so that nobody takes it
/// for whole.
pub(crate) fn long_stream(
    content_type: &'static str,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Response<Answer> {
    let frames = pieces.map(|piece| piece.map(Frame::data));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    set_content_type(&mut response, content_type);
    response
}

/// Documents as they come, one a line.
pub(crate) fn json_stream<T: Serialize>(
    documents: impl Stream<Item = T> + Send + 'static,
) -> Response<Answer> {
    stream("application/json", documents.map(|document| encode(&document)))
}

fn encode<T: Serialize + ?Sized>(document: &T) -> Bytes {
    let mut bytes =
        serde_json::to_vec(document).expect("documents of ours have no maps with odd keys");
    bytes.push(b'\n');
    bytes.into()
}

fn body(bytes: Bytes) -> Answer {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn set_content_type(response: &mut Response<Answer>, value: &'static str) {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(value));
}

//! HTTP as Docker's clients speak it: connections, requests, answers, and connections that
//! stop being HTTP.

mod answer;
mod body;
mod connection;
mod error;
mod listener;
mod number;
mod query;
mod request;

pub(crate) use answer::{
    Answer, empty, json, json_stream, long_stream, plain, status_only, stream,
};
pub(crate) use body::{
    BlockingWriter, Frames, Unread, blocking_writer, drain, share_of_long_bodies,
};
pub(crate) use connection::{Hijacker, serve};
pub(crate) use error::ApiError;
pub use listener::{Listener, Stream};
pub(crate) use number::{fault as number_fault, parse as parse_number};
pub(crate) use query::{Query, percent_decode};
pub(crate) use request::Request;

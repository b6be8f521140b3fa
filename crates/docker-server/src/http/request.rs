//! A request, as handlers see it.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use docker_api::{ApiVersion, Filters, lenient};
use engine::Engine;
use engine::containers::ClientStream;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::connection::{Hijack, Hijacker};
use super::error::{from_filters, from_json};
use super::{ApiError, Query, Unread};
use crate::Server;

/// The longest document that is read. Docker has no limit; its largest ones, with a thousand
/// environment variables, have a few hundred KiB. Read, a document may take twenty times that.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// How long a client may take to send one.
const DOCUMENT_TIME_MAX: Duration = Duration::from_secs(60);

/// From this length on, a document waits for others that are as long.
const LONG_DOCUMENT_BYTES: usize = 512 << 10;

/// How many of those are in memory at once.
static LONG_DOCUMENTS: Semaphore = Semaphore::const_new(4);

/// A request, as handlers see it.
pub(crate) struct Request {
    pub(crate) server: Server,
    pub(crate) version: ApiVersion,
    /// What stands for `{name}` in the route.
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) head: Parts,
    pub(crate) body: Unread,
    pub(crate) hijacker: Hijacker,
}

impl Request {
    pub(crate) fn engine(&self) -> &Engine {
        &self.server.engine
    }

    pub(crate) fn filters(&self, accepted: &[&str]) -> Result<Filters, ApiError> {
        let filters =
            Filters::parse(self.query.text("filters")).map_err(|error| from_filters(&error))?;
        filters.check_names(accepted).map_err(|error| from_filters(&error))?;
        Ok(filters)
    }

    /// The filters, whatever they are called.
    pub(crate) fn any_filters(&self) -> Result<Filters, ApiError> {
        Filters::parse(self.query.text("filters")).map_err(|error| from_filters(&error))
    }

    /// Whether the client asked to leave HTTP in the way of HTTP.
    pub(crate) fn wants_upgrade(&self) -> bool {
        self.head.headers.contains_key(UPGRADE)
    }

    /// Whether there is, or may be, a body longer than that.
    pub(crate) fn has_body_over(&self, length: u64) -> bool {
        match self.content_length() {
            Some(given) => given > length,
            None => self.head.headers.contains_key(TRANSFER_ENCODING),
        }
    }

    fn content_length(&self) -> Option<u64> {
        self.head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The body as a document. An absent body is the zero value, if `or_nothing`.
    pub(crate) async fn document<T: DeserializeOwned + Default>(&mut self) -> Result<T, ApiError> {
        if !self.has_body_over(0) {
            return Ok(T::default());
        }
        self.required_document().await
    }

    /// The body as a document, which must be there.
    pub(crate) async fn required_document<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        self.check_content_type()?;
        let (bytes, _permit) = tokio::time::timeout(DOCUMENT_TIME_MAX, self.bytes())
            .await
            .map_err(|_| ApiError::too_slow(DOCUMENT_TIME_MAX))??;
        if bytes.trim_ascii().is_empty() {
            return Err(ApiError::invalid("invalid JSON: got EOF while reading request body"));
        }
        let (document, rest) = lenient::first_of(&bytes).map_err(|error| from_json(&error))?;
        // Go's decoder takes a closing bracket for the end of something around the document.
        if !matches!(rest.trim_ascii().first(), None | Some(b']' | b'}')) {
            return Err(ApiError::invalid("unexpected content after JSON"));
        }
        Ok(document)
    }

    fn check_content_type(&self) -> Result<(), ApiError> {
        let given = self
            .head
            .headers
            .get(CONTENT_TYPE)
            .map_or("", |value| value.to_str().unwrap_or("(not text)"));
        let media_type = given.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/json")
            || given.is_empty() && !self.has_body_over(0)
        {
            return Ok(());
        }
        Err(ApiError::invalid(if given.is_empty() {
            "malformed Content-Type header (): mime: no media type".to_owned()
        } else {
            format!("unsupported Content-Type header ({given}): must be 'application/json'")
        }))
    }

    /// The body, and for a long one the permission to have it in memory.
    async fn bytes(&mut self) -> Result<(Bytes, Option<SemaphorePermit<'static>>), ApiError> {
        let mut bytes = BytesMut::new();
        let mut permit = None;
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| {
                ApiError::invalid(format!("cannot read the request's body: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > DOCUMENT_BYTES_MAX {
                return Err(ApiError::too_large(DOCUMENT_BYTES_MAX));
            }
            if permit.is_none() && bytes.len() + data.len() > LONG_DOCUMENT_BYTES {
                permit = LONG_DOCUMENTS.acquire().await.ok();
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.freeze(), permit))
    }

    /// Takes the connection: says `head` on it, then lets `serve` have it.
    pub(crate) async fn hijack<F>(
        self,
        head: Vec<u8>,
        serve: impl FnOnce(ClientStream) -> F + Send + 'static,
    ) -> !
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.body.give_up();
        let hijack = Hijack { head, serve: Box::new(|stream| Box::pin(serve(stream))) };
        self.hijacker.hijack(hijack).await
    }
}

//! Refusals, on their way to a Docker client.

use docker_api::{ErrorBody, FiltersError, MEDIA_TYPE_RAW_STREAM, lenient};
use errors::{Explain, Kind};
use hyper::{Response, StatusCode};

use super::answer::{Answer, json, raw};
use crate::quirks;

/// Any error, on its way to a Docker client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    hint: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: None }
    }

    /// The request makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The request's body is longer than what is read.
    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let message = format!("the request's body is larger than {} MiB", bytes_max >> 20);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// The request's body did not come in time.
    pub(crate) fn too_slow(time_max: std::time::Duration) -> Self {
        let message = format!("the request's body has not come for {} s", time_max.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Docker does this, and Wharf does not yet. `what` is a noun in the plural or a gerund.
    pub(crate) fn not_implemented(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("not implemented by Wharf yet: {what}"))
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts `prefix` before the message, unless it begins so.
    pub(crate) fn with_prefix(mut self, prefix: &str) -> Self {
        if !self.message.starts_with(prefix) {
            self.message.insert_str(0, prefix);
        }
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_response(self) -> Response<Answer> {
        if self.status.is_server_error() {
            tracing::error!(status = self.status.as_u16(), "{}", self.message);
        }
        json(self.status, &ErrorBody { message: self.message, hint: self.hint })
    }

    /// As lines of a raw stream, which is how those are told who asked for one.
    pub(crate) fn into_raw_response(self) -> Response<Answer> {
        raw(self.status, format!("{}\r\n", self.message))
    }

    /// What a hijacked connection is told when its request fails after all: a second head,
    /// which Docker's clients show as it is.
    pub(crate) fn into_raw(self) -> Vec<u8> {
        format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {MEDIA_TYPE_RAW_STREAM}\r\n\r\n{}\r\n",
            self.status.as_u16(),
            self.status.canonical_reason().unwrap_or_default(),
            self.message
        )
        .into_bytes()
    }
}

impl<E: Explain> From<E> for ApiError {
    fn from(error: E) -> Self {
        let plain = match error.kind() {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status: quirks::status(&error).unwrap_or(plain),
            message: errors::chain(&error),
            hint: error.hint(),
        }
    }
}

/// A `filters` parameter is at fault.
pub(crate) fn from_filters(error: &FiltersError) -> ApiError {
    ApiError::invalid(error.to_string())
}

/// A document is at fault.
pub(crate) fn from_json(error: &lenient::Error) -> ApiError {
    ApiError::invalid(format!("invalid JSON: {error}"))
}

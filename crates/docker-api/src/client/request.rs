//! A request, and how it is written.

use std::fmt::{self, Write as _};
use std::io::Read;

use serde::Serialize;

/// What is asked of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
}

impl Method {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What a request carries.
pub enum Content<'a> {
    Nothing,
    Json(Vec<u8>),
    /// A stream of unknown length, and its media type.
    Stream(&'static str, &'a mut dyn Read),
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Json(bytes) => write!(f, "Json({} bytes)", bytes.len()),
            Self::Stream(kind, _) => write!(f, "Stream({kind})"),
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    pub(super) method: Method,
    pub(super) content: Content<'a>,
    pub(super) headers: String,
    pub(super) upgrade: bool,
    target: String,
}

impl<'a> Request<'a> {
    /// A request for a path that is escaped already, see [`escape`].
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            content: Content::Nothing,
            headers: String::new(),
            upgrade: false,
            target: path.into(),
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::Get, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::Post, path)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::Delete, path)
    }

    /// Adds a parameter.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let _ = write!(self.target, "{separator}{name}={}", escape(value));
        self
    }

    /// Adds a parameter if it has a value.
    pub fn query_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a parameter that is set, as `name=1`, if it is.
    pub fn query_set(self, name: &str, is_set: bool) -> Self {
        if is_set { self.query(name, "1") } else { self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    /// Carries a document.
    pub fn json(mut self, document: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(document).expect("our types have string keys only");
        self.content = Content::Json(bytes);
        self
    }

    /// Carries a stream.
    pub fn stream(mut self, kind: &'static str, stream: &'a mut dyn Read) -> Self {
        self.content = Content::Stream(kind, stream);
        self
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Whether it can be sent a second time.
    pub(super) const fn can_be_repeated(&self) -> bool {
        !matches!(self.content, Content::Stream(..))
    }
}

/// Escapes a part of a path or a parameter's value.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

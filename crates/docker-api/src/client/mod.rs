//! A client for a Docker engine: blocking HTTP/1.1 over a Unix or TCP socket.
//!
//! Blocking on purpose: a command line starts in less time than an async runtime does.
//! Connections are kept and used again. A request is sent and answered in two steps
//! ([`Client::begin`], [`Pending::finish`]), so that one thread can have several under
//! way on as many connections.
//!
//! Paths carry no API version unless [`Client::pin_version`] was called: every engine
//! takes such a path as one of its latest version, and so nobody needs to ask for that
//! version first.

mod body;
mod connection;
mod endpoint;
mod error;
mod head;
mod hijacked;
mod request;

use std::io::{self, Read as _};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;

pub use body::Body;
pub use endpoint::{Endpoint, EndpointError};
pub use error::ClientError;
pub use hijacked::{Hijacked, Side};
pub use request::{Content, Method, Request, escape};

use connection::Connection;
use head::Head;

/// The longest error answer that is read.
const ERROR_BODY_MAX: u64 = 1 << 20;

/// A client of one engine.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    /// What comes before each path: nothing, or `/v1.41`.
    prefix: String,
    /// Headers for every request, as lines.
    headers: String,
    idle: Mutex<Vec<Connection>>,
}

/// A request that was sent and not yet answered.
#[derive(Debug)]
#[must_use = "the answer must be read"]
pub struct Pending<'a> {
    client: &'a Client,
    connection: Connection,
    path: String,
    expects_body: bool,
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Response<'a> {
    pub status: u16,
    head: Head,
    client: &'a Client,
    body: Option<Body>,
}

impl Client {
    pub fn new(endpoint: Endpoint, user_agent: &str) -> Self {
        Self {
            endpoint,
            prefix: String::new(),
            headers: format!("User-Agent: {user_agent}\r\n"),
            idle: Mutex::new(Vec::new()),
        }
    }

    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Speaks this version of the API, instead of the engine's latest.
    pub fn pin_version(&mut self, version: &str) {
        self.prefix = format!("/v{version}");
    }

    /// Sends this header with every request.
    pub fn add_header(&mut self, name: &str, value: &str) {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
    }

    /// Whether somebody answers at the endpoint at all.
    pub fn connect(&self) -> Result<(), ClientError> {
        let connection = self.fresh()?;
        self.keep(connection);
        Ok(())
    }

    /// Sends a request and reads the head of the answer.
    pub fn send(&self, request: Request<'_>) -> Result<Response<'_>, ClientError> {
        self.begin(request)?.finish()
    }

    /// Sends a request and forgets what a good answer says.
    pub fn run(&self, request: Request<'_>) -> Result<(), ClientError> {
        self.send(request)?.bytes().map(drop)
    }

    /// Sends a request and reads a JSON answer.
    pub fn json<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, ClientError> {
        self.send(request)?.json()
    }

    /// Sends a request, without waiting for the answer.
    pub fn begin(&self, mut request: Request<'_>) -> Result<Pending<'_>, ClientError> {
        let path = format!("{}{}", self.prefix, request.target());
        let expects_body = request.method != Method::Head;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // A connection that was kept may have been closed at the other end. Nothing of
        // the request was acted on then, so it is safe to send it again, if it still can.
        if let Some(mut connection) = idle.filter(Connection::is_open) {
            let sent = connection.write(&mut request, &path, &self.headers);
            if sent.is_ok() || !request.can_be_repeated() {
                sent.map_err(ClientError::Send)?;
                return Ok(Pending { client: self, connection, path, expects_body });
            }
        }
        let mut connection = self.fresh()?;
        connection.write(&mut request, &path, &self.headers).map_err(ClientError::Send)?;
        Ok(Pending { client: self, connection, path, expects_body })
    }

    /// Sends a request that turns the connection into a raw stream.
    pub fn begin_hijack(&self, mut request: Request<'_>) -> Result<Pending<'_>, ClientError> {
        request.upgrade = true;
        self.begin(request)
    }

    /// A connection on which nothing has been said yet.
    pub fn dial(&self) -> Result<Hijacked, ClientError> {
        self.fresh().map(Connection::into_hijacked)
    }

    fn fresh(&self) -> Result<Connection, ClientError> {
        Connection::open(&self.endpoint)
            .map_err(|source| ClientError::Connect { endpoint: self.endpoint.clone(), source })
    }

    fn keep(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl<'a> Pending<'a> {
    /// Waits for the head of the answer; an answer that is an error becomes one.
    pub fn finish(self) -> Result<Response<'a>, ClientError> {
        let response = self.read()?;
        if response.status < 400 { Ok(response) } else { Err(response.into_error()) }
    }

    /// Waits until the connection has become a raw stream.
    pub fn finish_hijack(mut self) -> Result<Hijacked, ClientError> {
        let head = self.connection.read_head().map_err(ClientError::Receive)?;
        if matches!(head.status, 101 | 200) {
            return Ok(self.connection.into_hijacked());
        }
        Err(self.response(head).into_error())
    }

    fn read(mut self) -> Result<Response<'a>, ClientError> {
        let head = self.connection.read_head().map_err(ClientError::Receive)?;
        Ok(self.response(head))
    }

    fn response(self, head: Head) -> Response<'a> {
        let has_body = self.expects_body && !matches!(head.status, 204 | 304);
        let body = Body::new(self.connection, &head, has_body);
        let mut head = head;
        head.path = self.path;
        Response { status: head.status, head, client: self.client, body: Some(body) }
    }
}

impl Response<'_> {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The whole body. The connection can then be used again.
    pub fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = self.body.take().expect("the body is taken only here and below");
        let mut bytes = Vec::with_capacity(body.length_hint());
        body.read_to_end(&mut bytes).map_err(ClientError::Receive)?;
        if let Some(connection) = body.into_reusable() {
            self.client.keep(connection);
        }
        Ok(bytes)
    }

    /// The whole body as a JSON document.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let bytes = self.bytes()?;
        // An engine in Go may say `null` where there is nothing; few answers do, and the
        // strict reader is several times as fast.
        serde_json::from_slice(&bytes)
            .or_else(|error| crate::lenient::from_slice(&bytes).map_err(|_| error))
            .map_err(ClientError::Json)
    }

    /// The body as it comes.
    pub fn into_body(mut self) -> Body {
        self.body.take().expect("the body is taken only here and above")
    }

    fn into_error(mut self) -> ClientError {
        let mut bytes = Vec::new();
        let body = self.body.take().expect("the body is taken only here and above");
        let read = body.take(ERROR_BODY_MAX).read_to_end(&mut bytes);
        match read {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                ClientError::Receive(error)
            }
            _ => ClientError::from_answer(&self.head, &bytes),
        }
    }
}

#[cfg(test)]
mod tests;

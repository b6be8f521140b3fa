//! One client's connection, from its first request to its end.
//!
//! Attach and exec turn a connection into a raw stream in the middle of a request
//! ("hijack"). New clients ask for it with an `Upgrade` header and are answered with 101; old
//! ones just expect `200 OK` and raw bytes, which no HTTP library can do. So neither is left
//! to the library: a handler that wants the connection sends a [`Hijack`] and waits for ever.
//! The connection is then taken apart under it, and what the client has sent too early comes
//! along.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::containers::ClientStream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;

use super::{Answer, Stream};

/// What becomes of a hijacked connection.
pub(crate) struct Hijack {
    /// What the client is told before its stream begins.
    pub(crate) head: Vec<u8>,
    /// Serves the stream. It gets what the client sent already.
    pub(crate) serve: Box<dyn FnOnce(ClientStream) -> BoxedFuture + Send>,
}

pub(crate) type BoxedFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// By which a handler takes its connection.
#[derive(Clone)]
pub(crate) struct Hijacker(Arc<Mutex<Option<oneshot::Sender<Hijack>>>>);

impl Hijacker {
    /// Takes the connection. Does not come back: the handler is dropped.
    pub(crate) async fn hijack(&self, hijack: Hijack) -> ! {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // A failure means that the connection is gone, and this handler with it.
            let _ = sender.send(hijack);
        }
        std::future::pending().await
    }
}

/// How long a client may take for a request's head, and how long its connection may idle before
/// that. Docker's.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// Serves a connection until it ends. `handle` answers one request.
pub(crate) async fn serve<H, F>(stream: Stream, handle: H)
where
    H: Fn(hyper::Request<Incoming>, Hijacker) -> F + Send + Sync,
    F: Future<Output = hyper::Response<Answer>> + Send,
{
    serve_within(stream, HEAD_TIME_MAX, handle).await;
}

async fn serve_within<H, F>(stream: Stream, head_time_max: Duration, handle: H)
where
    H: Fn(hyper::Request<Incoming>, Hijacker) -> F + Send + Sync,
    F: Future<Output = hyper::Response<Answer>> + Send,
{
    let (sender, mut hijacked) = oneshot::channel();
    let hijacker = Hijacker(Arc::new(Mutex::new(Some(sender))));
    let service = service_fn(|request| {
        let response = handle(request, hijacker.clone());
        Box::pin(async move { Ok::<_, Infallible>(response.await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time_max)
        // As Docker spells them: scripts look for `Api-Version` in what curl prints.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let hijack = tokio::select! {
        biased;
        // The sender lives in `hijacker`, so this is never the "sender dropped" error.
        Ok(hijack) = &mut hijacked => hijack,
        result = poll_fn(|context| connection.poll_without_shutdown(context)) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection broke");
            }
            return;
        }
    };
    let parts = connection.into_parts();
    hand_over(hijack, parts.io.into_inner(), parts.read_buf.to_vec()).await;
}

/// Lets the stream begin. Its last words of HTTP are said by whoever serves it, at the right
/// moment.
async fn hand_over(hijack: Hijack, stream: Stream, early_input: Vec<u8>) {
    match stream.into_descriptor() {
        Ok(socket) => {
            let stream = ClientStream { socket, greeting: hijack.head, early_input };
            (hijack.serve)(stream).await;
        }
        Err(error) => tracing::warn!(%error, "cannot take a connection over"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::http::plain;

    /// Serves one connection: `/ping` is answered, everything else is hijacked and echoes its
    /// early input in capitals.
    async fn serve_tests(stream: Stream) {
        serve(stream, |request, hijacker| async move {
            if request.uri().path() != "/ping" {
                let hijack = Hijack { head: b"HEAD\r\n".to_vec(), serve: Box::new(shout) };
                hijacker.hijack(hijack).await;
            }
            plain(hyper::StatusCode::OK, "OK")
        })
        .await;
    }

    fn shout(stream: ClientStream) -> BoxedFuture {
        Box::pin(async move {
            let mut socket = UnixStream::from(stream.socket);
            socket.write_all(&stream.greeting).unwrap();
            socket.write_all(&stream.early_input.to_ascii_uppercase()).unwrap();
        })
    }

    async fn exchange(requests: &'static str) -> String {
        let (client, server) = tokio::net::UnixStream::pair().unwrap();
        let serving = tokio::spawn(serve_tests(Stream::Unix(server)));
        let client = client.into_std().unwrap();
        client.set_nonblocking(false).unwrap();
        let talking = tokio::task::spawn_blocking(move || {
            let mut client = client;
            client.write_all(requests.as_bytes()).unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            text
        });
        let text = talking.await.unwrap();
        serving.await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_head_is_sent_away() {
        let (mut client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let server = tokio::net::UnixStream::from_std(server).unwrap();
        client.write_all(b"GET /ping HTTP/1.1\r\nHost: ").unwrap();
        serve_within(Stream::Unix(server), Duration::from_millis(20), |_, _| async {
            plain(hyper::StatusCode::OK, "OK")
        })
        .await;
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }

    #[tokio::test]
    async fn what_a_client_sends_too_early_comes_along() {
        let text = exchange("POST /attach HTTP/1.1\r\nHost: d\r\n\r\nearly").await;
        assert_eq!(text, "HEAD\r\nEARLY");
    }

    #[tokio::test]
    async fn a_connection_can_be_hijacked_after_other_requests() {
        let text = exchange(
            "GET /ping HTTP/1.1\r\nHost: d\r\n\r\n\
             POST /attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
             Content-Length: 0\r\n\r\nearly",
        )
        .await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nOKHEAD\r\nEARLY"), "{text}");
    }
}

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

use engine::containers::ClientStream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
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

/// Serves a connection until it ends. `handle` answers one request.
pub(crate) async fn serve<H, F>(stream: Stream, handle: H)
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
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
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

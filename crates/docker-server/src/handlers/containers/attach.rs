//! `POST /containers/{name}/attach`

use std::io;

use engine::containers::{AttachStreams, ClientStream, ControlError, parse_keys};
use engine::{Engine, LogEntry, LogQuery};
use hyper::Response;
use tokio::io::AsyncWriteExt as _;

use super::websocket::to_async;
use crate::handlers::streams;
use crate::http::{Answer, ApiError, Query, Request};

pub(crate) async fn attach_raw(request: Request) -> Result<Response<Answer>, ApiError> {
    let checked = match check_detach_keys(&request.query) {
        Ok(()) => request.engine().check_attach(&request.name).map_err(ApiError::from),
        Err(error) => Err(error),
    };
    let view = match checked {
        Ok(view) => view,
        // Whoever attaches is told everything as raw text.
        Err(error) => return Ok(error.into_raw_response()),
    };
    let wanted = wanted_streams(&request.query);
    let head = streams::head(&request, view.spec.process.terminal);
    let engine = request.engine().clone();
    let id = view.id.to_string();
    request.hijack(head, |stream| serve(engine, id, wanted, stream)).await
}

/// What can be told before the stream begins should be: afterwards there is no status any more.
pub(super) fn check_detach_keys(query: &Query) -> Result<(), ApiError> {
    let keys = query.text("detachKeys");
    if keys.is_empty() || parse_keys(keys).is_some() {
        return Ok(());
    }
    Err(ControlError::DetachKeys { keys: keys.to_owned() }.into())
}

/// What a client asks for.
pub(super) fn wanted_streams(query: &Query) -> AttachStreams {
    AttachStreams {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        detach_keys: Some(query.text("detachKeys").to_owned()).filter(|keys| !keys.is_empty()),
        logs: query.flag("logs"),
        stream: query.flag("stream"),
    }
}

async fn serve(engine: Engine, id: String, wanted: AttachStreams, stream: ClientStream) {
    // The engine takes the socket, and an error has to be told on it.
    let spare = stream.socket.try_clone();
    let Err(error) = attach(&engine, &id, wanted, stream).await else { return };
    tracing::debug!(container = id, "attach failed: {}", error.message());
    if let Ok(socket) = spare {
        streams::write_last_words(socket, &error.into_raw());
    }
}

/// Hands a client's stream over, after what was logged so far if that is wanted.
///
/// What the container writes between the two is in its log only: the supervisor, and not this
/// process, serves the client from then on.
pub(super) async fn attach(
    engine: &Engine,
    id: &str,
    wanted: AttachStreams,
    stream: ClientStream,
) -> Result<(), ApiError> {
    let mut stream = stream;
    if wanted.logs || !wanted.stream {
        stream = replay(engine, id, &wanted, stream).await?;
    }
    if wanted.stream {
        engine.attach_container(id, wanted, stream).await?;
    }
    Ok(())
}

/// Says what the client waits for, and sends it the log.
async fn replay(
    engine: &Engine,
    id: &str,
    wanted: &AttachStreams,
    stream: ClientStream,
) -> Result<ClientStream, ApiError> {
    let broken = |error: io::Error| ApiError::internal(format!("the client has gone: {error}"));
    let mut socket = to_async(stream.socket).map_err(broken)?;
    socket.write_all(&stream.greeting).await.map_err(broken)?;
    if wanted.logs {
        let query = LogQuery {
            stdout: wanted.stdout,
            stderr: wanted.stderr,
            follow: false,
            since: None,
            until: None,
            tail: None,
        };
        let is_multiplexed = !engine.container(id)?.spec.process.terminal;
        let mut entries = engine.container_logs(id, query).await?;
        while let Some(batch) = entries.recv().await {
            let batch = batch.map_err(|error| {
                ApiError::internal(format!("cannot read the log of container {id}: {error}"))
            })?;
            let bytes: Vec<u8> =
                batch.iter().flat_map(|entry| shown(entry, is_multiplexed)).collect();
            socket.write_all(&bytes).await.map_err(broken)?;
        }
    }
    let socket = socket.into_std().map_err(broken)?.into();
    Ok(ClientStream { socket, greeting: Vec::new(), early_input: stream.early_input })
}

/// A line as the container wrote it.
fn shown(entry: &LogEntry, is_multiplexed: bool) -> Vec<u8> {
    if !is_multiplexed {
        return entry.text.clone();
    }
    let length = u32::try_from(entry.text.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[if entry.is_stderr { 2 } else { 1 }, 0, 0, 0], &length[..], &entry.text].concat()
}

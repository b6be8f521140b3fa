//! `POST /containers/{name}/attach`

use engine::Engine;
use engine::containers::{AttachStreams, ClientStream};
use hyper::Response;

use crate::handlers::streams;
use crate::http::{Answer, ApiError, Request};

pub(crate) async fn attach(request: Request) -> Result<Response<Answer>, ApiError> {
    let view = request.engine().check_attach(&request.name)?;
    let query = &request.query;
    let wanted = AttachStreams {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        detach_keys: Some(query.text("detachKeys").to_owned()).filter(|keys| !keys.is_empty()),
        logs: query.flag("logs"),
        stream: query.flag("stream"),
    };
    let head = streams::head(&request, view.spec.process.terminal);
    let engine = request.engine().clone();
    let id = view.id.to_string();
    request.hijack(head, |stream| serve(engine, id, wanted, stream)).await
}

async fn serve(engine: Engine, id: String, wanted: AttachStreams, stream: ClientStream) {
    // The engine takes the socket, and an error has to be told on it.
    let spare = stream.socket.try_clone();
    let Err(error) = engine.attach_container(&id, wanted, stream).await else { return };
    let error = ApiError::from(error);
    tracing::debug!(container = id, "attach failed: {}", error.message());
    if let Ok(socket) = spare {
        streams::write_last_words(socket, &error.into_raw());
    }
}

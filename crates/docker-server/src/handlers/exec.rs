//! `/containers/{name}/exec` and `/exec/…`: additional processes.

use docker_api::exec::{
    ExecCreateRequest, ExecCreateResponse, ExecInspect, ExecProcessConfig, ExecStartRequest,
};
use engine::Engine;
use engine::containers::{ClientStream, parse_keys};
use engine::exec::{ExecSpec, ExecView};
use hyper::{Response, StatusCode};

use super::containers::terminal_size;
use super::streams;
use crate::create::terminal_size as convert_size;
use crate::http::{Answer, ApiError, Request, json, status_only};
use crate::versions;

/// `POST /containers/{name}/exec`
pub(crate) async fn create(mut request: Request) -> Result<Response<Answer>, ApiError> {
    let document: ExecCreateRequest = request.document().await?;
    let arguments = document.cmd.unwrap_or_default();
    if arguments.is_empty() {
        return Err(ApiError::invalid("No exec command specified"));
    }
    let has_size = versions::has_stop_signals(request.version);
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let spec = ExecSpec {
        arguments,
        environment: document.env.unwrap_or_default(),
        working_directory: text(document.working_dir),
        user: text(document.user),
        privileged: document.privileged,
        terminal: document.tty,
        stdin: document.attach_stdin,
        stdout: document.attach_stdout,
        stderr: document.attach_stderr,
        detach_keys: text(document.detach_keys),
        terminal_size: document.console_size.filter(|_| has_size).and_then(convert_size),
    };
    let id = request.engine().create_exec(&request.name, spec).await?;
    Ok(json(StatusCode::CREATED, &ExecCreateResponse { id: id.to_string() }))
}

/// `POST /exec/{id}/start`
pub(crate) async fn start(mut request: Request) -> Result<Response<Answer>, ApiError> {
    let document: ExecStartRequest = request.document().await?;
    let view = request.engine().check_exec(&request.name)?;
    let has_size = versions::has_stop_signals(request.version) && document.tty;
    let size = document.console_size.filter(|_| has_size).and_then(convert_size);
    let engine = request.engine().clone();
    let id = view.id.to_string();
    if document.detach {
        // It must not stop half-way if the client goes.
        let start = async move { engine.start_exec(&id, None, size).await };
        return match tokio::spawn(start).await {
            Ok(started) => started.map(|()| status_only(StatusCode::OK)).map_err(Into::into),
            Err(error) => Err(ApiError::internal(format!("cannot start the exec: {error}"))),
        };
    }
    let has_terminal = view.spec.terminal;
    let head = streams::head(&request, document.tty);
    request.hijack(head, move |stream| serve(engine, id, size, has_terminal, stream)).await
}

async fn serve(
    engine: Engine,
    id: String,
    size: Option<(u16, u16)>,
    has_terminal: bool,
    stream: ClientStream,
) {
    // The engine takes the socket, and an error has to be told on it.
    let spare = stream.socket.try_clone();
    let Err(error) = engine.start_exec(&id, Some(stream), size).await else { return };
    let error = ApiError::from(error);
    tracing::debug!(exec = id, "exec failed: {}", error.message());
    if let Ok(socket) = spare {
        streams::write_last_words(socket, &streams::output(error.message(), has_terminal));
    }
}

/// `POST /exec/{id}/resize`
pub(crate) async fn resize(request: Request) -> Result<Response<Answer>, ApiError> {
    let (rows, columns) = terminal_size(&request)?;
    request.engine().resize_exec(&request.name, rows, columns).await?;
    Ok(status_only(StatusCode::OK))
}

/// `GET /exec/{id}/json`
pub(crate) async fn inspect(request: Request) -> Result<Response<Answer>, ApiError> {
    let view = request.engine().exec(&request.name).await?;
    Ok(json(StatusCode::OK, &show(&view)))
}

fn show(view: &ExecView) -> ExecInspect {
    let spec = &view.spec;
    ExecInspect {
        id: view.id.to_string(),
        running: view.is_running,
        exit_code: view.exit_code,
        process_config: ExecProcessConfig {
            tty: spec.terminal,
            entrypoint: spec.arguments.first().cloned().unwrap_or_default(),
            arguments: Some(spec.arguments.iter().skip(1).cloned().collect()),
            privileged: Some(spec.privileged),
            user: spec.user.clone().unwrap_or_default(),
        },
        open_stdin: spec.stdin,
        open_stderr: spec.stderr,
        open_stdout: spec.stdout,
        // Docker says so in the last minutes before it forgets an exec.
        can_remove: false,
        container_id: view.container.to_string(),
        detach_keys: base64(&spec.detach_keys.as_deref().and_then(parse_keys).unwrap_or_default()),
        pid: view.pid,
    }
}

/// Bytes as Go's JSON has them.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        (0..4_usize)
            .map(|at| match at > group.len() {
                true => '=',
                false => char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]),
            })
            .collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn bytes_are_written_in_groups_of_three() {
        assert_eq!(base64(&[1]), "AQ==");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"abcd"), "YWJjZA==");
        assert_eq!(base64(&[]), "");
    }
}

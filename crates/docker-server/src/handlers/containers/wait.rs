//! `POST /containers/{name}/wait`

use docker_api::containers::{WaitError, WaitResponse};
use engine::containers::{WaitCondition, WaitResult};
use futures_util::stream;
use hyper::{Response, StatusCode};

use crate::http::{Answer, ApiError, Request, json, json_stream};
use crate::versions;

pub(crate) async fn wait(request: Request) -> Result<Response<Answer>, ApiError> {
    let has_early_head = versions::has_early_wait(request.version);
    let condition = match request.query.text("condition") {
        _ if !has_early_head => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(ApiError::invalid(format!("invalid condition: {other:?}"))),
    };
    let end = request.engine().wait_container(&request.name, condition)?;
    if !has_early_head {
        return Ok(json(StatusCode::OK, &answer(end.await)));
    }
    // The head goes out at once: clients start the container once they have it, and must not
    // miss its end.
    Ok(json_stream(stream::once(async move { answer(end.await) })))
}

fn answer(result: WaitResult) -> WaitResponse {
    WaitResponse {
        error: result.error.map(|message| WaitError { message }),
        status_code: i64::from(result.exit_code),
    }
}

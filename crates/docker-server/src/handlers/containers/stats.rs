//! `GET /containers/{name}/stats`
//!
//! A share of the processors is a difference between two readings. A client that asks for one
//! answer gets both: Docker takes them a second apart, we take them [`BETWEEN`] apart, since
//! our readings are exact to the microsecond. A client that listens compares what it gets.

use std::time::Duration;

use docker_api::containers::{CpuStats, StatsResponse};
use engine::Engine;
use engine::containers::ContainerId;
use futures_util::stream as streams;
use hyper::{Response, StatusCode};
use tokio::time::{Instant, sleep, sleep_until};

use crate::http::{Answer, ApiError, Request, json, json_stream};
use crate::{host, show, versions};

/// Between the two readings of one answer.
const BETWEEN: Duration = Duration::from_millis(100);

/// Between two answers of a stream.
const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn stats(request: Request) -> Result<Response<Answer>, ApiError> {
    let is_stream = request.query.flag_or("stream", true);
    let is_one_shot = versions::has_one_shot(request.version) && request.query.flag("one-shot");
    if is_stream && is_one_shot {
        return Err(ApiError::invalid("cannot have stream=true and one-shot=true"));
    }
    let engine = request.engine().clone();
    let id = engine.container(&request.name)?.id.clone();
    if is_stream {
        let told = Told { engine, id, previous: None, next_at: Instant::now() };
        return Ok(json_stream(streams::unfold(told, async |mut told| {
            told.next().await.map(|stats| (stats, told))
        })));
    }
    let answer = if is_one_shot { at_once(&engine, &id).await } else { once(&engine, &id).await };
    Ok(json(StatusCode::OK, &answer?))
}

/// One reading. Docker leaves the name out of it, unless there is nothing else to tell.
async fn at_once(engine: &Engine, id: &ContainerId) -> Result<StatsResponse, ApiError> {
    match engine.container_usage(id.as_str()).await? {
        Some(usage) => Ok(show::stats(&usage, host::memory_total())),
        None => named(engine, id, show::no_stats()),
    }
}

/// Two readings.
async fn once(engine: &Engine, id: &ContainerId) -> Result<StatsResponse, ApiError> {
    let Some(before) = engine.container_cpu(id.as_str()).await? else {
        return named(engine, id, show::no_stats());
    };
    sleep(BETWEEN).await;
    let Some(usage) = engine.container_usage(id.as_str()).await? else {
        return named(engine, id, show::no_stats());
    };
    let mut answer = show::stats(&usage, host::memory_total());
    answer.preread = show::time_text(Some(before.at));
    answer.precpu_stats = show::earlier_cpu(&before, &usage);
    named(engine, id, answer)
}

fn named(
    engine: &Engine,
    id: &ContainerId,
    mut answer: StatsResponse,
) -> Result<StatsResponse, ApiError> {
    answer.name = format!("/{}", engine.container(id.as_str())?.name);
    answer.id = id.to_string();
    Ok(answer)
}

/// A client that listens, and what it was told last.
struct Told {
    engine: Engine,
    id: ContainerId,
    previous: Option<(String, CpuStats)>,
    next_at: Instant,
}

impl Told {
    /// What the container has used now; `None` once it is removed. One that is stopped uses
    /// nothing, and may be started again.
    async fn next(&mut self) -> Option<StatsResponse> {
        sleep_until(self.next_at).await;
        self.next_at = Instant::now() + INTERVAL;
        let usage = self.engine.container_usage(self.id.as_str()).await.ok()?;
        let stats = match usage {
            Some(usage) => show::stats(&usage, host::memory_total()),
            None => show::no_stats(),
        };
        let mut stats = named(&self.engine, &self.id, stats).ok()?;
        let now = (stats.read.clone(), stats.cpu_stats.clone());
        if let Some((at, cpu)) = self.previous.replace(now) {
            (stats.preread, stats.precpu_stats) = (at, cpu);
        }
        Some(stats)
    }
}

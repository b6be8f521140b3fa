//! Starting, stopping and changing containers.

use std::time::Duration;

use docker_api::NOTICE_HEADER;
use docker_api::containers::{ContainerPruneReport, UpdateRequest, UpdateResponse};
use engine::containers::spec::RestartPolicy;
use engine::containers::{Outcome, RemoveOptions, StopOptions, Stopped, UpdateContainer, View};
use engine::events::ObjectKind;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};

use crate::create::{
    check_limits, contradiction, convert_limits, convert_restart, signal_name, signal_number,
    signal_to_send,
};
use crate::handlers::prune;
use crate::http::{Answer, ApiError, Request, empty, json, number_fault, status_only};
use crate::show::Document;
use crate::versions;

/// A start may have a body of `null` or `{}`, and nothing longer.
const EMPTY_BODY_BYTES_MAX: u64 = 7;

/// `POST /containers/{name}/start`
pub(crate) async fn start(request: Request) -> Result<Response<Answer>, ApiError> {
    if request.has_body_over(EMPTY_BODY_BYTES_MAX) {
        return Err(ApiError::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    if request.query.has("checkpoint") {
        return Err(ApiError::not_implemented("checkpoints"));
    }
    Ok(told(request.engine().start_container(&request.name).await?))
}

/// `POST /containers/{name}/stop`
pub(crate) async fn stop(request: Request) -> Result<Response<Answer>, ApiError> {
    let options = stop_options(&request, "cannot stop container:")?;
    let stopped = request.engine().stop_container(&request.name, options).await?;
    Ok(with_notice(told(stopped.outcome), stopped))
}

/// `POST /containers/{name}/restart`
pub(crate) async fn restart(request: Request) -> Result<Response<Answer>, ApiError> {
    let options = stop_options(&request, "Cannot restart container")?;
    let stopped = request.engine().restart_container(&request.name, options).await?;
    Ok(with_notice(empty(), stopped))
}

fn told(outcome: Outcome) -> Response<Answer> {
    match outcome {
        Outcome::Changed => empty(),
        Outcome::AlreadyThere => status_only(StatusCode::NOT_MODIFIED),
    }
}

/// Says why a container had less time than it was given. A stop's answer has no body, so it is
/// said in a header; other clients do not look there.
fn with_notice(mut response: Response<Answer>, stopped: Stopped) -> Response<Answer> {
    if let Some(signal) = stopped.unheard_signal {
        let notice = format!(
            "process 1 does not hear {}, so it was killed at once; `--init`, a handler of its own \
             or another `--stop-signal` would let it end by itself",
            signal_name(signal)
        );
        let value = HeaderValue::from_str(&notice).expect("it is plain text");
        response.headers_mut().insert(NOTICE_HEADER, value);
    }
    response
}

fn stop_options(request: &Request, failure: &str) -> Result<StopOptions, ApiError> {
    let seconds = request.query.integer("t")?;
    Ok(StopOptions {
        signal: stop_signal(request, failure)?,
        // A negative number means for ever.
        grace: seconds.map(|t| u64::try_from(t).map_or(Duration::MAX, Duration::from_secs)),
    })
}

/// The signal to stop with. One that nobody knows matters only to a container that would get it:
/// Docker looks at it as late as that, and has no class for it.
fn stop_signal(request: &Request, failure: &str) -> Result<Option<i32>, ApiError> {
    let text = request.query.text("signal");
    if text.is_empty() || !versions::has_stop_signals(request.version) {
        return Ok(None);
    }
    let is_live = request.engine().container(&request.name)?.state.phase.is_live();
    match signal_number(text) {
        Ok(signal) => Ok(Some(signal)),
        Err(_) if !is_live => Ok(None),
        Err(refusal) => {
            let name = &request.name;
            Err(ApiError::internal(format!("{failure} {name}: {refusal}")))
        }
    }
}

/// `POST /containers/{name}/kill`
pub(crate) async fn kill(request: Request) -> Result<Response<Answer>, ApiError> {
    let signal = match request.query.text("signal") {
        "" => "KILL",
        signal => signal,
    };
    let killed = async {
        let signal = signal_to_send(signal)?;
        Ok::<(), ApiError>(request.engine().kill_container(&request.name, signal).await?)
    };
    let prefix = format!("cannot kill container: {}: ", request.name);
    killed.await.map_err(|error| error.with_prefix(&prefix))?;
    Ok(empty())
}

/// `POST /containers/{name}/pause`
pub(crate) async fn pause(request: Request) -> Result<Response<Answer>, ApiError> {
    request.engine().pause_container(&request.name).await?;
    Ok(empty())
}

/// `POST /containers/{name}/unpause`
pub(crate) async fn unpause(request: Request) -> Result<Response<Answer>, ApiError> {
    request.engine().unpause_container(&request.name).await?;
    Ok(empty())
}

/// `POST /containers/{name}/rename`
pub(crate) async fn rename(request: Request) -> Result<Response<Answer>, ApiError> {
    let new_name = request.query.text("name");
    if new_name.is_empty() {
        return Err(ApiError::invalid("Neither old nor new names may be empty"));
    }
    let new_name = new_name.strip_prefix('/').unwrap_or(new_name);
    request.engine().rename_container(&request.name, new_name).await?;
    Ok(empty())
}

/// `POST /containers/{name}/resize`
pub(crate) async fn resize(request: Request) -> Result<Response<Answer>, ApiError> {
    let (rows, columns) = terminal_size(&request)?;
    request.engine().resize_container(&request.name, rows, columns).await?;
    Ok(status_only(StatusCode::OK))
}

/// Rows and columns from `h` and `w`.
pub(in crate::handlers) fn terminal_size(request: &Request) -> Result<(u16, u16), ApiError> {
    // Docker takes 32 bits, and terminals have 16.
    let number = |name: &str, what: &str| -> Result<u16, ApiError> {
        let text = request.query.text(name);
        let number = text.parse::<u32>().map_err(|_| {
            ApiError::invalid(format!("invalid resize {what} {text:?}: {}", number_fault(text)))
        })?;
        Ok(u16::try_from(number).unwrap_or(u16::MAX))
    };
    Ok((number("h", "height")?, number("w", "width")?))
}

/// `POST /containers/{name}/update`
pub(crate) async fn update(mut request: Request) -> Result<Response<Answer>, ApiError> {
    let mut update: UpdateRequest = request.document().await?;
    versions::update_request(request.version, &mut update);
    if let Some(limit) = &mut update.resources.pids_limit {
        // Whatever is no limit is shown as one.
        *limit = (*limit).max(0);
    }
    let warnings =
        check_limits(&mut update.resources, &request.server.current().circumstances, true)?;
    let restart = match update.restart_policy.name.as_str() {
        "" => None,
        _ => Some(convert_restart(&update.restart_policy)?),
    };
    let view = request.engine().container(&request.name)?;
    let changed = match change(&view, &update, restart) {
        Ok(change) => {
            let updated = request.engine().update_container(&request.name, change).await;
            updated.map_err(ApiError::from)
        }
        Err(error) => Err(error),
    };
    changed
        .map_err(|error| error.with_prefix(&format!("Cannot update container {}: ", view.id)))?;
    Ok(json(
        StatusCode::OK,
        &UpdateResponse { warnings: Some(warnings).filter(|warnings| !warnings.is_empty()) },
    ))
}

/// What an update means for a container, unless it contradicts what that has.
fn change(
    view: &View,
    update: &UpdateRequest,
    restart: Option<RestartPolicy>,
) -> Result<UpdateContainer, ApiError> {
    let mut document = Document::from_text(&view.document);
    if let Some(words) = contradiction(&document.host_config.resources, &update.resources) {
        return Err(ApiError::conflict(words));
    }
    if view.spec.remove_at_end && restart.is_some_and(|policy| policy != RestartPolicy::No) {
        return Err(ApiError::conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        ));
    }
    change_document(&mut document, update);
    let mut limits = convert_limits(&update.resources);
    // No limit is something to be said of a running container.
    limits.pids = limits.pids.map(|limit| if limit == 0 { -1 } else { limit });
    Ok(UpdateContainer { limits, restart, document: Some(document.to_text()) })
}

/// What is zero stays as it was.
fn change_document(document: &mut Document, update: &UpdateRequest) {
    fn set<T: Default + PartialEq + Clone>(old: &mut T, new: &T) {
        if *new != T::default() {
            old.clone_from(new);
        }
    }
    let (old, new) = (&mut document.host_config.resources, &update.resources);
    set(&mut old.cpu_shares, &new.cpu_shares);
    set(&mut old.memory, &new.memory);
    set(&mut old.nano_cpus, &new.nano_cpus);
    set(&mut old.blkio_weight, &new.blkio_weight);
    set(&mut old.cpu_period, &new.cpu_period);
    set(&mut old.cpu_quota, &new.cpu_quota);
    set(&mut old.cpu_realtime_period, &new.cpu_realtime_period);
    set(&mut old.cpu_realtime_runtime, &new.cpu_realtime_runtime);
    set(&mut old.cpuset_cpus, &new.cpuset_cpus);
    set(&mut old.cpuset_mems, &new.cpuset_mems);
    set(&mut old.memory_reservation, &new.memory_reservation);
    set(&mut old.memory_swap, &new.memory_swap);
    set(&mut old.pids_limit, &new.pids_limit);
    set(&mut old.blkio_weight_device, &new.blkio_weight_device);
    set(&mut old.blkio_device_read_bps, &new.blkio_device_read_bps);
    set(&mut old.blkio_device_write_bps, &new.blkio_device_write_bps);
    set(&mut old.blkio_device_read_iops, &new.blkio_device_read_iops);
    set(&mut old.blkio_device_write_iops, &new.blkio_device_write_iops);
    if !update.restart_policy.name.is_empty() {
        document.host_config.restart_policy = update.restart_policy.clone();
    }
}

/// `DELETE /containers/{name}`
pub(crate) async fn remove(request: Request) -> Result<Response<Answer>, ApiError> {
    // No name has this in it, so it is `DELETE /containers/{name}/checkpoints/{checkpoint}`.
    if request.name.contains("/checkpoints/") {
        return Err(ApiError::not_implemented("checkpoints"));
    }
    if request.query.flag("link") {
        request.engine().remove_link(&request.name).await?;
        return Ok(empty());
    }
    let options =
        RemoveOptions { force: request.query.flag("force"), volumes: request.query.flag("v") };
    request.engine().remove_container(&request.name, options).await?;
    Ok(empty())
}

/// `POST /containers/prune`
pub(crate) async fn prune(request: Request) -> Result<Response<Answer>, ApiError> {
    let filter = prune::filter(&request.filters(&["until", "label", "label!"])?)?;
    let pruned = request.engine().prune_containers(filter).await;
    prune::publish(request.engine(), ObjectKind::Container, pruned.bytes);
    let report = ContainerPruneReport {
        containers_deleted: Some(pruned.names).filter(|names| !names.is_empty()),
        space_reclaimed: pruned.bytes,
    };
    Ok(json(StatusCode::OK, &report))
}

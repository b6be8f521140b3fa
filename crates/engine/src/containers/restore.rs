//! Taking over what an earlier engine left, whatever moment it was killed at.
//!
//! Records say which containers there are; their shims say how they are. In this order:
//!
//! 1. A run folder whose shim answers: the container runs, and is watched again.
//! 2. A run folder whose shim does not: the container has ended, with what the shim wrote
//!    last. What it left is cleaned up.
//! 3. A record of a live container without a run folder: the host was restarted.
//! 4. A record that says its removal had begun, or whose files are gone, or a container that was to go at its end:
//!    it is removed.
//! 5. Folders without a record: nobody's, and removed.
//! 6. What nobody has told is told.
//! 7. Restart policies apply to what has ended.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fail_points::{Point, pass};
use shim::client::{ConnectError, Watch};

use super::ContainerId;
use super::draft;
use super::handle::Container;
use super::record::{Record, RecordedPhase};
use super::requests::RemoveOptions;
use super::spec::RestartPolicy;
use super::supervisor::{self, Running, ShimLink, blocking, talk, timestamp};
use super::{missed, start};
use crate::engine::Parts;
use crate::metadata::{CONTAINERS, MetadataError};

/// The exit code of a container that was lost with the host. Docker's.
const LOST_EXIT_CODE: i32 = 255;

/// How long one shim may take to answer an engine that starts, and all that do not answer
/// together; but each has the shortest time of all.
const SHIM_PATIENCE_MAX: Duration = Duration::from_secs(1);
const SHIMS_PATIENCE: Duration = Duration::from_secs(3);
const SHIM_PATIENCE_MIN: Duration = Duration::from_millis(50);

/// How long an engine that starts waits for the containers that start with it, as Docker's does,
/// whose users count on them. One that hangs is no reason not to answer for all the others.
const STARTS_PATIENCE: Duration = Duration::from_secs(5);

/// How long a container that nobody knows may take for each step of its end.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);

/// Makes every container whole again, and removes what belongs to none.
pub(crate) async fn restore(parts: &Arc<Parts>) -> Result<(), MetadataError> {
    let records = read_records(parts)?;
    let known: HashSet<String> = records.iter().map(|record| record.id.clone()).collect();
    let found = {
        let (parts, known) = (Arc::clone(parts), known.clone());
        blocking(move || {
            pass(Point::RestoreOrphans);
            remove_orphans(&parts, &known);
            let until = Instant::now() + SHIMS_PATIENCE;
            let mut missed = Vec::new();
            let mut found = Vec::with_capacity(records.len());
            for record in records {
                let known = missed::Known::of(&record);
                let (record, running) = find(&parts, record, until);
                missed.extend(known.compare(&parts, &record, running.as_ref()));
                found.push((record, running));
            }
            missed::tell(&parts, missed);
            found
        })
        .await
    };
    tidy(parts, &found).await;
    let mut containers = Vec::with_capacity(found.len());
    for (record, running) in found {
        let id = ContainerId::from_record(&record.id);
        if parts.registry.reserve_name(&record.name, &id).is_err() {
            tracing::error!(container = %id, name = record.name, "two containers have one name");
        }
        let removes_itself = running.is_none() && removes_itself(&record);
        let wants_restart = running.is_none() && !removes_itself && wants_restart(&record);
        let container = supervisor::spawn(parts, record, running, None);
        parts.registry.insert(container.clone());
        containers.push((container, removes_itself, wants_restart));
    }
    pass(Point::RestoreCollect);
    if let Err(error) = parts.networks.collect() {
        tracing::warn!(error = errors::chain(&error), "cannot remove an earlier engine's networks");
    }
    crate::volumes::resume_removals(parts).await;
    crate::volumes::collect(parts, &known).await;
    let mut to_start = Vec::new();
    recover_volumes(parts).await;
    for (container, removes_itself, wants_restart) in containers {
        pass(Point::RestoreResume);
        if removes_itself {
            finish_removal(&container).await;
        } else if wants_restart {
            to_start.push(container);
        }
    }
    super::resume_after_crash(parts).await;
    let starts = {
        let parts = Arc::clone(parts);
        tokio::spawn(async move { super::start_order::start_all(&parts, to_start).await })
    };
    if tokio::time::timeout(STARTS_PATIENCE, starts).await.is_err() {
        tracing::warn!("containers are still being started");
    }
    Ok(())
}

/// Unmounts volumes that an earlier engine mounted for containers which have ended.
async fn recover_volumes(parts: &Arc<Parts>) {
    let parts = Arc::clone(parts);
    let live_users = move |parts: &Parts, name: &str| {
        let users = parts.registry.views().into_iter().filter(|view| {
            (view.state.phase.is_live() || view.state.is_starting)
                && view.mounts.iter().any(|mount| mount.name.as_deref() == Some(name))
        });
        users.map(|view| view.id.to_string()).collect()
    };
    blocking(move || {
        let volumes = parts.volumes.list();
        parts.volumes.mounted.recover(&volumes, |name| live_users(&parts, name));
    })
    .await;
}

/// Removes the run folders of what has ended, once it is on the disk how: until then the folder
/// is what a next engine would know it from. That of a container which is to go stays until its
/// record has.
async fn tidy(parts: &Arc<Parts>, found: &[(Record, Option<Running>)]) {
    if let Err(error) = parts.metadata.settle().await {
        tracing::error!(error = errors::chain(&error), "cannot record how containers have ended");
        return;
    }
    pass(Point::RestoreRecorded);
    let has_ended = |(record, running): &&(Record, Option<Running>)| {
        running.is_none() && !removes_itself(record)
    };
    let ended: Vec<_> = found
        .iter()
        .filter(has_ended)
        .map(|(record, _)| ContainerId::from_record(&record.id))
        .collect();
    let parts = Arc::clone(parts);
    blocking(move || ended.iter().for_each(|id| start::remove_run_folder_of(&parts, id))).await;
}

/// Whether a container that has ended is to be removed.
pub(super) fn removes_itself(record: &Record) -> bool {
    record.phase == RecordedPhase::Removing
        || (record.spec.remove_at_end && record.phase != RecordedPhase::Created)
}

/// Goes on with a removal that an earlier engine did not get to the end of.
async fn finish_removal(container: &Container) {
    let view = container.view();
    // Those of an interrupted `rm -v` went first; those of any other are the user's.
    let options = RemoveOptions { force: false, volumes: view.spec.remove_at_end };
    if let Err(error) = container.remove(options).await {
        tracing::warn!(
            container = %view.id, error = errors::chain(&error), "cannot remove a container"
        );
    }
}

fn read_records(parts: &Parts) -> Result<Vec<Record>, MetadataError> {
    let records = parts.metadata.all(CONTAINERS)?;
    let mut known: Vec<Record> = records
        .into_iter()
        .filter_map(|(id, bytes)| match serde_json::from_slice(&bytes) {
            Ok(record) => Some(record),
            Err(error) => {
                // Kept as it is: a newer build may read it.
                tracing::error!(container = id, %error, "cannot read a container's record");
                None
            }
        })
        .collect();
    for record in draft::read_all(parts, &known) {
        record_end(parts, &record);
        known.push(record);
    }
    Ok(known)
}

/// Whether a container that has ended starts with the engine.
pub(super) fn wants_restart(record: &Record) -> bool {
    let ran = record.phase != RecordedPhase::Created;
    match record.spec.restart {
        RestartPolicy::No => false,
        RestartPolicy::Always => ran,
        RestartPolicy::UnlessStopped => ran && !record.was_stopped,
        RestartPolicy::OnFailure { retries_max } => {
            ran && !record.was_stopped
                && record.exit_code != 0
                && retries_max.is_none_or(|most| record.restart_count < most)
        }
    }
}

/// Finds out how a container is.
///
/// A shim that does not answer is no reason to wait: it is there, and is asked again later.
fn find(parts: &Parts, mut record: Record, until: Instant) -> (Record, Option<Running>) {
    let id = ContainerId::from_record(&record.id);
    let folder = parts.settings.run_folder(&id);
    if parts.images.snapshot(id.as_str()).is_err() {
        // Nothing but its removal takes its files away.
        record.phase = RecordedPhase::Removing;
    }
    if !folder.exists() {
        if record.phase == RecordedPhase::Live {
            record.phase = RecordedPhase::Exited;
            record.exit_code = LOST_EXIT_CODE;
            record.end_health();
            note_lost_end(&mut record);
            record_end(parts, &record);
        }
        return (record, None);
    }
    match watch(&folder, until) {
        Ok((state, watch)) => {
            let running = adopt(parts, &record, &folder, state, Some(watch));
            pass(Point::RestoreAdopted);
            (record, Some(running))
        }
        Err(reason) if shim::client::is_alive(&folder) => {
            tracing::warn!(container = %id, reason, "a container's supervisor does not answer");
            let running = adopt(parts, &record, &folder, talk::silent_state(&folder), None);
            (record, Some(running))
        }
        Err(reason) => {
            tracing::info!(container = %id, reason, "a container ended while no daemon ran");
            bury(parts, &mut record, &folder);
            (record, None)
        }
    }
}

fn watch(folder: &Path, until: Instant) -> Result<(shim::protocol::State, Watch), String> {
    let left = until.saturating_duration_since(Instant::now());
    let deadline = left.clamp(SHIM_PATIENCE_MIN, SHIM_PATIENCE_MAX);
    let connection =
        shim::client::connect_within(folder, deadline).map_err(|error| match error {
            ConnectError::Gone { .. } => "its supervisor has left".to_owned(),
            error @ ConnectError::Connect { .. } => errors::chain(&error),
        })?;
    connection.watch().map_err(|error| errors::chain(&error))
}

fn adopt(
    parts: &Parts,
    record: &Record,
    folder: &Path,
    state: shim::protocol::State,
    watch: Option<Watch>,
) -> Running {
    let attachment = start::read_attachment(folder);
    if let Some(attachment) = &attachment
        && let Err(error) = parts.networks.adopt(attachment.clone())
    {
        tracing::warn!(
            container = record.id,
            error = errors::chain(&error),
            "cannot take over a container's connection"
        );
    }
    // It may have been renamed since it was connected.
    parts.networks.rename(&record.id, &record.name);
    let has_own_network = !matches!(
        record.spec.network.mode,
        super::spec::NetworkMode::Host | super::spec::NetworkMode::Container(_)
    );
    Running {
        link: ShimLink {
            folder: folder.to_owned(),
            state,
            attachment: attachment.map(Arc::new),
            has_own_network,
        },
        watch,
        mounts: Arc::clone(&record.mounts),
    }
}

/// Nobody knows when it ended, unless it was noted before the record's phase was.
fn note_lost_end(record: &mut Record) {
    let noted = record.finished_at.filter(|end| Some(*end) >= record.started_at);
    record.finished_at = noted.or_else(|| Some(jiff::Timestamp::now()));
}

/// Takes over how a container ended while nobody looked.
fn bury(parts: &Parts, record: &mut Record, folder: &Path) {
    pass(Point::RestoreBury);
    let cleaned = shim::client::clean_up(folder);
    pass(Point::RestoreBuried);
    let state = match cleaned {
        Ok(cleaned) => cleaned.last_state,
        Err(error) => {
            tracing::error!(
                container = record.id,
                error = errors::chain(&error),
                "cannot clean up after a supervisor that died"
            );
            None
        }
    };
    if let Some(state) = state.as_ref().filter(|state| state.never_ran()) {
        record.note_failed_start(state);
        // Whoever asked for it has gone, and so may it.
        if record.spec.remove_at_end && state.phase == shim::protocol::Phase::Exited {
            record.phase = RecordedPhase::Removing;
        }
    }
    let Some(state) = state.filter(|state| !state.never_ran()) else {
        // It died before its container ran.
        if record.phase == RecordedPhase::Live {
            record.phase = RecordedPhase::Exited;
            record.exit_code = LOST_EXIT_CODE;
            note_lost_end(record);
        }
        record_end(parts, record);
        return;
    };
    let ended_properly = state.phase == shim::protocol::Phase::Exited;
    record.phase = RecordedPhase::Exited;
    record.started_at = state.started_at.and_then(timestamp).or(record.started_at);
    record.finished_at =
        state.finished_at.and_then(timestamp).or_else(|| Some(jiff::Timestamp::now()));
    record.oom_killed = state.oom_killed;
    record.log_entries_lost = state.log_entries_lost;
    record.memory_peak = state.memory_peak;
    record.error_hint = None;
    record.restart_count = state.restart_count;
    record.unheard_stop_signal = state.unheard_stop_signal;
    if state.health.is_some() {
        record.health.clone_from(&state.health);
    }
    record.end_health();
    record.was_stopped |= state.stop_requested;
    record.exit_code = if ended_properly { state.exit_code.unwrap_or(LOST_EXIT_CODE) } else { 137 };
    record.error = if ended_properly {
        state.error.unwrap_or_default()
    } else {
        "its supervisor (wharf-shim) died, so it was killed".to_owned()
    };
    record_end(parts, record);
}

fn record_end(parts: &Parts, record: &Record) {
    parts.metadata.put_later(CONTAINERS, &record.id, record.encode());
}

/// Removes what has no record: the traces of creations and removals that were interrupted.
fn remove_orphans(parts: &Parts, known: &HashSet<String>) {
    let settings = &parts.settings;
    for name in names_in(&settings.exec_root.join("containers")) {
        let folder = settings.run_folder(&ContainerId::from_record(&name));
        if known.contains(&name) {
            continue;
        }
        end_orphan(&folder);
        if let Err(error) = start::remove_run_folder(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove an orphan");
        }
    }
    for name in parts.images.snapshots().unwrap_or_default() {
        if !known.contains(&name)
            && let Err(error) = parts.images.discard(&name)
        {
            tracing::warn!(
                snapshot = name,
                error = errors::chain(&error),
                "cannot remove an orphan"
            );
        }
    }
    for name in names_in(&settings.data_root.join("containers")) {
        if !known.contains(&name) {
            let folder = settings.data_root.join("containers").join(name);
            if let Err(error) = fs::remove_dir_all(&folder) {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove an orphan");
            }
        }
    }
}

/// Ends a container that nobody knows: its shim is told to, or it is done for a dead one.
fn end_orphan(folder: &Path) {
    if let Ok((_, mut watch)) = shim::client::connect_within(folder, ORPHAN_PATIENCE)
        .map_err(drop)
        .and_then(|connection| connection.watch().map_err(drop))
    {
        let stop = shim::protocol::Request::Stop {
            signal: rustix::process::Signal::KILL.as_raw(),
            grace: Some(Duration::ZERO),
        };
        let asked = shim::client::connect_within(folder, ORPHAN_PATIENCE)
            .map(|mut link| link.call(&stop, &[]));
        if matches!(asked, Ok(Ok(_))) {
            // Until it has left, or it is clear that it does not. Then the next engine tries again.
            let _ = watch.set_deadline(ORPHAN_PATIENCE);
            while let Ok(Some(_)) = watch.next_event() {}
        }
    }
    if shim::client::is_alive(folder)
        && let Err(error) = shim::client::kill(folder)
    {
        tracing::warn!(%error, "cannot end a supervisor without a record");
    }
    if let Err(error) = shim::client::clean_up(folder) {
        tracing::warn!(error = errors::chain(&error), "cannot end a container without a record");
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::Phase;

    #[test]
    fn a_container_lost_with_the_host_is_shown_as_ended() {
        assert_eq!(Phase::from(RecordedPhase::Live), Phase::Exited);
        assert_eq!(Phase::from(RecordedPhase::Removing), Phase::Dead);
    }
}

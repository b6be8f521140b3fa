//! What a container has changed of its image's files: told, given away, made an image of.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use errors::{Explain, Kind};
use images::{CommitError, CommitOptions, FileChange, ImageId, SnapshotError};
use tokio::sync::OwnedMutexGuard;

use super::errors::{ControlError, LookupError};
use super::handle::Container;
use super::supervisor::blocking;
use super::view::{Phase, View};
use crate::engine::Parts;
use crate::events::ObjectKind;

/// In the run folder, while a container is paused only for its files to hold still.
const PAUSED_FOR_COMMIT: &str = "paused-for-commit";

/// How long a commit waits for the container's other commits. One of much takes its time.
const COMMIT_PATIENCE: Duration = Duration::from_secs(600);

/// Why a container's changes were not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadChangesError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("You cannot {what} container {id} which is Dead")]
    IsDead { what: &'static str, id: String },
    #[error("You cannot {what} container {id} which is being removed")]
    IsRemoving { what: &'static str, id: String },
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("container {id} is being committed: {seconds} s have passed, and it is still")]
    IsCommitted { id: String, seconds: u64 },
    #[error("cannot note that container {id} is paused")]
    Note { id: String, source: io::Error },
}

impl Explain for ReadChangesError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lookup(error) => error.kind(),
            Self::IsDead { .. } | Self::IsRemoving { .. } | Self::IsCommitted { .. } => {
                Kind::Conflict
            }
            Self::Snapshot(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Note { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Commit(error) => error.hint(),
            Self::IsCommitted { .. } => Some("try again when that is done".to_owned()),
            _ => None,
        }
    }
}

/// A container's files, to be written as an archive.
#[derive(Debug)]
pub struct Export {
    parts: Arc<Parts>,
    view: Arc<View>,
}

impl Export {
    /// Writes them. Blocks.
    pub fn write(&self, output: &mut dyn Write) -> Result<(), ReadChangesError> {
        self.parts.images.export(self.view.id.as_str(), output)?;
        tell(&self.parts, &self.view, "export", []);
        Ok(())
    }
}

pub(crate) fn export(
    parts: &Arc<Parts>,
    container: &Container,
) -> Result<Export, ReadChangesError> {
    let view = container.view();
    check(&view, "export")?;
    // That there is nothing is an answer, and not half an archive.
    parts.images.snapshot(view.id.as_str())?;
    Ok(Export { parts: Arc::clone(parts), view })
}

pub(crate) async fn list(
    parts: &Arc<Parts>,
    container: &Container,
) -> Result<Vec<FileChange>, ReadChangesError> {
    let (parts, id) = (Arc::clone(parts), container.id().clone());
    Ok(blocking(move || parts.images.changes(id.as_str())).await?)
}

/// Makes an image of the changes. With `pause`, a container that runs holds still meanwhile.
pub(crate) async fn commit(
    parts: &Arc<Parts>,
    container: &Container,
    pause: bool,
    options: CommitOptions,
) -> Result<ImageId, ReadChangesError> {
    check(&container.view(), "commit")?;
    // One at a time: the end of one would let the container go on in the middle of another, and
    // remove the note of the other's pause.
    let _turn = if pause { Some(turn(container).await?) } else { None };
    let view = container.view();
    check(&view, "commit")?;
    let pause = match pause {
        true => Pause::begin(parts, container, &view).await?,
        false => None,
    };
    let committed = commit_now(parts, &view, options).await;
    if let Some(pause) = pause {
        pause.end(container).await;
    }
    committed
}

async fn turn(container: &Container) -> Result<OwnedMutexGuard<()>, ReadChangesError> {
    let turn = tokio::time::timeout(COMMIT_PATIENCE, container.lock_commit()).await;
    turn.map_err(|_| ReadChangesError::IsCommitted {
        id: container.id().to_string(),
        seconds: COMMIT_PATIENCE.as_secs(),
    })
}

async fn commit_now(
    parts: &Arc<Parts>,
    view: &Arc<View>,
    options: CommitOptions,
) -> Result<ImageId, ReadChangesError> {
    let name = options.reference.as_ref().map(|name| name.clone().or_latest().familiar());
    let comment = options.comment.clone();
    let committed = {
        let (parts, id) = (Arc::clone(parts), view.id.clone());
        blocking(move || parts.images.commit(id.as_str(), &options)).await
    };
    let id = committed?;
    crate::images::tell(parts, &id, "create", &id.to_string());
    if let Some(name) = &name {
        crate::images::tell(parts, &id, "tag", name);
    }
    let attributes =
        [("comment", comment), ("imageID", id.to_string()), ("imageRef", name.unwrap_or_default())];
    tell(parts, view, "commit", attributes);
    Ok(id)
}

fn check(view: &View, what: &'static str) -> Result<(), ReadChangesError> {
    let id = view.id.to_string();
    match view.state.phase {
        Phase::Dead => Err(ReadChangesError::IsDead { what, id }),
        Phase::Removing => Err(ReadChangesError::IsRemoving { what, id }),
        _ => Ok(()),
    }
}

/// A container that holds still for us. Should this process die meanwhile, a note tells the
/// next one to let it go on.
struct Pause {
    note: PathBuf,
}

impl Pause {
    /// Pauses a container that runs. One that cannot be paused (it has just ended) is none to
    /// wait for.
    async fn begin(
        parts: &Parts,
        container: &Container,
        view: &View,
    ) -> Result<Option<Self>, ReadChangesError> {
        if view.state.phase != Phase::Running {
            return Ok(None);
        }
        let note = parts.settings.run_folder(&view.id).join(PAUSED_FOR_COMMIT);
        fs::write(&note, "")
            .map_err(|source| ReadChangesError::Note { id: view.id.to_string(), source })?;
        let pause = Self { note };
        match container.pause().await {
            Ok(()) => Ok(Some(pause)),
            Err(error) => {
                tracing::debug!(container = %view.id, error = errors::chain(&error), "not paused");
                pause.forget();
                Ok(None)
            }
        }
    }

    async fn end(self, container: &Container) {
        go_on(container).await;
        self.forget();
    }

    fn forget(self) {
        // With the run folder it goes in any case.
        let _ = fs::remove_file(self.note);
    }
}

async fn go_on(container: &Container) {
    match container.unpause().await {
        // Somebody else was faster, or it has been killed.
        Ok(()) | Err(ControlError::NotPaused { .. } | ControlError::NotRunning { .. }) => {}
        Err(error) => tracing::error!(
            container = %container.id(),
            error = errors::chain(&error),
            "cannot let a container go on that was paused to be committed"
        ),
    }
}

/// Lets containers go on that an earlier process paused for a commit that it did not finish.
pub(crate) async fn resume_after_crash(parts: &Parts) {
    for container in parts.registry.containers() {
        let note = parts.settings.run_folder(container.id()).join(PAUSED_FOR_COMMIT);
        if note.exists() {
            go_on(&container).await;
            Pause { note }.forget();
        }
    }
}

fn tell<const N: usize>(parts: &Parts, view: &View, action: &str, further: [(&str, String); N]) {
    let mut attributes = view.spec.labels.clone();
    attributes.insert("image".to_owned(), view.image_name.clone());
    attributes.insert("name".to_owned(), view.name.clone());
    attributes.extend(further.map(|(key, value)| (key.to_owned(), value)));
    parts.events.publish(ObjectKind::Container, action, view.id.as_str(), attributes);
}

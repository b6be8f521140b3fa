//! Making a shim, and hearing whether its container runs.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use errors::{Explain, Kind};
use fail_points::{Point, reach};

use super::connection::{CallError, Connection, Watch};
use super::lock;
use super::nursery::{Nursery, Shim};
use crate::protocol::{Answer, AttachOptions, Failure, Launch, Request, State, files};

/// How long a container may take to start. Hooks and slow disks take their time; beyond this
/// something hangs, and whoever waits should know.
pub const LAUNCH_DEADLINE: Duration = Duration::from_secs(120);

/// The program to run as shim. Clones share the process that shims are forked from.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    /// Made when it is needed first, and again should it die.
    nursery: Arc<Mutex<Option<Nursery>>>,
}

impl Program {
    /// `path` is where `wharf-shim` is.
    pub fn new(path: PathBuf) -> Self {
        Self { path, nursery: Arc::default() }
    }

    /// Makes the first launch as quick as all the others.
    pub fn warm_up(&self) -> Result<(), LaunchError> {
        let mut nursery = self.nursery.lock().unwrap_or_else(PoisonError::into_inner);
        if nursery.is_none() {
            *nursery = Some(self.open_nursery()?);
        }
        Ok(())
    }

    /// Forks a shim, and does something in the meantime.
    fn fork(
        &self,
        folder: &Path,
        launcher: BorrowedFd<'_>,
        last_words: BorrowedFd<'_>,
        meanwhile: impl FnOnce() -> Result<(), LaunchError>,
    ) -> Result<Shim, LaunchError> {
        let mut place = self.nursery.lock().unwrap_or_else(PoisonError::into_inner);
        // It is put back only if all goes well: who knows what is wrong with it otherwise.
        let mut nursery = match place.take() {
            Some(nursery) => nursery,
            None => self.open_nursery()?,
        };
        let asked = nursery.ask(folder, launcher, last_words);
        let prepared = meanwhile();
        let born = match asked.and_then(|()| nursery.await_birth()) {
            // It had been killed before it heard of us: a socket is reset when its owner has
            // left something unread, and just ends otherwise.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                nursery = self.open_nursery()?;
                nursery
                    .ask(folder, launcher, last_words)
                    .and_then(|()| nursery.await_birth())
                    .map_err(|source| self.error(source))?
            }
            born => born.map_err(|source| self.error(source))?,
        };
        *place = Some(nursery);
        prepared.inspect_err(|_| born.kill()).map(|()| born)
    }

    fn open_nursery(&self) -> Result<Nursery, LaunchError> {
        Nursery::open(&self.path).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> LaunchError {
        LaunchError::Spawn { program: self.path.clone(), source }
    }
}

/// What a shim gets from whoever launches it. The caller's copies are closed.
#[derive(Debug, Default)]
pub struct StartDescriptors {
    /// The network namespace for the container, over all its restarts.
    pub network_namespace: Option<OwnedFd>,
    /// Clients that see everything from the first byte on.
    pub attach: Vec<(AttachOptions, OwnedFd)>,
    /// Kept open as long as the container is there: sockets that reserve host ports.
    pub held: Vec<OwnedFd>,
}

/// A container that runs, or ran already: `state` tells.
#[derive(Debug)]
pub struct Launched {
    pub state: State,
    /// Tells what happens from `state` on.
    pub watch: Watch,
    pub shim: Shim,
}

/// A container could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The shim says why, in Docker's words.
    #[error("{}", .0.message)]
    Failed(Failure),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Another shim has the folder, and so the container.
    #[error("a shim runs in {} already", folder.display())]
    ShimLives { folder: PathBuf },
    #[error("cannot run the shim program {}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("cannot make a socket pair for the shim")]
    Socket { source: io::Error },
    #[error("the shim ended without starting the container{}{last_words}", if last_words.is_empty() { "" } else { ": " })]
    Died { last_words: String },
    #[error("cannot hear from the shim whether the container has started")]
    Call(#[source] CallError),
}

impl Explain for LaunchError {
    fn kind(&self) -> Kind {
        match self {
            Self::Failed(failure) => failure.kind.error_kind(),
            Self::Call(error) => error.kind(),
            Self::ShimLives { .. } => Kind::Conflict,
            Self::Write { .. } | Self::Spawn { .. } | Self::Socket { .. } | Self::Died { .. } => {
                Kind::Internal
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Spawn { program, source } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("install `wharf-shim` as {}", program.display()))
            }
            _ => None,
        }
    }
}

/// Starts a container under a new shim, and waits until its program runs.
///
/// `folder` is the container's run folder, made by the caller; what an earlier shim left in
/// it must be gone (see [`clean_up`](super::clean_up)). The shim lives on when the caller
/// ends. After an error no shim is left; [`clean_up`](super::clean_up) removes what it may
/// have left behind if it was killed.
pub fn launch(
    program: &Program,
    folder: &Path,
    config: &[u8],
    launch: &Launch,
    descriptors: StartDescriptors,
) -> Result<Launched, LaunchError> {
    let (ours, theirs) = UnixStream::pair().map_err(|source| LaunchError::Socket { source })?;
    let last_words = lock::take(folder)
        .map_err(|source| LaunchError::Write { path: folder.join(files::LAST_WORDS), source })?
        .ok_or_else(|| LaunchError::ShimLives { folder: folder.to_owned() })?;
    let step = |source| LaunchError::Write { path: folder.to_owned(), source };
    reach(Point::StartFork).map_err(step)?;
    // The shim reads the files when it is told to start.
    let shim = program
        .fork(folder, theirs.as_fd(), last_words.as_fd(), || write_files(folder, config, launch))?;
    // From here on they are the shim's alone.
    drop((theirs, last_words));
    let told = reach(Point::StartForked).map_err(step).and_then(|()| start(ours, descriptors));
    match told {
        Ok((state, watch)) => Ok(Launched { state, watch, shim }),
        Err(error) => Err(give_up(&shim, folder, error)),
    }
}

fn write_files(folder: &Path, config: &[u8], launch: &Launch) -> Result<(), LaunchError> {
    let launch = serde_json::to_vec(launch).expect("a launch has string keys only");
    for (name, content) in [(files::CONFIG, config), (files::LAUNCH, &launch)] {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|source| LaunchError::Write { path, source })?;
    }
    Ok(())
}

/// Tells the shim to start, and waits for its word.
fn start(socket: UnixStream, descriptors: StartDescriptors) -> Result<(State, Watch), LaunchError> {
    let StartDescriptors { network_namespace, attach, held } = descriptors;
    let (options, streams): (Vec<_>, Vec<_>) = attach.into_iter().unzip();
    let request = Request::Start {
        has_network_namespace: network_namespace.is_some(),
        attach: options,
        held_descriptors: u32::try_from(held.len()).expect("a process has fewer descriptors"),
    };
    let all: Vec<BorrowedFd<'_>> = network_namespace
        .iter()
        .chain(&streams)
        .chain(&held)
        .map(|descriptor| descriptor.as_fd())
        .collect();

    let mut connection = Connection::with_deadline(socket, LAUNCH_DEADLINE)
        .map_err(|source| LaunchError::Socket { source })?;
    match connection.call(&request, &all) {
        Ok(Answer::Started(state)) => {
            Ok((state, connection.into_watch().map_err(LaunchError::Call)?))
        }
        Ok(_) => Err(LaunchError::Call(CallError::Unexpected)),
        Err(CallError::Failed(failure)) => Err(LaunchError::Failed(failure)),
        Err(error) => Err(LaunchError::Call(error)),
    }
}

/// Makes sure that the shim is gone, and says what can be said of its end.
fn give_up(shim: &Shim, folder: &Path, error: LaunchError) -> LaunchError {
    let died = matches!(error, LaunchError::Call(CallError::Gone));
    // One that has answered `Failed` or has died leaves by itself; any other must.
    if !died && !matches!(error, LaunchError::Failed(_)) {
        shim.kill();
    }
    if !shim.wait_until(Instant::now() + LEAVE_DEADLINE) {
        shim.kill();
    }
    if died { LaunchError::Died { last_words: lock::last_words(folder) } } else { error }
}

/// How long a shim without a container may take to leave.
const LEAVE_DEADLINE: Duration = Duration::from_secs(10);

//! Sending entries as they come.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::entry::{NEVER, nanoseconds};
use super::files::{Found, LogFiles};
use super::{LogEntry, LogQuery};
use crate::containers::{Snapshot, blocking};

/// Tells when something in a log's folder was written or renamed.
#[derive(Debug)]
pub(super) struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    pub(super) fn on(path: &Path) -> io::Result<Self> {
        use inotify::{CreateFlags, WatchFlags};
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let what = WatchFlags::MODIFY | WatchFlags::MOVED_TO | WatchFlags::CREATE;
        inotify::add_watch(&descriptor, folder, what)?;
        #[expect(
            deprecated,
            reason = "its replacement is unsafe for types that may close their descriptor early; \
                      an `OwnedFd` that nobody can take out again does not"
        )]
        let registered = AsyncFd::new(descriptor)?;
        Ok(Self(registered))
    }

    /// Waits until something has happened since the last call.
    async fn changed(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        // Everything that has happened counts once.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.0.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        guard.clear_ready();
        Ok(())
    }
}

/// All that sending entries needs.
pub(super) struct Sending {
    pub(super) log: LogFiles,
    pub(super) query: LogQuery,
    pub(super) files: VecDeque<Found>,
    /// Present when the log is to be followed.
    pub(super) watch: Option<Watch>,
    pub(super) snapshot: watch::Receiver<Snapshot>,
    pub(super) ends_before: u64,
    pub(super) sender: mpsc::Sender<io::Result<Vec<LogEntry>>>,
    /// That of the last entry that was read.
    pub(super) last_time: i64,
}

/// Why sending is over.
enum Stop {
    /// The receiver has gone, or has all that it asked for.
    Done,
    Failed(io::Error),
}

/// Sends what there is, and what comes if the log is followed.
pub(super) async fn send(mut sending: Sending) {
    if let Err(Stop::Failed(error)) = sending.run().await {
        // Nobody listening is not an error.
        let _ = sending.sender.send(Err(error)).await;
    }
}

impl Sending {
    async fn run(&mut self) -> Result<(), Stop> {
        let mut live = self.drain_all(None).await?;
        let Some(watch) = self.watch.take() else { return Ok(()) };
        loop {
            let is_over = self.has_ended();
            live = self.advance(live).await?;
            if is_over {
                return Ok(());
            }
            self.wait(&watch).await?;
        }
    }

    /// Whether the run that is followed has ended. What it wrote is in the file then.
    fn has_ended(&self) -> bool {
        let now = self.snapshot.borrow();
        now.is_gone || now.ends > self.ends_before || !now.view.state.phase.is_live()
    }

    /// Waits for a change, the end, or the moment after which nothing is wanted.
    async fn wait(&mut self, watch: &Watch) -> Result<(), Stop> {
        let until = self.query.until;
        let over = async {
            match until {
                Some(until) => {
                    let left = until.duration_since(jiff::Timestamp::now());
                    let left = std::time::Duration::try_from(left).unwrap_or_default();
                    tokio::time::sleep(left).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = watch.changed() => changed.map_err(Stop::Failed),
            // An error means that the container is gone, which is an end as well.
            _ = self.snapshot.changed() => Ok(()),
            () = over => Err(Stop::Done),
            () = self.sender.closed() => Err(Stop::Done),
        }
    }

    /// Sends all files that were found; comes back with the last one, which may grow.
    async fn drain_all(&mut self, mut last: Option<Found>) -> Result<Option<Found>, Stop> {
        while let Some(file) = self.files.pop_front() {
            last = Some(self.drain(file).await?);
        }
        Ok(last)
    }

    /// Sends what is new, and goes over to the next files if the log was rotated.
    async fn advance(&mut self, live: Option<Found>) -> Result<Option<Found>, Stop> {
        let live = match live {
            Some(live) => Some(self.drain(live).await?),
            None => None,
        };
        let current = match std::fs::metadata(&self.log.path) {
            Ok(metadata) => metadata.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(live),
            Err(error) => return Err(Stop::Failed(error)),
        };
        let Some(live) = live else { return self.go_on_after(None).await };
        if live.inode == current {
            return Ok(Some(live));
        }
        // Written between the drain and the rename.
        let live = self.drain(live).await?;
        self.go_on_after(Some(live)).await
    }

    async fn go_on_after(&mut self, last: Option<Found>) -> Result<Option<Found>, Stop> {
        let (log, last_time) = (self.log.clone(), self.last_time);
        // No file has this number.
        let inode = last.as_ref().map_or(0, |last| last.inode);
        let found = blocking(move || log.after(inode, last_time)).await;
        self.files = found.map_err(Stop::Failed)?;
        self.drain_all(last).await
    }

    /// Sends every whole entry that a file has left.
    async fn drain(&mut self, mut found: Found) -> Result<Found, Stop> {
        loop {
            let (back, result) = blocking(move || {
                let mut entries = Vec::new();
                let result = found.file.read(&mut entries);
                (found, result.map(|is_more| (is_more, entries)))
            })
            .await;
            found = back;
            let (is_more, mut entries) = result.map_err(Stop::Failed)?;
            if let Some(last) = entries.last() {
                self.last_time = self.last_time.max(nanoseconds(last.at));
            }
            let end = entries.iter().position(|entry| self.query.is_past_end(entry));
            entries.truncate(end.unwrap_or(entries.len()));
            entries.retain(|entry| self.query.wants(entry));
            if !entries.is_empty() {
                self.sender.send(Ok(entries)).await.map_err(|_| Stop::Done)?;
            }
            if end.is_some() {
                return Err(Stop::Done);
            }
            if !is_more {
                return Ok(found);
            }
        }
    }
}

/// Before the first entry.
pub(super) const NOTHING_READ: i64 = NEVER;

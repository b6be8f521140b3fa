//! Sending entries as they come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::{LogEntry, LogQuery, entry};
use crate::containers::{Snapshot, blocking};

/// Bytes read from a file at once.
const READ_BYTES: usize = 64 << 10;

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
    pub(super) path: PathBuf,
    pub(super) query: LogQuery,
    pub(super) files: VecDeque<File>,
    /// Present when the log is to be followed.
    pub(super) watch: Option<Watch>,
    pub(super) snapshot: watch::Receiver<Snapshot>,
    pub(super) ends_before: u64,
    pub(super) sender: mpsc::Sender<io::Result<LogEntry>>,
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
        let mut live = Reader::default();
        while let Some(file) = self.files.pop_front() {
            live = Reader::of(file);
            self.drain(&mut live).await?;
        }
        let Some(watch) = self.watch.take() else { return Ok(()) };
        loop {
            let is_over = self.has_ended();
            self.advance(&mut live).await?;
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

    /// Sends what is new, and goes over to the next file if the log was rotated.
    async fn advance(&self, live: &mut Reader) -> Result<(), Stop> {
        self.drain(live).await?;
        let current = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Stop::Failed(error)),
        };
        if live.inode == Some(current) {
            return Ok(());
        }
        // Written between the drain and the rename.
        self.drain(live).await?;
        *live = Reader::of(File::open(&self.path).map_err(Stop::Failed)?);
        self.drain(live).await
    }

    /// Sends every whole line that a file has left.
    async fn drain(&self, reader: &mut Reader) -> Result<(), Stop> {
        loop {
            let mut taken = std::mem::take(reader);
            let (filled, result) = blocking(move || {
                let result = taken.fill();
                (taken, result)
            })
            .await;
            *reader = filled;
            let is_at_end = result.map_err(Stop::Failed)? == 0;
            while let Some(line) = reader.next_line() {
                // A line that was cut by a crash of its writer is passed over.
                let Ok(entry) = entry::parse(&line) else { continue };
                if self.query.is_past_end(&entry) {
                    return Err(Stop::Done);
                }
                if self.query.wants(&entry) {
                    self.sender.send(Ok(entry)).await.map_err(|_| Stop::Done)?;
                }
            }
            if is_at_end {
                return Ok(());
            }
        }
    }
}

/// Cuts a growing file into lines.
#[derive(Debug, Default)]
struct Reader {
    file: Option<File>,
    inode: Option<u64>,
    buffer: Vec<u8>,
    /// Where the first line that was not taken yet begins.
    start: usize,
}

impl Reader {
    fn of(file: File) -> Self {
        let inode = file.metadata().ok().map(|metadata| metadata.ino());
        Self { file: Some(file), inode, ..Self::default() }
    }

    /// Reads more; says how many bytes came.
    fn fill(&mut self) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        self.buffer.drain(..self.start);
        self.start = 0;
        let mut reader = file.take(READ_BYTES as u64);
        reader.read_to_end(&mut self.buffer)
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let rest = &self.buffer[self.start..];
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..length].to_vec();
        self.start += length + 1;
        Some(line)
    }
}

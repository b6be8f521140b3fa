//! Removing a container's folders, with all that the container has made below them.
//!
//! A folder can be removed once nobody lives in it and nothing is below it. Processes that were
//! killed may need a moment to be gone, even when they have been waited for; what a container
//! has made below (an init system or a container engine within it does) goes with it.

use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

use super::{CgroupError, files};

/// How long killed processes may take to be gone.
const SECONDS_MAX: u64 = 10;

/// Between two attempts where the kernel says busy, and not why.
const PAUSE: Duration = Duration::from_millis(1);

/// Removes a folder of any version. One that is not there is as good as removed.
pub(super) fn remove(path: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + Duration::from_secs(SECONDS_MAX);
    loop {
        match remove_tree(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                await_empty(path, deadline);
            }
            Err(source) => return Err(CgroupError::Remove { path: path.into(), source }),
        }
    }
}

/// The folder itself comes first, because most have nothing below.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if is_busy(&error) => {}
        result => return result,
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match remove_tree(&entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    fs::remove_dir(path)
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::BUSY.raw_os_error())
}

/// Waits until nobody lives in the folder and below, but not beyond `deadline`.
fn await_empty(path: &Path, deadline: Instant) {
    match File::open(path.join("cgroup.events")) {
        Ok(events) => await_unpopulated(events, deadline),
        Err(_) => await_processes(path, deadline),
    }
    // What is busy without anybody in it will be free in a moment.
    wait(&mut [], Instant::now() + PAUSE);
}

/// Version 2 tells.
fn await_unpopulated(mut events: File, deadline: Instant) {
    while Instant::now() < deadline {
        let text = events.rewind().and_then(|()| io::read_to_string(&events));
        if text.is_ok_and(|text| files::value_of(&text, "populated") != Some(1)) {
            return;
        }
        wait(&mut [PollFd::new(&events, PollFlags::PRI)], deadline);
    }
}

/// On version 1 the processes themselves tell.
fn await_processes(path: &Path, deadline: Instant) {
    for process in files::processes_below(path).unwrap_or_default() {
        if let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) {
            wait(&mut [PollFd::new(&pidfd, PollFlags::IN)], deadline);
        }
    }
}

fn wait(waiting: &mut [PollFd<'_>], until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).expect("ten seconds are a short time");
    // An interruption is as good as any other reason to look again.
    let _ = poll(waiting, Some(&left));
}

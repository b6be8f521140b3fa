//! What one call of the program writes and reads, in the run folder.

use std::ffi::OsString;
use std::sync::atomic::{AtomicU32, Ordering};

/// Files of one call's own: several calls may be on their way at once, and what one of them has
/// left is not to be taken for another's. They go with it.
#[derive(Debug)]
pub(super) struct CallFiles {
    number: u32,
}

impl CallFiles {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let files = Self { number: COUNT.fetch_add(1, Ordering::Relaxed) };
        files.remove();
        files
    }

    /// Where the program writes what goes wrong.
    pub(super) fn log(&self) -> String {
        format!("bundle/call-{}.log", self.number)
    }

    /// Where it writes the number of a process that it makes.
    pub(super) fn pid(&self) -> String {
        format!("bundle/call-{}.pid", self.number)
    }

    /// What process it is to make.
    pub(super) fn process(&self) -> String {
        format!("bundle/call-{}.json", self.number)
    }

    /// Where it hands a terminal over.
    pub(super) fn terminal(&self) -> String {
        format!("call-{}.sock", self.number)
    }

    fn remove(&self) {
        for name in [self.log(), self.pid(), self.process(), self.terminal()] {
            // Few calls have all of them. They go with the run folder at the latest.
            let _ = std::fs::remove_file(name);
        }
    }
}

impl Drop for CallFiles {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A path in the run folder that holds wherever the program goes, and is short.
pub(super) fn own_path(name: &str) -> OsString {
    format!("/proc/{}/cwd/{name}", rustix::process::getpid().as_raw_nonzero()).into()
}

//! Making the programs under test fail, wait or die at a chosen place.
//!
//! Debug builds have such places (crate `fail-points`); they and a story speak through a folder
//! that the daemon was told of. See that crate for what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::patience::eventually;

/// The environment variable that tells a daemon of the folder.
pub(crate) const VARIABLE: &str = "WHARF_FAIL_POINTS";

/// A place in the programs' code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailPoint {
    pub name: String,
    /// Whether its step can fail; any can be slow, or the process's last.
    pub can_fail: bool,
}

/// What a point is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step fails.
    Error,
    /// The step takes so many milliseconds longer.
    Delay(u64),
    /// The process dies.
    Abort,
}

/// The points of one daemon and its supervisors.
#[derive(Debug)]
pub struct FailPoints {
    folder: PathBuf,
}

impl FailPoints {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every point. None in programs that were built for a release.
    pub fn all(&self) -> Vec<FailPoint> {
        let list = fs::read_to_string(self.folder.join("points")).unwrap_or_default();
        let points = list.lines().map(|line| {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default().to_owned();
            FailPoint { name, can_fail: words.any(|word| word == "error") }
        });
        points.collect()
    }

    /// From now on the point does this once.
    pub fn arm(&self, point: &str, fault: Fault) {
        // What an earlier fault left would be taken for this one's.
        let _ = fs::remove_file(self.folder.join("fired").join(point));
        let text = match fault {
            Fault::Error => "error".to_owned(),
            Fault::Delay(millis) => format!("delay {millis}"),
            Fault::Abort => "abort".to_owned(),
        };
        // Whole, or not there: somebody may come by while it is written.
        let draft = self.folder.join("draft");
        fs::write(&draft, text).expect("/tmp takes files");
        fs::rename(&draft, self.folder.join("armed").join(point)).expect("the daemon made it");
    }

    /// The process in which the point did as told, if it has.
    pub fn fired_in(&self, point: &str) -> Option<u32> {
        let text = fs::read_to_string(self.folder.join("fired").join(point)).ok()?;
        text.split_once(" in ")?.1.trim().parse().ok()
    }

    /// Waits until the point has done as told, and says in which process.
    #[track_caller]
    pub fn await_fired(&self, point: &str) -> u32 {
        eventually(&format!("somebody to come by {point}"), || self.fired_in(point))
    }
}

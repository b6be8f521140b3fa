//! The runs of a container that its shim has followed by another, for a daemon that was away.
//!
//! They are in a file of the run folder, which is written at each restart and at no other time.
//! It holds the last ones only: a container that ends at once is restarted thousands of times.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::protocol::{UnixNanos, files};

/// So many are kept.
pub const PAST_RUNS_MAX: usize = 100;

/// A run that is over, and was followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// Restarts up to and with the one that followed it.
    pub restarts: u32,
    pub started_at: UnixNanos,
    pub finished_at: UnixNanos,
    pub exit_code: i32,
}

/// Adds a run to those in `folder`. The oldest goes when there are too many.
pub fn note_past_run(folder: &Path, run: PastRun) -> io::Result<()> {
    let mut runs = past_runs(folder);
    let surplus = (runs.len() + 1).saturating_sub(PAST_RUNS_MAX);
    runs.drain(..surplus);
    runs.push(run);
    let new = folder.join(files::PAST_RUNS_NEW);
    std::fs::write(&new, serde_json::to_vec(&runs)?)?;
    std::fs::rename(new, folder.join(files::PAST_RUNS))
}

/// The runs in `folder`, oldest first. None where a shim of an earlier build looks after the
/// container, or it was never restarted.
pub fn past_runs(folder: &Path) -> Vec<PastRun> {
    let text = std::fs::read(folder.join(files::PAST_RUNS)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_runs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(past_runs(folder.path()), []);
        for restarts in 1..=103 {
            let run = PastRun { restarts, started_at: 1, finished_at: 2, exit_code: 3 };
            note_past_run(folder.path(), run).unwrap();
        }
        let kept: Vec<_> = past_runs(folder.path()).iter().map(|run| run.restarts).collect();
        assert_eq!(kept, (4..=103).collect::<Vec<_>>());
    }
}

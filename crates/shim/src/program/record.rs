//! The shim's state on disk, for whoever comes when the shim cannot be asked any more.
//!
//! Renaming a new file into place, the usual way, takes a disk's file system a third of a
//! millisecond, three times in a container's life. It is not needed here: nobody reads the file
//! while the shim lives, and the kernel does not break off the writing of a page for a signal,
//! SIGKILL included. So a state that fits into a page is written over the last one in one go,
//! with blanks where that was longer. Only a larger one is renamed into place.
//!
//! Nothing is synced: the folder does not outlive the machine's running, and neither does the
//! container.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use shim::protocol::{State, files};

/// The smallest page of any processor.
const PAGE_BYTES: usize = 4096;

/// `state.json` in a run folder.
#[derive(Debug)]
pub(crate) struct Record {
    folder: PathBuf,
    file: File,
    /// How long the last state was.
    length: usize,
}

impl Record {
    /// Begins with an empty file. What an earlier shim knew of an earlier run would mislead
    /// those who clean up after us.
    pub(crate) fn begin(folder: &Path) -> io::Result<Self> {
        let path = folder.join(files::STATE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { folder: folder.to_owned(), file: create(&path)?, length: 0 })
    }

    /// Replaces the state.
    pub(crate) fn write(&mut self, state: &State) -> io::Result<()> {
        let mut text = serde_json::to_vec(state)?;
        if text.len().max(self.length) > PAGE_BYTES {
            return self.replace(&text);
        }
        let length = text.len();
        text.resize(length.max(self.length), b' ');
        self.file.write_all_at(&text, 0)?;
        self.length = length;
        Ok(())
    }

    fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        let new = self.folder.join(files::STATE_NEW);
        let file = create(&new)?;
        file.write_all_at(text, 0)?;
        std::fs::rename(new, self.folder.join(files::STATE))?;
        self.file = file;
        self.length = text.len();
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use shim::client::last_state;
    use shim::protocol::{ExecState, Phase, VERSION};

    use super::*;

    fn state(execs: usize) -> State {
        State {
            version: VERSION,
            phase: Phase::Running,
            shim_pid: 1,
            pid: 2,
            pid_start_ticks: 3,
            started_at: None,
            finished_at: None,
            exit_code: None,
            oom_killed: false,
            memory_peak: None,
            error: None,
            warnings: Vec::new(),
            restart_count: 0,
            stop_requested: false,
            cgroup_paths: Vec::new(),
            log_entries_lost: 0,
            execs: (0..execs)
                .map(|number| ExecState { id: number.to_string(), pid: 9, exit_code: None })
                .collect(),
            health: None,
            probe: None,
            unheard_stop_signal: None,
        }
    }

    #[test]
    fn the_last_state_is_read_back_whatever_the_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::begin(folder.path()).unwrap();
        assert!(last_state(folder.path()).unwrap().is_none());
        for execs in [1, 10, 0, 3, 500, 200, 0, 2] {
            record.write(&state(execs)).unwrap();
            let read = last_state(folder.path()).unwrap().unwrap();
            assert_eq!(read.execs, state(execs).execs);
        }
    }

    #[test]
    fn what_an_earlier_run_left_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        Record::begin(folder.path()).unwrap().write(&state(1)).unwrap();
        Record::begin(folder.path()).unwrap();
        assert!(last_state(folder.path()).unwrap().is_none());
    }
}

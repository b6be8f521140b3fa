//! The raw floor: what the kernel alone takes to run a container.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::bundles::unpack_shell;

/// The program that measures the floor, and a root for it.
#[derive(Debug)]
pub(crate) struct Floor {
    program: PathBuf,
    folder: TempDir,
}

impl Floor {
    pub(crate) fn prepare(program: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in("/tmp")?;
        unpack_shell(&folder.path().join("root"))?;
        Ok(Self { program: program.to_owned(), folder })
    }

    /// Milliseconds of one container, without the start of the measuring program itself.
    pub(crate) fn measure(&self, flags: &[&str]) -> Result<f64> {
        let scratch = tempfile::tempdir_in(self.folder.path())?;
        let mut command = Command::new(&self.program);
        command.arg(self.folder.path().join("root")).arg(scratch.path()).args(flags);
        let output = command.output().context("cannot run the floor")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the floor failed: {complaint}");
        let nanoseconds = String::from_utf8_lossy(&output.stdout);
        let nanoseconds: f64 = nanoseconds.trim().parse().context("not a number")?;
        Ok(nanoseconds / 1e6)
    }
}

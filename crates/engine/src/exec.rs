//! Additional processes in running containers.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::containers::ContainerId;

/// An exec's id: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecId(pub(crate) Arc<str>);

impl ExecId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A process to run in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecSpec {
    /// Never empty.
    pub arguments: Vec<String>,
    /// Added to the container's own.
    pub environment: Vec<String>,
    pub working_directory: Option<String>,
    /// `user[:group]`; `None`: the container's own.
    pub user: Option<String>,
    pub privileged: bool,
    pub terminal: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// In Docker's spelling; `None`: the default.
    pub detach_keys: Option<String>,
    /// Rows, columns.
    pub terminal_size: Option<(u16, u16)>,
}

/// A snapshot of an exec.
#[derive(Debug, Clone)]
pub struct ExecView {
    pub id: ExecId,
    pub container: ContainerId,
    pub spec: Arc<ExecSpec>,
    pub is_running: bool,
    /// 0 before it ran.
    pub pid: i32,
    /// `None` until it has ended.
    pub exit_code: Option<i32>,
    pub(crate) ended_at: Option<Instant>,
}

impl ExecView {
    /// One that has not run.
    pub(crate) fn new(id: ExecId, container: ContainerId, spec: Arc<ExecSpec>) -> Self {
        Self { id, container, spec, is_running: false, pid: 0, exit_code: None, ended_at: None }
    }

    pub(crate) fn end(&mut self, exit_code: i32) {
        self.is_running = false;
        self.exit_code = Some(exit_code);
        self.ended_at.get_or_insert_with(Instant::now);
    }
}

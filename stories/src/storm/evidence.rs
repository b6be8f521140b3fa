//! What can be seen of a container that something went wrong with, before it is gone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::caller::Caller;
use crate::leaks;

/// How much of a file is shown: all of a shim's state, not all of a configuration.
const CONTENT_BYTES_MAX: usize = 1024;

/// What the daemon, the run folder and the process table say of the caller's last container.
pub(super) fn of_last_container(run_folders: &Path, caller: &mut Caller) -> String {
    let name = caller.last_name();
    let document: Value = match caller.ask("GET", &format!("/containers/{name}/json"), None) {
        Ok(reply) => serde_json::from_slice(&reply.body).unwrap_or_default(),
        Err(problem) => return format!("{name}: {problem}"),
    };
    let Some(id) = document["Id"].as_str() else {
        return format!("{name}: the daemon says {document}");
    };
    let mut evidence = format!("{name}: the daemon says {}", document["State"]);
    let folder = run_folders.join(id);
    for path in leaks::entries(&folder) {
        let content = fs::read(&path).unwrap_or_default();
        let content = String::from_utf8_lossy(&content[..content.len().min(CONTENT_BYTES_MAX)]);
        let _ = write!(evidence, "\n    {}: {}", path.display(), content.trim_end());
    }
    for (pid, line) in leaks::processes_of(&folder) {
        let _ = write!(evidence, "\n    process {pid}: {line}");
    }
    evidence
}

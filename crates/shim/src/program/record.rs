//! The shim's state on disk, for whoever comes when the shim cannot be asked any more.

use std::io;

use shim::protocol::{State, files};

/// Replaces `state.json` in the working folder: a reader sees the old one or the new one.
///
/// Not synced: the folder does not outlive the machine's running, and neither does the
/// container.
pub(crate) fn write(state: &State) -> io::Result<()> {
    let text = serde_json::to_vec(state)?;
    std::fs::write(files::STATE_NEW, text)?;
    std::fs::rename(files::STATE_NEW, files::STATE)
}

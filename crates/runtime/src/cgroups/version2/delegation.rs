//! Handing a container's folder down to the user who is root in it.

use std::fs;
use std::io;
use std::path::Path;

use crate::cgroups::CgroupError;

/// The files that belong to whoever manages what is below, as far as the kernel tells.
const DELEGATED: &str = "/sys/kernel/cgroup/delegate";

/// What the manual names (cgroups(7)), for kernels that tell nothing (before 4.15).
const DELEGATED_ALWAYS: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Makes `user` the owner. The limits stay the maker's: they are in other files.
pub(super) fn hand_to(folder: &Path, user: u32) -> Result<(), CgroupError> {
    let list = fs::read_to_string(DELEGATED).unwrap_or_else(|_| DELEGATED_ALWAYS.to_owned());
    std::os::unix::fs::chown(folder, Some(user), None)
        .map_err(|source| CgroupError::Create { path: folder.to_owned(), source })?;
    for name in list.lines() {
        let file = folder.join(name);
        match std::os::unix::fs::chown(&file, Some(user), None) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CgroupError::Create { path: file, source });
            }
            // That of a controller that is not there.
            _ => {}
        }
    }
    Ok(())
}

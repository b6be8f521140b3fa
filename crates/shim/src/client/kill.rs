//! Ending a shim that does not answer, and of which nobody knows the number.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::Pid;

use crate::process;

/// Kills the shim whose run folder this is, with what it runs there: they are known by their
/// working folder. What the container has is left to [`clean_up`](super::clean_up).
pub fn kill(folder: &Path) -> io::Result<()> {
    let folder = match folder.canonicalize() {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?)) else {
            continue;
        };
        let works_there = || {
            let place = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
            place.is_ok_and(|place| place == folder)
        };
        // Looked at again once it is held: the number may have become another process's.
        if works_there()
            && let Ok(found) = process::open(pid)
            && works_there()
        {
            process::kill(found);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn who_works_in_the_folder_is_killed_and_nobody_else() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sleeper =
            |place: &Path| Command::new("sleep").arg("1000").current_dir(place).spawn().unwrap();
        let (mut shim, mut stranger) = (sleeper(folder.path()), sleeper(other.path()));
        kill(folder.path()).unwrap();
        assert_eq!(shim.wait().unwrap().signal(), Some(9));
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        kill(&folder.path().join("gone")).unwrap();
    }
}

//! This program's file in the hands of an ordinary user, who can make no read-only view of it.
//!
//! The container's processes are that user to the host, or others that it was granted: none of
//! them is the host's root. So a file that only root may write is out of their reach as it is.
//! Of any other, such as one in a home folder, a sealed copy in memory is executed instead.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use linux::namespaces::is_in_user_namespace;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

/// The host's root, as whoever is not in a user namespace sees it.
const ROOT: u32 = 0;
/// Writable by the group, or by everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A copy of the program `own` that nobody can change; `None` if nobody can change itself.
pub(crate) fn sealed_copy(own: &str) -> io::Result<Option<OwnedFd>> {
    let mut file = File::open(own)?;
    if is_sealed(&file) || is_roots_alone(&file, is_in_user_namespace())? {
        return Ok(None);
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::EXEC;
    let mut copy = File::from(match memfd_create("wharf-runtime", flags) {
        // A kernel before 6.3 asks for no word about execution.
        Err(rustix::io::Errno::INVAL) => memfd_create("wharf-runtime", flags - MemfdFlags::EXEC)?,
        result => result?,
    });
    io::copy(&mut file, &mut copy)?;
    fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    // The kernel executes nothing that is open for writing.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
    Ok(Some(File::open(path)?.into()))
}

fn is_sealed(file: &File) -> bool {
    fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

/// In a user namespace its root is an ordinary user, and perhaps the container's root as well.
fn is_roots_alone(file: &File, is_in_user_namespace: bool) -> io::Result<bool> {
    let data = file.metadata()?;
    Ok(!is_in_user_namespace && data.uid() == ROOT && data.mode() & WRITABLE_BY_OTHERS == 0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_root_of_a_user_namespace_is_no_protection() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::copy("/bin/true", &program).unwrap();
        let file = File::open(&program).unwrap();
        let is_roots = file.metadata().unwrap().uid() == ROOT;
        assert_eq!(is_roots_alone(&file, false).unwrap(), is_roots);
        assert!(!is_roots_alone(&file, true).unwrap());
    }

    #[test]
    fn a_copy_cannot_be_changed_and_is_not_copied_again() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::copy("/bin/true", &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();

        let copy = sealed_copy(program.to_str().unwrap()).unwrap().unwrap();
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());

        assert!(
            File::options()
                .write(true)
                .open(&path)
                .and_then(|mut file| { io::Write::write_all(&mut file, b"x") })
                .is_err()
        );
        assert!(sealed_copy(&path).unwrap().is_none());
        assert!(std::process::Command::new(&path).status().unwrap().success());
    }
}

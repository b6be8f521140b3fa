//! How much of the disk a container takes.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use archive::node;
use archive::place;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::errors::ControlError;
use super::handle::Container;
use super::supervisor::blocking;
use crate::engine::Parts;

/// Bytes of a container's own changes, and of those and its image together.
pub(crate) async fn size(
    parts: &Arc<Parts>,
    container: &Container,
) -> Result<(u64, u64), ControlError> {
    let view = container.view();
    let image = parts.images.resolve(&view.image_id).map_or(0, |image| image.size());
    let upper = view.upper_directory.clone();
    let own = blocking(move || of_folder(&upper))
        .await
        .map_err(|source| ControlError::Processes { id: view.id.to_string(), source })?;
    Ok((own, own + image))
}

/// Bytes of everything below a folder but folders, as `du --apparent-size` counts: a file with
/// several names counts once, and what disappears meanwhile does not count.
///
/// Whoever uses the folder may put a symlink in the place of a folder while we count, to have us
/// count elsewhere: no symlink is followed.
pub(crate) fn of_folder(folder: &Path) -> io::Result<u64> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = match rustix::fs::open(folder, flags, Mode::empty()) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut total = 0;
    let mut seen = HashSet::new();
    // Paths, not descriptors: a tree can be wider than the limit on those.
    let mut pending = vec![b".".to_vec()];
    while let Some(path) = pending.pop() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = place::open_at(std::os::fd::AsFd::as_fd(&root), &path, flags, resolve);
        let folder = match opened {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            // Deeper than anybody can name. That must not keep all the rest from being counted.
            Err(Errno::NAMETOOLONG) => continue,
            Err(error) => return Err(error.into()),
        };
        for name in node::names(&folder)? {
            let stat = match rustix::fs::statat(&folder, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                pending.push(place::join(&path, &name));
            } else if stat.st_nlink == 1 || seen.insert((stat.st_dev, stat.st_ino)) {
                total += u64::try_from(stat.st_size).unwrap_or_default();
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{Mode, OFlags, of_folder};

    #[test]
    fn what_nobody_can_name_is_no_error() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), [0; 7]).unwrap();
        let mut folder = std::os::fd::OwnedFd::from(fs::File::open(root.path()).unwrap());
        for _ in 0..2100 {
            rustix::fs::mkdirat(&folder, "x", Mode::RWXU).unwrap();
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            folder = rustix::fs::openat(&folder, "x", flags, Mode::empty()).unwrap();
        }
        assert_eq!(of_folder(root.path()).unwrap(), 7);
        images::remove_tree(root.path()).unwrap();
    }

    #[test]
    fn a_file_with_two_names_counts_once_and_symlinks_lead_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("d")).unwrap();
        fs::write(path("d/file"), [0; 1000]).unwrap();
        fs::hard_link(path("d/file"), path("second")).unwrap();
        symlink("/usr", path("link")).unwrap();
        assert_eq!(of_folder(root.path()).unwrap(), 1004);
        assert_eq!(of_folder(&path("missing")).unwrap(), 0);
    }
}

//! Removing trees that strangers have filled.
//!
//! A container can nest folders deeper than a thread's stack or the limit on descriptors goes,
//! or set flags that forbid removal. So nothing here recurses without bound: what lies too
//! deep is first moved up.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{AtFlags, CWD, Dir, IFlags, Mode, OFlags};
use rustix::io::Errno;

/// Folders within folders before one is moved up. Each takes a descriptor and some stack.
const DEPTH_MAX: usize = 32;

/// How a folder is opened that is to be emptied.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes a file, or a folder with everything in it. That nothing is there is no error.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let root = match rustix::fs::openat(CWD, path, FOLDER, Mode::empty()) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        // A file, or a symlink, which is not followed.
        Err(Errno::NOTDIR | Errno::LOOP) => return forgive_missing(rustix::fs::unlink(path)),
        Err(error) => return Err(error.into()),
    };
    let mut removal = Removal { root: root.as_fd(), moved: 0 };
    loop {
        let moved = removal.moved;
        removal.empty(root.as_fd(), 0)?;
        if removal.moved == moved {
            break;
        }
    }
    forgive_missing(rustix::fs::rmdir(path))
}

fn forgive_missing(removed: Result<(), Errno>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A tree that is being removed.
struct Removal<'a> {
    root: BorrowedFd<'a>,
    /// How many folders were moved to the root.
    moved: usize,
}

impl Removal<'_> {
    /// Removes everything in a folder, except what is moved to the root.
    fn empty(&mut self, folder: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
        let mut failure = Ok(());
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // One thing that cannot be removed is no reason to leave the others.
            if let Err(error) = self.remove(folder, name.to_bytes(), depth) {
                failure = Err(error);
            }
        }
        failure
    }

    fn remove(&mut self, folder: BorrowedFd<'_>, name: &[u8], depth: usize) -> io::Result<()> {
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            // The file or its folder may be marked as not to be changed.
            Err(Errno::PERM) => {
                allow_changes(folder, name);
                match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => {}
                    other => return forgive_missing(other),
                }
            }
            other => return forgive_missing(other),
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::PERM) => {}
            other => return forgive_missing(other),
        }
        let inner: OwnedFd = match rustix::fs::openat(folder, name, FOLDER, Mode::empty()) {
            Ok(inner) => inner,
            Err(error) => return forgive_missing(Err(error)),
        };
        if depth >= DEPTH_MAX {
            return self.move_up(folder, name);
        }
        clear_flags(inner.as_fd());
        self.empty(inner.as_fd(), depth + 1)?;
        match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Err(Errno::PERM) => {
                clear_flags(folder);
                forgive_missing(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR))
            }
            other => forgive_missing(other),
        }
    }

    /// Moves a folder to the root, under a name that nobody has.
    fn move_up(&mut self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        loop {
            let place = format!("moved-{}", self.moved);
            self.moved += 1;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(folder, name, self.root, place, flags) {
                Err(Errno::EXIST) => {}
                other => return forgive_missing(other),
            }
        }
    }
}

/// Takes the marks "immutable" and "append only" off a file and its folder.
fn allow_changes(folder: BorrowedFd<'_>, name: &[u8]) {
    clear_flags(folder);
    // Without `NONBLOCK` a FIFO would wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::openat(folder, name, flags, Mode::empty()) {
        clear_flags(file.as_fd());
    }
}

fn clear_flags(file: BorrowedFd<'_>) {
    let marks = IFlags::IMMUTABLE | IFlags::APPEND;
    let Ok(flags) = rustix::fs::ioctl_getflags(file) else { return };
    if flags.intersects(marks) {
        // If this fails, so will the removal, and that is told.
        let _ = rustix::fs::ioctl_setflags(file, flags - marks);
    }
}

/// A thread that removes trees nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Remover(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    paths: Sender<PathBuf>,
    thread: JoinHandle<()>,
}

impl Remover {
    /// Removes a tree soon.
    pub(crate) fn remove_later(&self, path: PathBuf) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            *running = start();
        }
        let refused = match &*running {
            Some(running) => running.paths.send(path).err().map(|refused| refused.0),
            None => Some(path),
        };
        drop(running);
        // Without a thread it is done here.
        refused.iter().for_each(|path| remove_or_warn(path));
    }

    /// Waits until everything is removed.
    pub(crate) fn finish(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { paths, thread }) = running {
            drop(paths);
            if thread.join().is_err() {
                tracing::error!("the remover of file systems has panicked");
            }
        }
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        self.finish();
    }
}

fn start() -> Option<Running> {
    let (paths, received) = channel();
    let work = move || remove_all(&received);
    let thread = std::thread::Builder::new().name("remover".to_owned()).stack_size(256 << 10);
    Some(Running { paths, thread: thread.spawn(work).ok()? })
}

fn remove_all(paths: &Receiver<PathBuf>) {
    paths.iter().for_each(|path| remove_or_warn(&path));
}

/// What stays goes when the store is next opened.
fn remove_or_warn(path: &Path) {
    if let Err(error) = remove_tree(path) {
        tracing::warn!(path = %path.display(), %error, "cannot delete a removed file system");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_tree_goes_and_what_it_points_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::write(folder.path().join("kept"), "x").unwrap();
        symlink(folder.path().join("kept"), tree.join("a/link")).unwrap();
        symlink(folder.path(), tree.join("up")).unwrap();
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o0)).unwrap();

        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(folder.path().join("kept").exists());

        symlink(folder.path(), &tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(folder.path().join("kept").exists());
        remove_tree(&folder.path().join("kept")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_deeper_than_any_path_goes() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("moved-0")).unwrap();
        let mut here = OwnedFd::from(File::open(&tree).unwrap());
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, "folder", Mode::from_raw_mode(0o700)).unwrap();
            rustix::fs::openat(&here, "f", OFlags::CREATE | OFlags::WRONLY, Mode::empty()).unwrap();
            here = rustix::fs::openat(&here, "folder", FOLDER, Mode::empty()).unwrap();
        }
        // As in a daemon's thread, not with the main thread's stack.
        std::thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || remove_tree(&tree).unwrap())
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn marks_against_removal_are_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("marked/inner")).unwrap();
        fs::write(tree.join("marked/file"), "x").unwrap();
        for path in ["marked/file", "marked/inner", "marked"] {
            let file = File::open(tree.join(path)).unwrap();
            if let Err(error) = rustix::fs::ioctl_setflags(&file, IFlags::IMMUTABLE) {
                eprintln!("skipped: the file system knows no marks: {error}");
                return;
            }
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn what_is_removed_later_is_gone_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let remover = Remover::default();
        for number in 0..10 {
            let path = folder.path().join(number.to_string());
            fs::create_dir_all(path.join("a")).unwrap();
            remover.remove_later(path);
        }
        remover.finish();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

//! Finding things in a container by their path.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use archive::node::Node;
use archive::place::{self, Step, Way};
use jiff::Timestamp;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::root::{IN_ROOT, Root, is_kernels};
use super::{FilesError, PathStat};

/// Symlinks that are followed to tell where one leads. As many as Go follows.
const SYMLINKS_MAX: usize = 255;

/// A path as a user gave it.
#[derive(Debug, Clone)]
pub(super) struct UserPath {
    /// From the root, without `.`, `..` and needless slashes. Empty for the root.
    pub(super) clean: Vec<u8>,
    /// It ends with a slash or `/.`, and so means a folder.
    is_folder: bool,
    /// It ends with `/.`, and so means what is in the folder.
    is_content: bool,
}

impl UserPath {
    pub(super) fn parse(path: &str) -> Self {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                // Above the root is the root.
                ".." => drop(parts.pop()),
                name => parts.push(name),
            }
        }
        let is_content = path == "." || path.ends_with("/.");
        Self {
            clean: parts.join("/").into_bytes(),
            is_folder: is_content || path.ends_with('/'),
            is_content,
        }
    }

    /// As Docker shows it.
    fn shown(&self) -> String {
        let path = String::from_utf8_lossy(&self.clean);
        let end = match (self.is_content, self.is_folder && !self.clean.is_empty()) {
            (true, _) if self.clean.is_empty() => ".",
            (true, _) => "/.",
            (_, true) => "/",
            _ => "",
        };
        format!("/{path}{end}")
    }

    /// The last part, by which Docker calls what is there.
    pub(super) fn name(&self) -> Vec<u8> {
        match place::split(&self.clean).1 {
            _ if self.is_content => b".".to_vec(),
            b"" => b"/".to_vec(),
            name => name.to_vec(),
        }
    }
}

/// What is at a path: a symlink is not followed, unless the path says that it means a folder.
pub(super) fn find(root: &Root, path: &UserPath) -> Result<Node, Errno> {
    let (parent, name) = place::split(&path.clean);
    let parent = open_folder(root.folder(), parent)?;
    if is_kernels(parent.as_fd()) {
        // The kernel's own files are not the container's to give away.
        return Err(Errno::NOENT);
    }
    if name.is_empty() {
        return Node::open(root.folder(), b".");
    }
    if !path.is_folder {
        return Node::open(parent.as_fd(), name);
    }
    let folder = open_folder(root.folder(), &path.clean)?;
    Node::open(folder.as_fd(), b".")
}

/// Opens a folder, wherever the symlinks on the way to it lead.
pub(super) fn open_folder(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    place::open_at(root, path, OFlags::PATH | OFlags::DIRECTORY, IN_ROOT)
}

/// What an error means to the user, who gave `path` and called the container `container`.
pub(super) fn explain(error: Errno, path: &str, container: &str) -> FilesError {
    let reason = match error {
        Errno::NOENT => {
            let (path, container) = (path.to_owned(), container.to_owned());
            return FilesError::NotFound { path, container };
        }
        Errno::NOTDIR => "not a directory".to_owned(),
        Errno::LOOP => "too many levels of symbolic links".to_owned(),
        Errno::NAMETOOLONG => "file name too long".to_owned(),
        Errno::ACCESS => "permission denied".to_owned(),
        other => other.to_string(),
    };
    FilesError::Path { path: UserPath::parse(path).shown(), reason }
}

pub(super) fn stat(root: &Root, path: &UserPath, node: &Node) -> PathStat {
    let is_symlink = node.file_type() == FileType::Symlink;
    let nanoseconds = i32::try_from(node.stat.st_mtime_nsec).unwrap_or_default();
    PathStat {
        name: String::from_utf8_lossy(&path.name()).into_owned(),
        size: node.size(),
        mode: node.stat.st_mode,
        modified: Timestamp::new(node.stat.st_mtime, nanoseconds).ok(),
        link_target: if is_symlink { follow(root.folder(), &path.clean) } else { String::new() },
    }
}

/// Where a symlink leads in the end, or as far as it leads. It is for people and clients to
/// read: nothing is done there on the word of this.
fn follow(root: BorrowedFd<'_>, path: &[u8]) -> String {
    let mut here: Vec<u8> = Vec::new();
    let mut way = Way::new(path, SYMLINKS_MAX);
    while let Some(step) = way.next() {
        let Step::Down(name) = step else {
            here = place::split(&here).0.to_vec();
            continue;
        };
        let next = place::join(&here, &name);
        let followed = read_link(root, &next).and_then(|target| way.follow(&target).ok());
        match followed {
            Some(true) => here.clear(),
            Some(false) => {}
            None => here = next,
        }
    }
    format!("/{}", String::from_utf8_lossy(&here))
}

fn read_link(root: BorrowedFd<'_>, path: &[u8]) -> Option<Vec<u8>> {
    let link = place::open_at(root, path, OFlags::PATH | OFlags::NOFOLLOW, IN_ROOT).ok()?;
    let target = rustix::fs::readlinkat(&link, "", Vec::new()).ok()?;
    Some(target.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::UserPath;

    #[track_caller]
    fn check(path: &str, shown: &str, name: &str) {
        let parsed = UserPath::parse(path);
        let found = (parsed.shown(), String::from_utf8(parsed.name()).unwrap());
        assert_eq!(found, (shown.to_owned(), name.to_owned()), "{path}");
    }

    #[test]
    fn paths_keep_the_ends_that_mean_something() {
        check("/a/b", "/a/b", "b");
        check("a/../b/", "/b/", "b");
        check("/a/.", "/a/.", ".");
        check("/", "/", "/");
        check(".", "/.", ".");
        check("../../etc", "/etc", "etc");
    }
}

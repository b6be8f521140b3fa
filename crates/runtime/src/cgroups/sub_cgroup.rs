//! Where in a container's cgroup a further process goes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::systemd::{self, Unit};
use super::{CgroupError, files};

/// A place at or below the container's own cgroup. It has to be there already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SubCgroup {
    /// The container's own. Where that cannot take processes any more, because the container
    /// has made it the branch of a tree or left it, the place of its first process.
    #[default]
    Default,
    /// A folder below the container's own, the same in each hierarchy.
    Everywhere(PathBuf),
    /// On version 1: a folder for each controller that is named, the container's own otherwise.
    Of(Vec<(String, PathBuf)>),
}

/// Where a process is to be born, and what it has to be moved into then.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// A folder of version 2.
    pub(super) birthplace: Option<OwnedFd>,
    /// Folders of version 1, and of version 2 where processes cannot be born in one.
    pub(super) folders: Vec<PathBuf>,
    /// Where only systemd can move it.
    pub(super) attachment: Option<Attachment>,
}

/// A unit of systemd's, or a cgroup below it.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) unit: Unit,
    pub(super) below: PathBuf,
}

impl Entry {
    pub(crate) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.birthplace.as_ref().map(AsFd::as_fd)
    }

    /// Moves a process in, as far as its birth has not done it.
    pub(crate) fn admit(&self, process: Pid) -> Result<(), CgroupError> {
        if let Some(attachment) = &self.attachment {
            systemd::attach(&attachment.unit, &attachment.below, process)?;
        }
        self.folders.iter().try_for_each(|folder| files::admit(folder, process))
    }
}

impl SubCgroup {
    /// The folder below `own` in the hierarchy of `controller`.
    pub(super) fn below(&self, own: &Path, controller: &str) -> Result<PathBuf, CgroupError> {
        match self {
            Self::Default => Ok(own.to_owned()),
            Self::Everywhere(sub) => join(own, sub),
            Self::Of(list) => match list.iter().find(|(name, _)| name == controller) {
                Some((_, sub)) => join(own, sub),
                None => Ok(own.to_owned()),
            },
        }
    }

    /// Refuses controllers of which the container has no folder.
    pub(super) fn check(&self, known: &[&str]) -> Result<(), CgroupError> {
        let Self::Of(list) = self else { return Ok(()) };
        match list.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(CgroupError::UnknownController { name: name.clone() }),
            None => Ok(()),
        }
    }
}

/// `sub` below `own`, which it must not leave.
fn join(own: &Path, sub: &Path) -> Result<PathBuf, CgroupError> {
    let mut joined = own.to_owned();
    for component in sub.components() {
        match component {
            Component::Normal(name) => joined.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(CgroupError::BadSubPath { path: sub.to_owned() });
            }
        }
    }
    Ok(joined)
}

/// A folder of version 2 for a process to be born in.
pub(super) fn open(folder: &Path) -> Result<OwnedFd, CgroupError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty())
        .map_err(|source| CgroupError::Enter { path: folder.to_owned(), source: source.into() })
}

/// Whether a folder of version 2 would not take a process for what it has become: a branch, or
/// gone.
pub(crate) fn is_no_place_to_live(error: &std::io::Error) -> bool {
    let reasons = [Errno::BUSY, Errno::NOENT, Errno::NODEV, Errno::OPNOTSUPP];
    reasons.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Where a process lives in version 2's hierarchy.
pub(super) fn present_place(mount_point: &str, process: Pid) -> Option<PathBuf> {
    let text =
        std::fs::read_to_string(format!("/proc/{}/cgroup", process.as_raw_nonzero())).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount_point).join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_cgroup_is_below_the_containers_own() {
        let own = Path::new("/own");
        let below = |sub: &str| SubCgroup::Everywhere(sub.into()).below(own, "").ok();
        assert_eq!(below("/"), Some("/own".into()));
        assert_eq!(below("a/./b"), Some("/own/a/b".into()));
        assert_eq!(below("/a"), Some("/own/a".into()));
        assert_eq!(below(".."), None);
        assert_eq!(below("a/../.."), None);
    }

    #[test]
    fn controllers_have_places_of_their_own() {
        let sub = SubCgroup::Of(vec![("memory".to_owned(), "x".into())]);
        assert_eq!(sub.below(Path::new("/own"), "memory").unwrap(), Path::new("/own/x"));
        assert_eq!(sub.below(Path::new("/own"), "cpu").unwrap(), Path::new("/own"));
        assert!(sub.check(&["cpu"]).is_err());
        assert!(sub.check(&["cpu", "memory"]).is_ok());
    }
}

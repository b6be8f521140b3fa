//! Being in other namespaces for the length of one `clone`.
//!
//! A process joins a pid namespace only for its children, so the parent has to. And in a new
//! user namespace a child has no right to join what belongs to the host, so there the parent
//! joins everything. The parent has one thread, and comes back before anything else happens.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The way back.
#[derive(Debug, Default)]
pub(super) struct Detour {
    own: Vec<(LinkNameSpaceType, OwnedFd)>,
}

impl Detour {
    /// Joins one more namespace.
    pub(super) fn join(
        &mut self,
        namespace: BorrowedFd<'_>,
        kind: LinkNameSpaceType,
    ) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::open(own_path(kind), flags, Mode::empty())?;
        move_into_link_name_space(namespace, Some(kind))?;
        self.own.push((kind, own));
        Ok(())
    }

    /// Goes back to where this process was.
    pub(super) fn leave(mut self) -> io::Result<()> {
        self.go_back()
    }

    fn go_back(&mut self) -> io::Result<()> {
        while let Some((kind, own)) = self.own.pop() {
            move_into_link_name_space(own.as_fd(), Some(kind))?;
        }
        Ok(())
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        // Only on the way of another error, which is the one to tell.
        let _ = self.go_back();
    }
}

fn own_path(kind: LinkNameSpaceType) -> &'static str {
    match kind {
        LinkNameSpaceType::ProcessID => "/proc/self/ns/pid",
        LinkNameSpaceType::Network => "/proc/self/ns/net",
        LinkNameSpaceType::InterProcessCommunication => "/proc/self/ns/ipc",
        LinkNameSpaceType::HostNameAndNISDomainName => "/proc/self/ns/uts",
        LinkNameSpaceType::ControlGroup => "/proc/self/ns/cgroup",
        LinkNameSpaceType::Mount => "/proc/self/ns/mnt",
        LinkNameSpaceType::User => "/proc/self/ns/user",
        LinkNameSpaceType::Time => "/proc/self/ns/time",
    }
}

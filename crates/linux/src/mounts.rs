//! What rustix lacks of the mount interface: changing a mount's attributes by descriptor.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::OpenTreeFlags;

use crate::namespaces::Namespaces;

bitflags::bitflags! {
    /// Attributes of one mount, as `mount_setattr(2)` names them.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct Attributes: u64 {
        const RDONLY = libc::MOUNT_ATTR_RDONLY;
        const NOSUID = libc::MOUNT_ATTR_NOSUID;
        const NODEV = libc::MOUNT_ATTR_NODEV;
        const NOEXEC = libc::MOUNT_ATTR_NOEXEC;
        /// Two bits that hold one of the values below; to be cleared before one is set.
        const ATIME = libc::MOUNT_ATTR__ATIME;
        const NOATIME = libc::MOUNT_ATTR_NOATIME;
        const STRICTATIME = libc::MOUNT_ATTR_STRICTATIME;
        const NODIRATIME = libc::MOUNT_ATTR_NODIRATIME;
        const NOSYMFOLLOW = libc::MOUNT_ATTR_NOSYMFOLLOW;
    }
}

/// How mounts and unmounts spread from and to a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Shared,
    Slave,
    Unbindable,
}

/// Whether a change is for one mount or also for those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    One,
    Recursive,
}

/// What to change of a mount.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    pub set: Attributes,
    pub clear: Attributes,
    pub propagation: Option<Propagation>,
}

/// `struct mount_attr`, as the kernel reads it.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Does some work in a mount namespace of its own, in which nothing that is mounted is seen
/// outside. A descriptor that comes out of it goes on seeing what was mounted.
pub fn in_own_namespace<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let alone = || {
        // For this thread alone: a mount namespace of one's own brings a root and a working
        // folder of one's own (see `unshare(2)`, CLONE_NEWNS).
        crate::namespaces::unshare(Namespaces::MOUNT)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open("/", flags, Mode::empty())?;
        let private = Change { propagation: Some(Propagation::Private), ..Change::default() };
        change(root.as_fd(), Depth::Recursive, private)?;
        work()
    };
    std::thread::scope(|scope| match scope.spawn(alone).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Changes the mount that `mount` is the root of.
///
/// See `mount_setattr(2)`. Needs Linux 5.12.
pub fn change(mount: BorrowedFd<'_>, depth: Depth, change: Change) -> io::Result<()> {
    let propagation = change.propagation.map_or(0, |propagation| match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Shared => libc::MS_SHARED,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Unbindable => libc::MS_UNBINDABLE,
    });
    let attributes = MountAttributes {
        set: change.set.bits(),
        clear: change.clear.bits(),
        propagation,
        user_namespace: 0,
    };
    set_attributes(mount, depth, &attributes)
}

/// Makes a detached mount show its files' owners through the mappings of a user namespace.
///
/// See `mount_setattr(2)`, `MOUNT_ATTR_IDMAP`. Needs Linux 5.12 and a file system that can do it.
pub fn map_ids(
    mount: BorrowedFd<'_>,
    depth: Depth,
    user_namespace: BorrowedFd<'_>,
) -> io::Result<()> {
    let attributes = MountAttributes {
        set: libc::MOUNT_ATTR_IDMAP,
        clear: 0,
        propagation: 0,
        user_namespace: u64::from(user_namespace.as_raw_fd().cast_unsigned()),
    };
    set_attributes(mount, depth, &attributes)
}

fn set_attributes(
    mount: BorrowedFd<'_>,
    depth: Depth,
    attributes: &MountAttributes,
) -> io::Result<()> {
    let recursive = match depth {
        Depth::One => 0,
        Depth::Recursive => libc::AT_RECURSIVE,
    };
    // SAFETY: the kernel reads the empty path and `attributes`, of the size that we state,
    // during the call; the borrow keeps `mount` open for as long.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A view of a file that nobody can write through: neither by this descriptor nor, once it is
/// executed, by `/proc/<pid>/exe` of the process that runs it.
///
/// For programs that come near containers: whoever gets a process to run in a container can
/// open its program's file, and, as root, could otherwise change it for the next one to run it
/// on the host (CVE-2019-5736). See `open_tree(2)`.
pub fn read_only_view(file: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let view = rustix::mount::open_tree(rustix::fs::CWD, file, flags)?;
    let read_only = Change { set: Attributes::RDONLY, ..Change::default() };
    change(view.as_fd(), Depth::One, read_only)?;
    Ok(view)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_running_program_can_be_out_of_everybodys_reach() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::copy("/bin/cat", &program).unwrap();
        let view = read_only_view(&program).unwrap();
        let mut running = Command::new(format!("/proc/self/fd/{}", view.as_raw_fd()))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();

        // As an attacker does: keep a handle, wait until nobody executes the file, write.
        let handle = rustix::fs::open(
            format!("/proc/{}/exe", running.id()),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        drop(running.stdin.take());
        assert!(running.wait().unwrap().success());
        let again = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let error = File::options().write(true).open(again).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert!(File::options().write(true).open(&program).is_ok());
    }
}

//! The kinds of namespaces, and leaving the present ones.
//!
//! Joining existing ones is rustix's `move_into_link_name_space` and
//! `move_into_thread_name_spaces`.

use std::io;

bitflags::bitflags! {
    /// A set of namespace kinds. See `namespaces(7)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Namespaces: u64 {
        const MOUNT = libc::CLONE_NEWNS as u64;
        const UTS = libc::CLONE_NEWUTS as u64;
        const IPC = libc::CLONE_NEWIPC as u64;
        const USER = libc::CLONE_NEWUSER as u64;
        const PID = libc::CLONE_NEWPID as u64;
        const NETWORK = libc::CLONE_NEWNET as u64;
        const CGROUP = libc::CLONE_NEWCGROUP as u64;
        /// By [`unshare`] for this process's later children, as with `PID`.
        const TIME = libc::CLONE_NEWTIME as u64;
    }
}

/// The inode of the host's own user namespace: `PROC_USER_INIT_INO` of the kernel.
const HOST_USER_NAMESPACE: u64 = 0xefff_fffd;

/// Whether this process is in a user namespace other than the host's: then even its root has no
/// rights over what is the host's.
pub fn is_in_user_namespace() -> bool {
    rustix::fs::stat("/proc/self/ns/user")
        .is_ok_and(|namespace| namespace.st_ino != HOST_USER_NAMESPACE)
}

/// Moves this process into new namespaces (for `PID`: its later children).
///
/// See `unshare(2)`.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    let flags = i32::try_from(namespaces.bits()).expect("every flag is below the sign bit");
    // SAFETY: namespace flags only; without CLONE_FILES no descriptor changes its meaning.
    let result = unsafe { libc::unshare(flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

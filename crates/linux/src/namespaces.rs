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

/// Moves this process into new namespaces (for `PID`: its later children).
///
/// See `unshare(2)`.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    let flags = i32::try_from(namespaces.bits()).expect("every flag is below the sign bit");
    // SAFETY: namespace flags only; without CLONE_FILES no descriptor changes its meaning.
    let result = unsafe { libc::unshare(flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

//! What the engine makes in a container's root: for something to be mounted on, and to say that
//! it is a container's.

/// Folders that are mounted on, and those that they are in.
const FOLDERS: [&[u8]; 8] =
    [b"dev", b"dev/pts", b"dev/shm", b"dev/mqueue", b"proc", b"sys", b"sys/fs/cgroup", b"etc"];

/// Files that are mounted on, and the one that is only there.
const FILES: [&[u8]; 5] =
    [b"etc/hostname", b"etc/hosts", b"etc/resolv.conf", b"dev/console", b".dockerenv"];

/// Whether a folder that the image lacks says nothing if nothing is in it.
pub(super) fn is_folder(path: &[u8]) -> bool {
    FOLDERS.contains(&path)
}

/// Whether an empty file that the image lacks says nothing.
pub(super) fn is_file(path: &[u8]) -> bool {
    FILES.contains(&path)
}

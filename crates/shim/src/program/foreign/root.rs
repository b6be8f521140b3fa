//! The container's root for a program that wants it mounted.
//!
//! Our library mounts it in the container's own mount namespace, where it goes with the
//! container. For another program the shim has a mount namespace of its own: nobody on the host
//! sees the mount, and it goes with the shim, however that ends.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use linux::mounts::{Change, Depth, Propagation};
use linux::namespaces::Namespaces;
use linux::overlay::{self, Changes};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use shim::protocol::RootFilesystem;

/// Where the root is mounted, in the run folder. A configuration calls it by its last part.
pub(super) const ROOT: &str = "bundle/rootfs";

/// Mounts the root, once in a shim's life: it stays from one run of the container to the next.
pub(super) fn mount(rootfs: &RootFilesystem) -> io::Result<()> {
    if Path::new(ROOT).exists() {
        return Ok(());
    }
    linux::namespaces::unshare(Namespaces::MOUNT)?;
    // What the host mounts later is seen here (a volume may be one); nothing is seen there.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host_root = rustix::fs::open("/", flags, Mode::empty())?;
    let receiving = Change { propagation: Some(Propagation::Slave), ..Change::default() };
    linux::mounts::change(host_root.as_fd(), Depth::Recursive, receiving)?;
    std::fs::create_dir_all(ROOT)?;
    let mounted = mount_at(Path::new(ROOT), rootfs);
    if mounted.is_err() {
        // The next try must not take it for mounted.
        let _ = std::fs::remove_dir(ROOT);
    }
    mounted
}

fn mount_at(place: &Path, rootfs: &RootFilesystem) -> io::Result<()> {
    match rootfs {
        RootFilesystem::Directory { path } => {
            let flags = MountFlags::BIND | MountFlags::REC;
            Ok(rustix::mount::mount(path, place, "", flags, None)?)
        }
        RootFilesystem::Overlay { lowers, upper, work, volatile } => {
            let changes = Changes { upper, work, volatile: *volatile };
            overlay::mount_at(place, lowers.iter().map(PathBuf::as_path), Some(changes))
        }
    }
}

//! The devices of the container's `/dev`, and the symlinks that programs expect there.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use linux::mounts::{Attributes, Change, Depth};
use oci::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Gid, Mode, OFlags, Uid, chownat, makedev, mknodat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::rooted::{self, Missing};
use super::{ContainerInit, Doing as _, StepError, mounts, root};

/// What every container has, as the specification says.
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Name, and what it leads to.
const DEFAULT_SYMLINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(super) fn make(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    init.null_device = Some(open_null_device()?);
    if init.plan.has_foreign_dev {
        // The user has brought a `/dev`: nothing in it is ours to make.
        return Ok(());
    }
    rustix::process::umask(Mode::empty());
    let dev = rooted::open_or_create(init.root(), Path::new("/dev"), Missing::Directory)?;
    let can_make_nodes = !init.plan.has_user_namespace();
    // First, since one of the others that is there already stays as it is.
    for device in init.linux.devices().iter().flatten() {
        make_configured(init, device, can_make_nodes)
            .doing_in("", &device.path().to_string_lossy())?;
    }
    for (name, major, minor) in DEFAULT_DEVICES {
        let node = Node {
            kind: FileType::CharacterDevice,
            number: makedev(major, minor),
            mode: Mode::from_raw_mode(0o666),
            owner: None,
        };
        let host = Path::new("/dev").join(name);
        let place = Place { folder: dev.as_fd(), name: Path::new(name), host: &host };
        make_node(&place, &node, can_make_nodes).doing_in("/dev/", name)?;
    }
    for (name, target) in DEFAULT_SYMLINKS {
        make_symlink(dev.as_fd(), name, target).doing(|| format!("/dev/{name}"))?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// What an image has in its place stays, but for the terminals' multiplexer: a device of that
/// name leads to the host's terminals.
fn make_symlink(dev: BorrowedFd<'_>, name: &str, target: &str) -> rustix::io::Result<()> {
    match symlinkat(target, dev, name) {
        Err(Errno::EXIST) if name == "ptmx" && !is_symlink(dev, name)? => {
            unlinkat(dev, name, AtFlags::empty())?;
            symlinkat(target, dev, name)
        }
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn is_symlink(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<bool> {
    let status = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(status.st_mode) == FileType::Symlink)
}

/// A device to be made.
struct Node {
    kind: FileType,
    number: Dev,
    mode: Mode,
    owner: Option<(u32, u32)>,
}

/// Where to make it, and where the host has it.
struct Place<'a> {
    folder: BorrowedFd<'a>,
    name: &'a Path,
    host: &'a Path,
}

fn make_configured(
    init: &ContainerInit<'_>,
    device: &LinuxDevice,
    can_make_nodes: bool,
) -> Result<(), StepError> {
    let kind = match device.typ() {
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::C | LinuxDeviceType::U | LinuxDeviceType::A => FileType::CharacterDevice,
    };
    let number = |number: i64| u32::try_from(number).unwrap_or(0);
    let node = Node {
        kind,
        number: makedev(number(device.major()), number(device.minor())),
        mode: Mode::from_raw_mode(device.file_mode().unwrap_or(0o666) & 0o7777),
        owner: Some((device.uid().unwrap_or(0), device.gid().unwrap_or(0))),
    };
    let (above, name) = rooted::open_parent(init.root(), device.path())?;
    let place = Place { folder: above.as_fd(), name: Path::new(name), host: device.path() };
    make_node(&place, &node, can_make_nodes || kind == FileType::Fifo)
}

fn make_node(place: &Place<'_>, node: &Node, can_make_nodes: bool) -> Result<(), StepError> {
    if !can_make_nodes {
        return bind_node(place);
    }
    let Place { folder, name, .. } = *place;
    match mknodat(folder, name, node.kind, node.mode, node.number) {
        Ok(()) => {}
        // It stays as it is, as with runc: whatever were changed now could be another file.
        Err(Errno::EXIST) if is_that_node(folder, name, node)? => return Ok(()),
        // Nor can they be made in a user namespace that this program was started in.
        Err(Errno::PERM) if node.kind != FileType::Fifo => return bind_node(place),
        Err(Errno::EXIST) if node.owner.is_some() => {
            // The specification leaves no choice for what is configured.
            let text = "a file is there already which is no such device";
            return Err(StepError::Refused(text.to_owned()));
        }
        Err(Errno::EXIST) => {
            // An image may have put a plain file there.
            unlinkat(folder, name, AtFlags::empty())?;
            mknodat(folder, name, node.kind, node.mode, node.number)?;
        }
        Err(error) => return Err(error.into()),
    }
    if let Some((user, group)) = node.owner {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn is_that_node(folder: BorrowedFd<'_>, name: &Path, node: &Node) -> Result<bool, StepError> {
    let status = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(status.st_mode) == node.kind && status.st_rdev == node.number)
}

/// In a user namespace nobody may make devices: the host's is shown instead.
fn bind_node(place: &Place<'_>) -> Result<(), StepError> {
    let Place { folder, name, host } = *place;
    let device = mounts::clone(CWD, host, Depth::One)?;
    let place = rooted::open_or_create_file(folder, name.as_os_str())?;
    Ok(root::attach(&device, &place)?)
}

/// The host's `/dev/null`, which no container can have replaced.
fn open_null_device() -> Result<std::os::fd::OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty())?;
    let status = rustix::fs::fstat(&null)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::CharacterDevice
        || status.st_rdev != makedev(1, 3)
    {
        return Err(StepError::Refused("the host's /dev/null is another device".to_owned()));
    }
    Ok(null)
}

/// `/dev` as the user asked for it, now that nothing more has to be made there.
pub(super) fn make_read_only(init: &ContainerInit<'_>) -> Result<(), StepError> {
    for mount in init.plan.mounts.iter().filter(|mount| mount.is_made_read_only_later) {
        let place = rooted::open(init.root(), &mount.destination, OFlags::PATH)?;
        let change = Change { set: Attributes::RDONLY, ..Change::default() };
        linux::mounts::change(place.as_fd(), Depth::One, change)?;
    }
    Ok(())
}

/// Adds the device's name to an error.
trait DoingIn {
    fn doing_in(self, folder: &str, name: &str) -> Result<(), StepError>;
}

impl DoingIn for Result<(), StepError> {
    fn doing_in(self, folder: &str, name: &str) -> Result<(), StepError> {
        self.map_err(|error| StepError::Refused(format!("{folder}{name}: {error}")))
    }
}

//! The standard streams: given descriptors, or a terminal of the container's own.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use linux::mounts::Depth;

use crate::channel::Message;
use crate::request::Newlines;

use super::{
    ChildStdio, ContainerInit, Doing as _, ProcessInit, StepError, labels, mounts, root, rooted,
};

/// `f_type` of the terminals' file system. See `statfs(2)`.
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

/// Opens the terminal, if one is wanted, and shows it as the container's console.
pub(super) fn open_for_container(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let root = init.root.as_ref().expect("it is mounted by an earlier step");
    let Some(terminal) = open(&mut init.process, root.as_fd())? else { return Ok(()) };
    if let Some(label) = labels::of_mounts(init.linux) {
        labels::set_file_label(&terminal, label)?;
    }
    if init.plan.has_foreign_dev {
        return Ok(());
    }
    let (dev, name) = rooted::open_parent(init.root(), Path::new("/dev/console"))?;
    let place = rooted::open_or_create_file(dev.as_fd(), name)?;
    let console = mounts::clone(terminal.as_fd(), Path::new(""), Depth::One)?;
    root::attach(&console, &place).doing(|| "/dev/console".to_owned())
}

/// Opens the terminal of a process that has joined the container, if one is wanted.
pub(super) fn open_to_join(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    open(process, root.as_fd()).map(drop)
}

/// Opens a terminal of the container's own file system of terminals, sends its master side to
/// the parent, and keeps the other side as the standard streams. Gives a copy of it.
fn open(process: &mut ProcessInit<'_>, root: BorrowedFd<'_>) -> Result<Option<OwnedFd>, StepError> {
    let ChildStdio::Terminal { size, newlines } = process.stdio else { return Ok(None) };
    let master = open_master(root)?;
    unlockpt(&master)?;
    // Not by its name: that would be a path in the container.
    let terminal = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size)?;
    }
    if newlines == Newlines::Plain {
        let mut modes = tcgetattr(&terminal)?;
        modes.output_modes -= OutputModes::ONLCR;
        tcsetattr(&terminal, OptionalActions::Now, &modes)?;
    }
    process.channel.send(&Message::Terminal(master))?;
    let copy = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, FIRST_AFTER_STDIO);
    let streams = [copy(&terminal)?, copy(&terminal)?, copy(&terminal)?];
    process.stdio = ChildStdio::Descriptors(streams);
    Ok(Some(terminal))
}

fn open_master(root: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = rooted::open_without_symlinks(root, Path::new("/dev/pts/ptmx"), flags)
        .doing(|| "/dev/pts/ptmx".to_owned())?;
    let status = rustix::fs::fstat(&master)?;
    // The field's type differs between architectures.
    #[allow(clippy::unnecessary_cast)]
    let is_devpts = rustix::fs::fstatfs(&master)?.f_type as u64 == DEVPTS_SUPER_MAGIC;
    if !is_devpts || status.st_rdev != makedev(5, 2) {
        return Err(StepError::Refused(
            "/dev/pts/ptmx is no terminal multiplexer: mount a `devpts` at /dev/pts".to_owned(),
        ));
    }
    Ok(master)
}

/// Puts the streams in their places.
pub(super) fn connect(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let streams = std::mem::replace(&mut process.stdio, ChildStdio::Connected);
    let ChildStdio::Descriptors(streams) = streams else { return Ok(()) };
    let [stdin, stdout, stderr] = streams.map(out_of_the_way);
    let (stdin, stdout, stderr) = (stdin?, stdout?, stderr?);
    rustix::stdio::dup2_stdin(&stdin)?;
    rustix::stdio::dup2_stdout(&stdout)?;
    rustix::stdio::dup2_stderr(&stderr)?;
    let user = process.identity.user;
    for stream in [&stdin, &stdout, &stderr] {
        give_to_user(stream, user)?;
    }
    if process.process.terminal() == Some(true) && rustix::termios::isatty(&stdin) {
        rustix::process::ioctl_tiocsctty(&stdin)?;
    }
    Ok(())
}

/// A stream whose number is one of the standard ones would be replaced by another stream.
fn out_of_the_way(stream: OwnedFd) -> rustix::io::Result<OwnedFd> {
    if stream.as_raw_fd() >= FIRST_AFTER_STDIO {
        return Ok(stream);
    }
    let copy = rustix::io::fcntl_dupfd_cloexec(&stream, FIRST_AFTER_STDIO)?;
    // Its number is about to be taken by the stream that belongs there.
    std::mem::forget(stream);
    Ok(copy)
}

/// The descriptor after the standard streams.
const FIRST_AFTER_STDIO: i32 = 3;

/// Lets the user open `/dev/stdout` again, which is a new open of what the stream is.
fn give_to_user(stream: impl AsFd, user: u32) -> Result<(), StepError> {
    let status = rustix::fs::fstat(&stream)?;
    let is_null = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
        && status.st_rdev == makedev(1, 3);
    if is_null || status.st_uid == user {
        return Ok(());
    }
    match rustix::fs::fchown(&stream, Some(Uid::from_raw(user)), None) {
        // A stream that cannot change hands (on a read-only file system, or of a user that
        // does not exist here) works all the same.
        Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

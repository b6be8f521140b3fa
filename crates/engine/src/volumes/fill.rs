//! Filling a new volume with what the image has at its place.
//!
//! The image's layers are looked at through an overlay that is mounted nowhere
//! ([`images::open_merged`]).

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Uid};

/// How deep a tree may be. The kernel's own limit on paths is lower in practice.
const DEPTH_MAX: u32 = 1024;

/// Copies what is at `target` in the image into the empty folder of a volume. Does nothing if
/// the volume has content, or the image has no folder there.
pub(crate) fn fill_from_image(volume: &Path, lowers: &[PathBuf], target: &str) -> io::Result<()> {
    if fs::read_dir(volume)?.next().is_some() {
        return Ok(());
    }
    let Some(root) = images::open_merged(lowers)? else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(&root, target, flags, Mode::empty(), ResolveFlags::IN_ROOT);
    let source = match opened {
        Ok(source) => source,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let folder = rustix::fs::open(volume, flags, Mode::empty())?;
    copy_folder(&source, &folder, 0)
}

/// Copies a folder's content and its own attributes.
fn copy_folder(from: &OwnedFd, to: &OwnedFd, depth: u32) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("the tree is too deep"));
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        copy_entry(from, to, name, depth)?;
    }
    copy_attributes(&rustix::fs::fstat(from)?, to)?;
    copy_extended_attributes(from, to)
}

fn copy_entry(from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr, depth: u32) -> io::Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    let safe = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | safe;
            let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
            let copy = rustix::fs::openat(to, name, flags, Mode::empty())?;
            copy_folder(&source, &copy, depth + 1)
        }
        FileType::RegularFile => {
            let source = rustix::fs::openat(from, name, OFlags::RDONLY | safe, Mode::empty())?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | safe;
            let copy = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
            let (mut reader, mut writer) = (fs::File::from(source), fs::File::from(copy));
            // The kernel copies, by reference where the file system can.
            io::copy(&mut reader, &mut writer)?;
            let (source, copy) = (OwnedFd::from(reader), OwnedFd::from(writer));
            copy_attributes(&stat, &copy)?;
            copy_extended_attributes(&source, &copy)
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(target, to, name)?;
            let (user, group) = owner(&stat);
            rustix::fs::chownat(to, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(())
        }
        kind @ (FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo) => {
            rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?;
            let (user, group) = owner(&stat);
            rustix::fs::chownat(to, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
            // After the owner, whose change takes the set-id bits away.
            rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
            Ok(())
        }
        // A socket without its server is of no use.
        _ => Ok(()),
    }
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

/// Owner first, since a change of owner takes the set-id bits away; times last.
fn copy_attributes(stat: &Stat, to: &OwnedFd) -> io::Result<()> {
    let (user, group) = owner(stat);
    rustix::fs::fchown(to, user, group)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    let time = |seconds: i64, nanos: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanos).unwrap_or(0),
    };
    let times = rustix::fs::Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    rustix::fs::futimens(to, &times)?;
    Ok(())
}

/// All but overlayfs' own.
fn copy_extended_attributes(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", from.as_raw_fd());
    let mut names = vec![0_u8; 64 << 10];
    let length = match rustix::fs::listxattr(path.as_str(), &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let mut value = vec![0_u8; 64 << 10];
        let length = rustix::fs::fgetxattr(from, name, &mut value)?;
        match rustix::fs::fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty()) {
            // The volume's file system may know fewer.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn what_the_upper_layer_hides_is_not_copied() {
        let root = tempfile::tempdir().unwrap();
        let (top, bottom) = (root.path().join("top"), root.path().join("bottom"));
        let volume = root.path().join("volume");
        for folder in [&top.join("data"), &bottom.join("data/sub"), &volume] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(bottom.join("data/gone"), "x").unwrap();
        fs::write(bottom.join("data/sub/kept"), "kept").unwrap();
        fs::set_permissions(bottom.join("data/sub/kept"), fs::Permissions::from_mode(0o4711))
            .unwrap();
        std::os::unix::fs::symlink("/etc/passwd", bottom.join("data/link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            top.join("data/gone"),
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .unwrap();

        fill_from_image(&volume, &[top, bottom], "/data").unwrap();

        assert!(!volume.join("gone").exists());
        assert_eq!(fs::read_to_string(volume.join("sub/kept")).unwrap(), "kept");
        assert_eq!(fs::metadata(volume.join("sub/kept")).unwrap().mode() & 0o7777, 0o4711);
        assert_eq!(fs::read_link(volume.join("link")).unwrap(), Path::new("/etc/passwd"));
    }

    #[test]
    fn a_volume_with_content_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (layer, volume) = (root.path().join("layer"), root.path().join("volume"));
        fs::create_dir_all(layer.join("data")).unwrap();
        fs::create_dir_all(&volume).unwrap();
        fs::write(layer.join("data/new"), "").unwrap();
        fs::write(volume.join("old"), "").unwrap();

        fill_from_image(&volume, &[layer], "/data").unwrap();

        assert!(!volume.join("new").exists());
    }

    #[test]
    fn an_image_without_the_folder_gives_nothing() {
        let root = tempfile::tempdir().unwrap();
        fill_from_image(root.path(), &[root.path().to_owned()], "/nowhere").unwrap();
        fill_from_image(root.path(), &[], "/nowhere").unwrap();
    }
}

//! Whether a user is there in a running container, asked before a process is made for him.
//!
//! Only an early answer: the process's user is looked up again when it is started, by whoever
//! starts it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};

/// How much of a container's `/etc/passwd` is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The largest number of a user or a group.
const NUMBER_MAX: i64 = i32::MAX as i64;

/// Looks for `user[:group]`, names or numbers, in the container of a process. The error is in
/// Docker's words. What cannot be read is not complained of here.
pub(super) fn check(pid: i32, user: &str) -> Result<(), String> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let known = [Some(("user", user, "passwd")), group.map(|group| ("group", group, "group"))];
    for (what, name, file) in known.into_iter().flatten().filter(|(_, name, _)| !name.is_empty()) {
        if let Ok(number) = name.parse::<i64>() {
            if !(0..=NUMBER_MAX).contains(&number) {
                return Err(format!("uids and gids must be in range 0-{NUMBER_MAX}"));
            }
            continue;
        }
        let text = match read(pid, &format!("etc/{file}")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(_) => continue,
        };
        if !text.lines().any(|line| line.split(':').next() == Some(name)) {
            return Err(format!(
                "unable to find {what} {name}: no matching entries in {file} file"
            ));
        }
    }
    Ok(())
}

/// A file as the container's processes see it, wherever its links lead in there.
fn read(pid: i32, path: &str) -> io::Result<String> {
    let root: OwnedFd = open(
        format!("/proc/{pid}/root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // Not to wait for whoever writes to a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(root, path, flags, Mode::empty(), resolve)?);
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn numbers_need_not_be_known_and_names_do() {
        let own = i32::try_from(std::process::id()).unwrap();
        for user in ["", "0", "12345:54321", "root", "root:root", "0:root"] {
            assert_eq!(check(own, user), Ok(()), "{user}");
        }
        let error = check(own, "nobody-at-all").unwrap_err();
        assert!(error.starts_with("unable to find user nobody-at-all: no matching"), "{error}");
        let error = check(own, "root:nothing-at-all").unwrap_err();
        assert!(error.ends_with("no matching entries in group file"), "{error}");
        assert!(check(own, "4294967296").is_err());
    }
}

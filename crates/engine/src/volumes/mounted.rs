//! Volumes that are mounts of their own: `volume create -o type=…,device=…,o=…`.
//!
//! Such a volume is mounted on its folder by its first user, so that all users see the same, and
//! taken down after its last. Users are containers that run, and copies and creations while they
//! last. Only the kernel remembers the mounts of a daemon that was killed; the next one looks
//! ([`Mounted::recover`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::mount::{MountFlags, UnmountFlags};

use super::{VolumeError, VolumeView};

/// `MS_REC`, `MS_SILENT`… are of no use here; this one makes `rbind` of `bind`.
const RECURSIVE: MountFlags = MountFlags::from_bits_retain(0x4000);

/// The words of `mount(8)` that are flags: what they set, or clear. All others are the file
/// system's own.
const FLAGS: [(&str, bool, MountFlags); 22] = [
    ("defaults", false, MountFlags::empty()),
    ("ro", true, MountFlags::RDONLY),
    ("rw", false, MountFlags::RDONLY),
    ("nosuid", true, MountFlags::NOSUID),
    ("suid", false, MountFlags::NOSUID),
    ("nodev", true, MountFlags::NODEV),
    ("dev", false, MountFlags::NODEV),
    ("noexec", true, MountFlags::NOEXEC),
    ("exec", false, MountFlags::NOEXEC),
    ("sync", true, MountFlags::SYNCHRONOUS),
    ("async", false, MountFlags::SYNCHRONOUS),
    ("dirsync", true, MountFlags::DIRSYNC),
    ("noatime", true, MountFlags::NOATIME),
    ("atime", false, MountFlags::NOATIME),
    ("nodiratime", true, MountFlags::NODIRATIME),
    ("diratime", false, MountFlags::NODIRATIME),
    ("relatime", true, MountFlags::RELATIME),
    ("norelatime", false, MountFlags::RELATIME),
    ("strictatime", true, MountFlags::STRICTATIME),
    ("nostrictatime", false, MountFlags::STRICTATIME),
    ("bind", true, MountFlags::BIND),
    ("rbind", true, MountFlags::BIND.union(RECURSIVE)),
];

/// What Docker's local driver knows: a mount for the volume, and a quota.
const KNOWN: [&str; 4] = ["type", "device", "o", "size"];

/// Options that make no sense without others.
const NEEDED: [(&str, &[&str]); 3] =
    [("device", &["type"]), ("type", &["device"]), ("o", &["device", "type"])];

/// Checks the options of a volume that is to be made.
pub(super) fn check(name: &str, options: &BTreeMap<String, String>) -> Result<(), VolumeError> {
    let name = || name.to_owned();
    if let Some(option) = options.keys().find(|option| !KNOWN.contains(&option.as_str())) {
        return Err(VolumeError::InvalidOption { name: name(), option: option.clone() });
    }
    let has = |option: &str| options.get(option).is_some_and(|value| !value.is_empty());
    for (option, needed) in NEEDED {
        let missing = needed.iter().find(|needed| options.contains_key(option) && !has(needed));
        if let Some(missing) = missing {
            return Err(VolumeError::MissingOption { name: name(), option: missing });
        }
    }
    if options.contains_key("size") {
        return Err(VolumeError::NoQuota { name: name() });
    }
    Ok(())
}

/// The mounts of volumes, and who uses them.
#[derive(Debug, Default)]
pub(crate) struct Mounted {
    /// Each with a lock of its own: a mount of a server that does not answer takes its time.
    volumes: Mutex<HashMap<String, Arc<Mutex<HashSet<String>>>>>,
}

impl Mounted {
    /// Mounts a volume if it is one to be mounted and is not yet, and counts its user.
    pub(crate) fn take(&self, volume: &VolumeView, user: &str) -> Result<(), VolumeError> {
        if volume.options.is_empty() {
            return Ok(());
        }
        let users = self.users(&volume.name);
        let mut users = lock(&users);
        if users.is_empty() && !is_mounted(&volume.mountpoint) {
            mount(volume)?;
        }
        users.insert(user.to_owned());
        Ok(())
    }

    /// Takes down what was mounted for this user, and for nobody else.
    pub(crate) fn release(&self, volume: &VolumeView, user: &str) {
        if volume.options.is_empty() {
            return;
        }
        let users = self.users(&volume.name);
        let mut users = lock(&users);
        if users.remove(user) && users.is_empty() {
            self.take_down(volume);
        }
    }

    /// Sorts out what an earlier engine left: what is used stays, and what nobody uses goes.
    pub(crate) fn recover(&self, volumes: &[VolumeView], users_of: impl Fn(&str) -> Vec<String>) {
        for volume in volumes.iter().filter(|volume| !volume.options.is_empty()) {
            let found = users_of(&volume.name);
            let users = self.users(&volume.name);
            let mut users = lock(&users);
            users.extend(found);
            if users.is_empty() && is_mounted(&volume.mountpoint) {
                self.take_down(volume);
            }
        }
    }

    /// Makes sure that nothing is mounted on the folder, before that is removed.
    pub(crate) fn forget(&self, volume: &VolumeView) -> io::Result<()> {
        lock(&self.volumes).remove(&volume.name);
        if is_mounted(&volume.mountpoint) { unmount(&volume.mountpoint) } else { Ok(()) }
    }

    fn take_down(&self, volume: &VolumeView) {
        if let Err(error) = unmount(&volume.mountpoint) {
            tracing::warn!(volume = volume.name, %error, "cannot unmount a volume");
        }
    }

    fn users(&self, name: &str) -> Arc<Mutex<HashSet<String>>> {
        Arc::clone(lock(&self.volumes).entry(name.to_owned()).or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_mounted(place: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(rustix::fs::CWD, place, flags, StatxFlags::TYPE)
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn unmount(place: &Path) -> io::Result<()> {
    // Detached: somebody on the host may be looking.
    Ok(rustix::mount::unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// Splits `o` into flags and what the file system itself is to know.
fn parse(options: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match FLAGS.iter().find(|(word, ..)| *word == option) {
            Some((_, true, flag)) => flags |= *flag,
            Some((_, false, flag)) => flags -= *flag,
            None => data.push(option),
        }
    }
    (flags, data.join(","))
}

fn mount(volume: &VolumeView) -> Result<(), VolumeError> {
    let option = |name: &str| volume.options.get(name).map_or("", String::as_str);
    let (device, kind) = (option("device"), option("type"));
    let (flags, mut data) = parse(option("o"));
    let place = &volume.mountpoint;
    if matches!(kind, "nfs" | "nfs4" | "cifs") {
        data = resolve_address(&data).map_err(|reason| refuse(volume, reason))?;
    }
    let fail = |error: rustix::io::Errno| {
        let mut text = format!("mount {device}:{}", place.display());
        if !flags.is_empty() {
            text.push_str(&format!(", flags: 0x{:x}", flags.bits()));
        }
        if !data.is_empty() {
            text.push_str(&format!(", data: {}", without_password(&data)));
        }
        refuse(volume, format!("{text}: {}", in_words(error)))
    };
    let text = std::ffi::CString::new(data.as_str());
    let text = text.map_err(|_| refuse(volume, "an option has a NUL in it".to_owned()))?;
    rustix::mount::mount(device, place, kind, flags, text.as_c_str()).map_err(fail)?;
    // The kernel makes a bind mount as its source is; flags come in a second step.
    if flags.contains(MountFlags::BIND)
        && flags != MountFlags::BIND
        && flags != MountFlags::BIND | RECURSIVE
    {
        let again = flags - RECURSIVE;
        if let Err(error) = rustix::mount::mount_remount(place, again, "") {
            let _ = unmount(place);
            return Err(fail(error));
        }
    }
    Ok(())
}

fn refuse(volume: &VolumeView, reason: String) -> VolumeError {
    VolumeError::Mount { path: volume.mountpoint.clone(), reason }
}

/// A system error as Go words it: in lower case, and without its number.
fn in_words(error: rustix::io::Errno) -> String {
    let text = io::Error::from(error).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// The kernel takes an `addr=` in numbers only.
fn resolve_address(data: &str) -> Result<String, String> {
    let resolve = |option: &str| -> Result<String, String> {
        let Some(host) = option.strip_prefix("addr=") else { return Ok(option.to_owned()) };
        if host.is_empty() || host.parse::<IpAddr>().is_ok() {
            return Ok(option.to_owned());
        }
        let unknown =
            |reason: String| format!("error resolving passed in network volume address: {reason}");
        let mut found = (host, 0).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
        let address = found.next().ok_or_else(|| unknown(format!("{host} has no address")))?;
        Ok(format!("addr={}", address.ip()))
    };
    let options: Result<Vec<_>, _> = data.split(',').map(resolve).collect();
    Ok(options?.join(","))
}

fn without_password(data: &str) -> String {
    let hidden = data
        .split(',')
        .map(|option| if option.starts_with("password=") { "password=********" } else { option });
    hidden.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(options: &[(&str, &str)]) -> String {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        check("v1", &options.collect()).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn options_need_each_other() {
        assert_eq!(checked(&[]), "");
        assert_eq!(checked(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]), "");
        let missing = |option| format!("create v1: missing required option: \"{option}\"");
        assert_eq!(checked(&[("type", "tmpfs")]), missing("device"));
        assert_eq!(checked(&[("device", "tmpfs")]), missing("type"));
        assert_eq!(checked(&[("o", "size=1m")]), missing("device"));
        assert_eq!(checked(&[("foo", "")]), "create v1: invalid option: \"foo\"");
        assert!(checked(&[("size", "1m")]).ends_with("no quota support"));
    }

    #[test]
    fn flags_are_told_from_the_file_systems_own_options() {
        assert_eq!(
            parse("size=1m,ro,nosuid,suid,uid=7"),
            (MountFlags::RDONLY, "size=1m,uid=7".into())
        );
        assert_eq!(parse("rbind,ro").0.bits(), 0x5001);
        assert_eq!(parse("defaults"), (MountFlags::empty(), String::new()));
    }

    #[test]
    fn passwords_are_not_told() {
        assert_eq!(without_password("a,password=x,b"), "a,password=********,b");
        assert_eq!(resolve_address("addr=127.0.0.1,rw").unwrap(), "addr=127.0.0.1,rw");
        assert_eq!(resolve_address("addr=localhost").unwrap().len(), "addr=127.0.0.1".len());
    }
}

//! The mounts of a configuration, checked.

use std::path::{Component, Path, PathBuf};

use linux::mounts::{Attributes, Depth};
use oci::runtime::{LinuxIdMapping, Mount};

use crate::error::ProcessError;
use crate::mount_options::MountOptions;

/// One mount to make.
#[derive(Debug, Clone)]
pub(crate) struct PlannedMount<'a> {
    pub(crate) kind: MountKind<'a>,
    pub(crate) source: Option<PathBuf>,
    pub(crate) destination: PathBuf,
    pub(crate) options: MountOptions,
    pub(crate) mapping: Option<MountMapping<'a>>,
    /// Something has to be made in it first.
    pub(crate) is_made_read_only_later: bool,
}

/// Which owners a mount shows its files to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountMapping<'a> {
    /// As the container's user namespace has it.
    Containers(Depth),
    Own {
        users: &'a [LinuxIdMapping],
        groups: &'a [LinuxIdMapping],
        depth: Depth,
    },
}

/// What a mount shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountKind<'a> {
    /// A place of the host.
    Bind(Depth),
    /// A new file system of a type.
    FileSystem(&'a str),
    /// The container's own cgroups, in whichever version.
    Cgroup,
}

/// Files below `/proc` that may be covered: they say how much there is of something, and
/// nothing checks a security decision against them.
const COVERABLE_PROC_FILES: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

impl PlannedMount<'_> {
    /// Whether it brings a `/dev` of the host's.
    pub(super) fn is_foreign_dev(&self) -> bool {
        matches!(self.kind, MountKind::Bind(_)) && self.destination == Path::new("/dev")
    }
}

/// Checks the mounts. Sources are relative to `bundle`, `root` is the root's folder.
pub(super) fn plan<'a>(
    mounts: &'a [Mount],
    bundle: &Path,
    root: Option<&Path>,
) -> Result<Vec<PlannedMount<'a>>, ProcessError> {
    let plan_one = |(at, mount): (usize, &'a Mount)| {
        plan_mount(mount, bundle, root).map_err(|(field, reason)| {
            ProcessError::invalid(format!("mounts[{at}].{field}"), reason)
        })
    };
    mounts.iter().enumerate().map(plan_one).collect()
}

fn plan_mount<'a>(
    mount: &'a Mount,
    bundle: &Path,
    root: Option<&Path>,
) -> Result<PlannedMount<'a>, (&'static str, String)> {
    let words = mount.options().as_deref().unwrap_or_default();
    let options = MountOptions::parse(words);
    let typ = mount.typ().as_deref().unwrap_or_default();
    let kind = match (options.bind, typ) {
        (Some(depth), _) => MountKind::Bind(depth),
        (None, "bind") => MountKind::Bind(Depth::One),
        (None, "cgroup") => MountKind::Cgroup,
        (None, "") if options.remount => MountKind::Bind(Depth::One),
        (None, "") => return Err(("type", "is missing".to_owned())),
        (None, typ) => MountKind::FileSystem(typ),
    };
    let destination = below_root(clean(mount.destination()), root);
    let is_hosts_proc = matches!(kind, MountKind::Bind(_)) && is_proc(mount.source().as_deref());
    if !(is_hosts_proc && destination == Path::new("/proc")) {
        check_proc(kind, &destination).map_err(|error| ("destination", error))?;
    }
    if destination == Path::new("/") && !options.remount {
        return Err(("destination", "it is the container's root itself".to_owned()));
    }
    let source = match (kind, mount.source()) {
        (MountKind::Bind(_), None) if options.remount => None,
        (MountKind::Bind(_), None) => return Err(("source", "is missing".to_owned())),
        // An absolute source stays what it is.
        (MountKind::Bind(_), Some(source)) => Some(bundle.join(source)),
        (MountKind::FileSystem(_) | MountKind::Cgroup, source) => source.clone(),
    };
    if options.copies_up && kind != MountKind::FileSystem("tmpfs") {
        return Err(("options", "`tmpcopyup` is for a tmpfs only".to_owned()));
    }
    let mapping = mapping(mount, &options)?;
    if mapping.is_some() && !matches!(kind, MountKind::Bind(_)) {
        let reason = "id-mapped mounts are only supported for bind-mounts";
        return Err(("options", reason.to_owned()));
    }
    let is_made_read_only_later = kind == MountKind::FileSystem("tmpfs")
        && destination == Path::new("/dev")
        && options.attributes.set.contains(Attributes::RDONLY);
    Ok(PlannedMount { kind, source, destination, options, mapping, is_made_read_only_later })
}

/// What `idmap`, `ridmap` and the two lists ask for.
fn mapping<'a>(
    mount: &'a Mount,
    options: &MountOptions,
) -> Result<Option<MountMapping<'a>>, (&'static str, String)> {
    let users = mount.uid_mappings().as_deref().unwrap_or_default();
    let groups = mount.gid_mappings().as_deref().unwrap_or_default();
    let both = || "id-mapped mounts must have both uid and gid mappings specified".to_owned();
    match (users.is_empty(), groups.is_empty()) {
        (true, true) => Ok(options.maps_ids.map(MountMapping::Containers)),
        (true, false) => Err(("uidMappings", both())),
        (false, true) => Err(("gidMappings", both())),
        (false, false) => {
            let depth = options.maps_ids.unwrap_or(Depth::One);
            Ok(Some(MountMapping::Own { users, groups, depth }))
        }
    }
}

/// The destination, as the container names it: some callers write where it is on the host.
fn below_root(destination: PathBuf, root: Option<&Path>) -> PathBuf {
    match root.and_then(|root| destination.strip_prefix(root).ok()) {
        Some(below) => Path::new("/").join(below),
        None => destination,
    }
}

/// The destination, absolute and without `.` and `..`. It starts at the root in any case.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    clean
}

/// Whether a place is the root of a `proc` file system. Where a container shares the host's
/// processes and its user may not mount another one, it is shown the host's.
fn is_proc(source: Option<&Path>) -> bool {
    /// See `statfs(2)`.
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    const PROC_ROOT_INODE: u64 = 1;
    let Some(source) = source else { return false };
    let (Ok(file_system), Ok(status)) = (rustix::fs::statfs(source), rustix::fs::stat(source))
    else {
        return false;
    };
    // The field's type differs between architectures.
    #[allow(clippy::unnecessary_cast)]
    let is_proc = file_system.f_type as u64 == PROC_SUPER_MAGIC;
    is_proc && status.st_ino == PROC_ROOT_INODE
}

/// A container whose `/proc` is not the kernel's could fool the runtime and its own users.
fn check_proc(kind: MountKind<'_>, destination: &Path) -> Result<(), String> {
    let is_covering = destination.starts_with("/proc")
        && kind != MountKind::FileSystem("proc")
        && !COVERABLE_PROC_FILES.iter().any(|file| destination == Path::new(file));
    if is_covering {
        let shown = destination.display();
        return Err(format!("\"{shown}\" cannot be mounted because it is inside /proc"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use oci::runtime::MountBuilder;

    use super::*;

    fn planned(typ: &str, destination: &str, options: &[&str]) -> Result<PathBuf, String> {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let mount = MountBuilder::default()
            .typ(typ)
            .source("src")
            .destination(destination)
            .options(options)
            .build()
            .unwrap();
        plan_mount(&mount, Path::new("/bundle"), Some(Path::new("/bundle/rootfs")))
            .map(|planned| planned.destination)
            .map_err(|(field, reason)| format!("{field}: {reason}"))
    }

    #[test]
    fn destinations_are_cleaned() {
        assert_eq!(planned("tmpfs", "a/../../b/./c", &[]).unwrap(), Path::new("/b/c"));
        assert_eq!(planned("tmpfs", "/bundle/rootfs/b", &[]).unwrap(), Path::new("/b"));
    }

    #[test]
    fn proc_cannot_be_covered() {
        assert!(planned("bind", "/proc/self", &["bind"]).unwrap_err().contains("inside /proc"));
        assert!(planned("tmpfs", "/x/../proc", &[]).unwrap_err().contains("inside /proc"));
        assert!(planned("proc", "/proc", &[]).is_ok());
        assert!(planned("bind", "/proc/uptime", &["bind"]).is_ok());
        assert!(planned("bind", "/process", &["bind"]).is_ok());
    }

    #[test]
    fn an_unknown_need_is_refused_by_name() {
        let error = planned("tmpfs", "/x", &["idmap"]).unwrap_err();
        assert_eq!(error, "options: id-mapped mounts are only supported for bind-mounts");
    }

    #[test]
    fn a_mapping_is_of_users_and_groups() {
        let mapping = serde_json::json!([{"containerID": 0, "hostID": 1, "size": 1}]);
        let mount = serde_json::json!({
            "type": "bind", "source": "/a", "destination": "/b", "uidMappings": mapping,
        });
        let mount = serde_json::from_value(mount).unwrap();
        let (field, reason) =
            plan_mount(&mount, Path::new("/bundle"), Some(Path::new("/bundle/rootfs")))
                .unwrap_err();
        assert_eq!(field, "gidMappings");
        assert_eq!(reason, "id-mapped mounts must have both uid and gid mappings specified");
    }
}

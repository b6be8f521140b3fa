//! What is mounted in a container, in the order in which it is.

use std::path::Path;

use serde_json::{Value, json};

use super::{INIT_TARGET, Ingredients};
use crate::containers::spec::{IpcMode, MountSource, MountSpec};
use crate::containers::view::{MountKind, MountView};

/// The OCI `mounts`: the kernel's file systems, then the user's (a path before what is below
/// it), then the files of ours that the user did not mount something over.
pub(super) fn list(ingredients: &Ingredients<'_>) -> Vec<Value> {
    let spec = ingredients.spec;
    let mut list = Vec::with_capacity(16);
    kernel_file_systems(ingredients, &mut list);
    let mut own: Vec<&MountView> = ingredients.mounts.iter().collect();
    own.sort_by_key(|mount| mount.target.matches('/').count());
    for mount in own {
        let asked = spec.mounts.iter().find(|asked| same_path(&asked.target, &mount.target));
        list.push(user_mount(mount, asked));
    }
    let files = ingredients.files;
    for (source, target) in [
        (&files.resolv_conf, "/etc/resolv.conf"),
        (&files.hostname, "/etc/hostname"),
        (&files.hosts, "/etc/hosts"),
    ] {
        if !ingredients.mounts.iter().any(|mount| same_path(&mount.target, target)) {
            list.push(bind(source, target, &["rbind", "rprivate"]));
        }
    }
    if let Some(init) = &ingredients.init_program {
        list.push(bind(init, INIT_TARGET, &["bind", "ro", "rprivate"]));
    }
    list
}

fn kernel_file_systems(ingredients: &Ingredients<'_>, list: &mut Vec<Value>) {
    let spec = ingredients.spec;
    let privileged = spec.security.privileged;
    let access = if privileged { "rw" } else { "ro" };
    list.push(mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]));
    let dev = ["nosuid", "strictatime", "mode=755", "size=65536k"];
    list.push(mount("tmpfs", "tmpfs", "/dev", &dev));
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    list.push(mount("devpts", "devpts", "/dev/pts", &pts));
    list.push(mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", access]));
    let access = if spec.security.writable_cgroups || privileged { "rw" } else { "ro" };
    list.push(mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", access]));
    list.push(mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]));
    if ingredients.mounts.iter().any(|mount| same_path(&mount.target, "/dev/shm")) {
        return;
    }
    let shared = match &spec.namespaces.ipc {
        IpcMode::Host => Some(Path::new("/dev/shm")),
        IpcMode::None => return,
        IpcMode::Private => None,
        IpcMode::Shareable | IpcMode::Container(_) => {
            let joined = ingredients.joined.shared_memory.as_deref();
            joined.or(ingredients.shared_memory.as_deref())
        }
    };
    list.push(match shared {
        Some(source) => {
            bind(source, "/dev/shm", &["rbind", "nosuid", "noexec", "nodev", "rprivate"])
        }
        None => {
            let size = format!("size={}", spec.shm_size);
            mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", &size])
        }
    });
}

fn user_mount(mount_view: &MountView, asked: Option<&MountSpec>) -> Value {
    match mount_view.kind {
        MountKind::Tmpfs => tmpfs(&mount_view.target, asked),
        MountKind::Bind | MountKind::Volume => {
            let mut options = vec!["rbind"];
            if let Some(MountSource::Bind { non_recursive: true, .. }) =
                asked.map(|asked| &asked.source)
            {
                options = vec!["bind"];
            }
            if !mount_view.writable {
                options.push(read_only_option(asked));
            }
            let propagation = mount_view.propagation.as_str();
            options.push(if propagation.is_empty() { "rprivate" } else { propagation });
            bind(&mount_view.source, &mount_view.target, &options)
        }
    }
}

/// Whether the mounts below become read-only as well.
fn read_only_option(asked: Option<&MountSpec>) -> &'static str {
    match asked.map(|asked| &asked.source) {
        Some(MountSource::Bind { read_only_force_recursive: true, .. }) => "rro",
        Some(MountSource::Bind {
            read_only_non_recursive: false,
            non_recursive: false,
            propagation,
            ..
        // A recursive change would spread with a shared mount.
        }) if propagation.is_empty() || propagation.ends_with("private") => "rro",
        _ => "ro",
    }
}

fn tmpfs(target: &str, asked: Option<&MountSpec>) -> Value {
    let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned()];
    if let Some(MountSpec {
        source: MountSource::Tmpfs { size_bytes, mode, options: own }, ..
    }) = asked
    {
        // The user's word on a flag replaces ours.
        options.retain(|flag| !own.iter().any(|own| own == flag.trim_start_matches("no")));
        options.extend(own.iter().cloned());
        options.extend(size_bytes.map(|bytes| format!("size={bytes}")));
        options.extend(mode.map(|mode| format!("mode={mode:o}")));
    }
    if asked.is_some_and(|asked| asked.read_only) {
        options.push("ro".to_owned());
    }
    options.push("tmpcopyup".to_owned());
    json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": options })
}

fn mount(kind: &str, source: &str, target: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": source, "options": options })
}

fn bind(source: &Path, target: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": "bind", "source": source, "options": options })
}

/// Whether two paths of the container's are the same, whatever their slashes.
pub(in crate::containers) fn same_path(a: &str, b: &str) -> bool {
    a.split('/').filter(|part| !part.is_empty()).eq(b.split('/').filter(|part| !part.is_empty()))
}

/// The strongest propagation that a mount needs of the root.
pub(super) fn root_propagation(mounts: &[MountView]) -> &'static str {
    let any = |word: &str| mounts.iter().any(|mount| mount.propagation.ends_with(word));
    if any("shared") {
        "rshared"
    } else if any("slave") {
        "rslave"
    } else {
        "rprivate"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_do_not_make_another_path() {
        assert!(same_path("/a/b/", "/a//b"));
        assert!(!same_path("/a/b", "/a/bc"));
    }
}

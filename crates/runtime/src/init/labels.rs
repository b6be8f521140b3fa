//! Confinement by AppArmor and SELinux: asked for here, and in force from `execve` on.
//!
//! The kernel takes such wishes by files below `/proc/self/attr`. A `/proc` that is not the
//! kernel's would swallow them in silence, and the program would run unconfined: so the file
//! has to be of a real procfs, opened without a way out of it (CVE-2019-16884).

use std::os::fd::{AsFd, OwnedFd};

use oci::runtime::Linux;
use rustix::fs::{Mode, OFlags, ResolveFlags, XattrFlags, fsetxattr, openat2};
use rustix::io::Errno;
use rustix::mount::fsconfig_set_string;

use crate::plan::labels::{apparmor_profile, mount_label, selinux_label};

use super::{Doing as _, ProcessInit, StepError, rooted};

/// The extended attribute in which SELinux keeps a file's label.
const LABEL_ATTRIBUTE: &str = "security.selinux";

/// Has the program, once it is executed, run under its profile and its label.
pub(super) fn confine(process: &ProcessInit<'_>) -> Result<(), StepError> {
    if let Some(profile) = apparmor_profile(process.process) {
        let wish = format!("exec {profile}");
        match write_attribute(process, "apparmor/exec", &wish) {
            // Before Linux 5.8 the file is the one module's that has it.
            Err(error) if error.is(Errno::NOENT) => write_attribute(process, "exec", &wish),
            result => result,
        }
        .map_err(|error| named("process.apparmorProfile", profile, &error))?;
    }
    if let Some(label) = selinux_label(process.process) {
        write_attribute(process, "exec", label)
            .map_err(|error| named("process.selinuxLabel", label, &error))?;
    }
    Ok(())
}

fn named(field: &str, value: &str, error: &StepError) -> StepError {
    StepError::Refused(format!("{field}: `{value}`: {error}"))
}

/// Does something that makes a keyring, which then is the program's by its label.
pub(super) fn with_labelled_keys<T>(
    process: &ProcessInit<'_>,
    work: impl FnOnce(&ProcessInit<'_>) -> Result<T, StepError>,
) -> Result<T, StepError> {
    let Some(label) = selinux_label(process.process) else { return work(process) };
    write_attribute(process, "keycreate", label)
        .map_err(|error| named("process.selinuxLabel", label, &error))?;
    let made = work(process)?;
    // Back to what the kernel does by itself.
    write_attribute(process, "keycreate", "\n")?;
    Ok(made)
}

fn write_attribute(process: &ProcessInit<'_>, name: &str, value: &str) -> Result<(), StepError> {
    let proc = process.host_proc.as_ref().expect("it is opened by an earlier step");
    if !rooted::is_of_proc(proc)? {
        return Err(StepError::Refused("/proc is not the kernel's".to_owned()));
    }
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let path = format!("self/attr/{name}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat2(proc, &path, flags, Mode::empty(), inside)?;
    rustix::io::write(&file, value.as_bytes())?;
    Ok(())
}

/// `linux.mountLabel`.
pub(super) fn of_mounts(linux: &Linux) -> Option<&str> {
    mount_label(linux)
}

/// Gives all files of a file system to be made a label. The kernel's own have labels of their
/// own, and so has what the configuration labels otherwise.
pub(super) fn set_mount_label(
    context: &OwnedFd,
    kind: &str,
    options: &[String],
    label: Option<&str>,
) -> Result<(), StepError> {
    let Some(label) = label else { return Ok(()) };
    let is_labelled = options.iter().any(|option| option.starts_with("context="));
    if is_labelled || matches!(kind, "proc" | "sysfs" | "mqueue" | "cgroup" | "cgroup2") {
        return Ok(());
    }
    fsconfig_set_string(context, "context", label).doing(|| format!("linux.mountLabel: `{label}`"))
}

/// Gives one file a label.
pub(super) fn set_file_label(file: impl AsFd, label: &str) -> Result<(), StepError> {
    let mut value = label.as_bytes().to_vec();
    value.push(0);
    match fsetxattr(&file, LABEL_ATTRIBUTE, &value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        // What is open as a mere place has to be opened for good.
        Err(Errno::BADF) => {
            let folder =
                rustix::fs::openat(&file, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            fsetxattr(&folder, LABEL_ATTRIBUTE, &value, XattrFlags::empty())
                .or_else(|error| if error == Errno::OPNOTSUPP { Ok(()) } else { Err(error) })
                .doing(|| format!("linux.mountLabel: `{label}`"))
        }
        result => result.doing(|| format!("linux.mountLabel: `{label}`")),
    }
}

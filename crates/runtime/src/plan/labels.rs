//! The profiles and labels of the kernel's security modules: whether this host has the module.

use std::fs;
use std::path::Path;

use oci::runtime::{Linux, Process};

/// What AppArmor calls the absence of a profile. That is what a host without it offers.
const UNCONFINED: &str = "unconfined";

/// The profile to execute the program under.
pub(crate) fn apparmor_profile(process: &Process) -> Option<&str> {
    let profile = process.apparmor_profile().as_deref().filter(|profile| !profile.is_empty())?;
    (profile != UNCONFINED || has_apparmor()).then_some(profile)
}

/// The label to execute the program under.
pub(crate) fn selinux_label(process: &Process) -> Option<&str> {
    process.selinux_label().as_deref().filter(|label| !label.is_empty())
}

/// The label of the files of the container's own file systems. It confines nobody, so on a host
/// where nothing reads it, it is left out: a label of a process would be refused there.
pub(crate) fn mount_label(linux: &Linux) -> Option<&str> {
    let label = linux.mount_label().as_deref().filter(|label| !label.is_empty())?;
    has_selinux().then_some(label)
}

/// Refuses, by the field's name, what this host cannot enforce.
pub(super) fn check_process(process: &Process) -> Result<(), (&'static str, String)> {
    if apparmor_profile(process).is_some() && !has_apparmor() {
        let reason = "apparmor: config provided but apparmor not supported on this host";
        return Err(("apparmorProfile", reason.to_owned()));
    }
    if selinux_label(process).is_some() && !has_selinux() {
        return Err(("selinuxLabel", NO_SELINUX.to_owned()));
    }
    Ok(())
}

/// As runc words it.
const NO_SELINUX: &str =
    "selinux label is specified in config, but selinux is disabled or not supported";

fn has_apparmor() -> bool {
    fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

//! Which controllers count and limit in the folders of version 2.

use std::path::{Path, PathBuf};

use oci::runtime::LinuxResources;

use crate::cgroups::limit::controllers_needed;
use crate::cgroups::{CgroupError, MOUNT_POINT, files};

/// Switches every controller of this host on in the folders above the container's: limits may
/// come later, figures are asked for even where there is no limit, and the container may want
/// to hand controllers down itself.
pub(super) fn enable(path: &Path, resources: &LinuxResources) -> Result<(), CgroupError> {
    let mut folder = PathBuf::from(MOUNT_POINT);
    let available = files::read(&folder, "cgroup.controllers")?;
    let available: Vec<&str> = available.split_whitespace().collect();
    let needed = needed(resources);
    for (field, controller) in &needed {
        if !available.contains(controller) {
            return Err(CgroupError::NoController { field, controller });
        }
    }
    let above = path.parent().unwrap_or(Path::new(""));
    let mut refused = add(&folder, &available)?;
    for name in above {
        folder.push(name);
        files::create_shared(&folder)?;
        refused = with_first_reasons(refused, add(&folder, &available)?);
    }
    // What was refused matters only where a limit needs it, and only right above: a user to
    // whom a folder was delegated cannot write to those further up.
    for (field, controller) in needed {
        if let Some(at) = refused.iter().position(|(name, _)| *name == controller) {
            return Err(explain(field, controller, refused.swap_remove(at).1));
        }
    }
    Ok(())
}

/// What is refused in a folder, with the error of the folder where that began: below it, the
/// controller is only missing.
fn with_first_reasons<'a>(
    mut above: Vec<(&'a str, CgroupError)>,
    here: Vec<(&'a str, CgroupError)>,
) -> Vec<(&'a str, CgroupError)> {
    let first = |(name, error)| match above.iter().position(|(known, _)| *known == name) {
        Some(at) => above.swap_remove(at),
        None => (name, error),
    };
    here.into_iter().map(first).collect()
}

/// A controller that has not been handed down is as good as not there.
fn explain(field: &'static str, controller: &'static str, error: CgroupError) -> CgroupError {
    let is_absent = crate::cgroups::error::is_errno(&error, rustix::io::Errno::NOENT);
    if is_absent { CgroupError::NoController { field, controller } } else { error }
}

/// Adds to `cgroup.subtree_control` what is not there yet. Comes back with those controllers
/// that the kernel would not add, each with its error.
fn add<'a>(folder: &Path, wanted: &[&'a str]) -> Result<Vec<(&'a str, CgroupError)>, CgroupError> {
    let present = files::read(folder, "cgroup.subtree_control")?;
    let present: Vec<&str> = present.split_whitespace().collect();
    let missing: Vec<&str> =
        wanted.iter().filter(|wanted| !present.contains(wanted)).copied().collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let write = |names: &[&str]| {
        let line: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
        files::write(folder, "cgroup.subtree_control", line.join(" "))
    };
    // All or nothing, says the kernel. So after a refusal each is tried for itself.
    if write(&missing).is_ok() {
        return Ok(Vec::new());
    }
    Ok(missing.into_iter().filter_map(|name| Some((name, write(&[name]).err()?))).collect())
}

/// The controllers that the limits ask for, each with the field that does.
pub(super) fn needed(resources: &LinuxResources) -> Vec<(&'static str, &'static str)> {
    let mut needed = controllers_needed(resources, "io");
    if resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()) {
        needed.push(("rdma", "rdma"));
    }
    needed
}

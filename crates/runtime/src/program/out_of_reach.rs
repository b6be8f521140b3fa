//! Keeping this program's file out of the reach of containers (CVE-2019-5736).
//!
//! A container whose program is a link to `/proc/self/exe` makes us execute ourselves inside of
//! it; its root could then open the file behind that process, wait for the last of us to end,
//! and change what the host executes next. So before anything else this program executes
//! itself from a view of its file that cannot be written through.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::users_reach;

/// This program's file.
const OWN: &str = "/proc/self/exe";

/// Comes back only in a process whose file cannot be written through it.
pub(crate) fn get_out_of_reach() -> anyhow::Result<()> {
    let flags = statvfs(OWN).context("cannot find this program's file")?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let view = match linux::mounts::read_only_view(Path::new(OWN)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            match users_reach::sealed_copy(OWN).context("cannot copy this program")? {
                Some(copy) => copy,
                None => return Ok(()),
            }
        }
        result => result.context("cannot make a read-only view of this program")?,
    };
    let path = CString::new(format!("/proc/self/fd/{}", view.as_raw_fd()))?;
    let with_nul = |text: &std::ffi::OsStr| CString::new(text.as_bytes());
    let arguments =
        std::env::args_os().map(|text| with_nul(&text)).collect::<Result<Vec<_>, _>>()?;
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let mut variable = name;
        variable.push("=");
        variable.push(value);
        environment.push(with_nul(&variable)?);
    }
    let error = linux::process::execute(&path, &arguments, &environment);
    Err(error).context("cannot execute this program from a read-only view")
}

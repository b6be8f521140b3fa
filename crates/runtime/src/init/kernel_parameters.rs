//! `linux.sysctl`: parameters of the container's own namespaces.
//!
//! Which ones are its own is checked in the plan, before anything is made. They are written
//! through the host's `/proc`: what a file below `/proc/sys` stands for depends on the
//! namespaces of who opens it, not on where that `/proc` is mounted.

use rustix::fs::{Mode, OFlags, openat};

use super::{ContainerInit, Doing as _, StepError};

pub(super) fn set(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let proc = init.process.host_proc.as_ref().expect("it is opened by an earlier step");
    for (name, value) in init.linux.sysctl().iter().flatten() {
        let path = format!("sys/{}", path_of(name));
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        openat(proc, &path, flags, Mode::empty())
            .and_then(|file| rustix::io::write(&file, value.as_bytes()))
            .doing(|| format!("linux.sysctl.{name}"))?;
    }
    Ok(())
}

/// A parameter's file below `/proc/sys`. A name with a slash before its first dot separates by
/// slashes, so that an interface with dots in its name can be named: see `sysctl.d(5)`.
fn path_of(name: &str) -> String {
    match (name.find('/'), name.find('.')) {
        (Some(slash), Some(dot)) if slash < dot => name.to_owned(),
        (Some(_), None) => name.to_owned(),
        _ => name
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_work() {
        assert_eq!(path_of("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path_of("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path_of("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    }
}

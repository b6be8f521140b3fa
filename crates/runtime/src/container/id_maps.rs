//! Mapping the users and groups of a new user namespace.
//!
//! Whoever has the right to writes the mappings straight to the kernel. An ordinary user may map
//! nobody but itself that way; for more there are `newuidmap` and `newgidmap`, which give out
//! what `/etc/subuid` and `/etc/subgid` grant. See `user_namespaces(7)`.

use std::fs;
use std::io;
use std::process::Command;

use oci::runtime::LinuxIdMapping;
use rustix::process::{Pid, getegid, geteuid};

use crate::error::ProcessError;

/// Writes the mappings of the user namespace of `process`.
pub(super) fn write(
    process: Pid,
    users: &[LinuxIdMapping],
    groups: &[LinuxIdMapping],
) -> Result<(), ProcessError> {
    let owner = Owner { process, is_root: geteuid().is_root() };
    owner
        .map("gid_map", "newgidmap", groups, getegid().as_raw())
        .map_err(|reason| ProcessError::invalid("linux.gidMappings", reason))?;
    owner
        .map("uid_map", "newuidmap", users, geteuid().as_raw())
        .map_err(|reason| ProcessError::invalid("linux.uidMappings", reason))
}

/// Who maps, and for whom.
struct Owner {
    process: Pid,
    is_root: bool,
}

impl Owner {
    fn map(
        &self,
        file: &str,
        helper: &str,
        mappings: &[LinuxIdMapping],
        own: u32,
    ) -> Result<(), String> {
        if self.is_root {
            return self.write(file, &lines(mappings)).map_err(|error| error.to_string());
        }
        if !is_own_alone(mappings, own) {
            return self.run(helper, mappings);
        }
        if file == "gid_map" {
            // Who could leave a group could get at what is forbidden to that group.
            self.write("setgroups", "deny").map_err(|error| format!("setgroups: {error}"))?;
        }
        self.write(file, &lines(mappings)).map_err(|error| error.to_string())
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        // One write: the kernel takes a mapping once, and as a whole.
        fs::write(format!("/proc/{}/{file}", self.process.as_raw_nonzero()), text)
    }

    fn run(&self, helper: &str, mappings: &[LinuxIdMapping]) -> Result<(), String> {
        let mut command = Command::new(helper);
        command.arg(self.process.as_raw_nonzero().to_string());
        for map in mappings {
            command.args([map.container_id(), map.host_id(), map.size()].map(|id| id.to_string()));
        }
        // A caller that waits for signals itself keeps them all from being heard.
        linux::signals::unblock_in(&mut command);
        let output = command.output().map_err(|error| format!("cannot run `{helper}`: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{helper}` has failed ({}): {}", output.status, said.trim_end()))
    }
}

/// Whether nobody but the user itself is mapped.
fn is_own_alone(mappings: &[LinuxIdMapping], own: u32) -> bool {
    matches!(mappings, [map] if map.size() == 1 && map.host_id() == own)
}

/// Mappings as the kernel reads them.
pub(super) fn lines(mappings: &[LinuxIdMapping]) -> String {
    let line =
        |map: &LinuxIdMapping| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size());
    mappings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use oci::runtime::LinuxIdMappingBuilder;

    use super::*;

    fn map(container: u32, host: u32, size: u32) -> LinuxIdMapping {
        LinuxIdMappingBuilder::default()
            .container_id(container)
            .host_id(host)
            .size(size)
            .build()
            .unwrap()
    }

    #[test]
    fn a_helper_is_needed_for_others_than_oneself() {
        assert!(is_own_alone(&[map(0, 1000, 1)], 1000));
        assert!(!is_own_alone(&[map(0, 1000, 2)], 1000));
        assert!(!is_own_alone(&[map(0, 1001, 1)], 1000));
        assert!(!is_own_alone(&[map(0, 1000, 1), map(1, 100_000, 65536)], 1000));
        assert_eq!(lines(&[map(0, 1000, 1), map(1, 5, 9)]), "0 1000 1\n1 5 9\n");
    }
}

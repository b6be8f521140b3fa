//! `linux.intelRdt`: a container's class of service, which shares out caches and the memory's
//! bandwidth. Classes are folders of the kernel's `resctrl` file system.
//!
//! See the specification's `config-linux.md` and the kernel's `filesystems/resctrl.rst`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci::runtime::{LinuxIntelRdt, Spec};
use rustix::process::Pid;

use crate::error::ProcessError;

/// The class that every process is in which is in no other.
const DEFAULT_CLASS: &str = "/";

/// The folders of one container.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    /// Named after the container, and so made for it and gone with it.
    is_own: bool,
    /// What the container uses is counted here, if that is asked for.
    monitor: Option<PathBuf>,
}

/// Refuses what makes no sense, by the field's name.
pub(crate) fn check(rdt: &LinuxIntelRdt) -> Result<(), ProcessError> {
    let refused = |name: &str, reason: &str| {
        Err(ProcessError::invalid(format!("linux.intelRdt.{name}"), reason))
    };
    if let Some(class) = rdt.clos_id()
        && (matches!(class.as_str(), "." | "..") || (class.len() > 1 && class.contains('/')))
    {
        return refused("closID", &format!("`{class}` is no class's name"));
    }
    if rdt.mem_bw_schema().as_ref().is_some_and(|schema| !schema.starts_with("MB:")) {
        return refused("memBwSchema", "it has to start with `MB:`");
    }
    if lines(rdt).iter().any(|line| line.contains('\n')) {
        return refused("schemata", "a line has a line break in it");
    }
    mount_point().map(drop)
}

/// What is to be written to `schemata`, in the specification's order.
fn lines(rdt: &LinuxIntelRdt) -> Vec<&str> {
    let given = |schema: &Option<String>| schema.as_ref().is_some_and(|schema| !schema.is_empty());
    let single = [rdt.l3_cache_schema(), rdt.mem_bw_schema()];
    let single = single.into_iter().filter(|schema| given(schema)).flatten();
    single.chain(rdt.schemata().iter().flatten()).map(String::as_str).collect()
}

fn mount_point() -> Result<PathBuf, ProcessError> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_resctrl =
        |line: &&str| line.split_once(" - ").is_some_and(|(_, kind)| kind.starts_with("resctrl "));
    let place = mounts.lines().find(is_resctrl).and_then(|line| line.split(' ').nth(4));
    place.map(PathBuf::from).ok_or_else(|| {
        // As runc words it.
        let reason = "intelRdt is specified in config, but Intel RDT is not enabled";
        ProcessError::invalid("linux.intelRdt", format!("{reason}: no `resctrl` is mounted"))
    })
}

impl Group {
    /// The class of the container `id`; `None` if its configuration says nothing of one.
    pub(crate) fn of(id: &str, spec: &Spec) -> Result<Option<Self>, ProcessError> {
        match rdt_of(spec) {
            Some(rdt) => Ok(Some(Self::below(&mount_point()?, id, rdt))),
            None => Ok(None),
        }
    }

    fn below(root: &Path, id: &str, rdt: &LinuxIntelRdt) -> Self {
        let class = rdt.clos_id().as_deref().filter(|class| !class.is_empty());
        let folder = match class {
            Some(DEFAULT_CLASS) => root.to_owned(),
            class => root.join(class.unwrap_or(id)),
        };
        let is_monitored = rdt.enable_monitoring() == &Some(true);
        let monitor = is_monitored.then(|| folder.join("mon_groups").join(id));
        Self { folder, is_own: class.is_none(), monitor }
    }

    /// Makes the class as it is asked for, or finds it so.
    pub(crate) fn make(&self, spec: &Spec) -> Result<(), ProcessError> {
        rdt_of(spec).map_or(Ok(()), |rdt| self.make_with(rdt))
    }

    fn make_with(&self, rdt: &LinuxIntelRdt) -> Result<(), ProcessError> {
        let lines = lines(rdt);
        let is_there = self.folder.is_dir();
        if is_there && !self.is_own {
            self.compare(&lines)?;
        } else if !is_there && !self.is_own && lines.is_empty() {
            let reason = format!("there is no class `{}`", self.folder.display());
            return Err(ProcessError::invalid("linux.intelRdt.closID", reason));
        } else {
            if !is_there {
                fs::create_dir(&self.folder).map_err(|error| self.failed("closID", &error))?;
            }
            for line in lines {
                // Line by line: the kernel takes what it can of several, and tells of one.
                fs::write(self.folder.join("schemata"), format!("{line}\n"))
                    .map_err(|error| self.failed("schemata", &error))?;
            }
        }
        let monitor = self.monitor.as_ref().map_or(Ok(()), fs::create_dir);
        monitor.map_err(|error| self.failed("enableMonitoring", &error))
    }

    /// A class of others is taken as it is, and has to be what is asked for.
    fn compare(&self, lines: &[&str]) -> Result<(), ProcessError> {
        if lines.is_empty() {
            return Ok(());
        }
        let present = fs::read_to_string(self.folder.join("schemata"))
            .map_err(|error| self.failed("schemata", &error))?;
        let has = |line: &&&str| present.lines().any(|present| present.trim() == line.trim());
        match lines.iter().find(|line| !has(line)) {
            None => Ok(()),
            Some(line) => {
                let class = self.folder.display();
                let reason = format!("the class `{class}` is there already, and has no `{line}`");
                Err(ProcessError::invalid("linux.intelRdt.schemata", reason))
            }
        }
    }

    /// Takes a process into the class.
    pub(crate) fn admit(&self, process: Pid) -> Result<(), ProcessError> {
        let number = process.as_raw_nonzero().to_string();
        for folder in [Some(&self.folder), self.monitor.as_ref()].into_iter().flatten() {
            fs::write(folder.join("tasks"), &number)
                .map_err(|error| self.failed("closID", &error))?;
        }
        Ok(())
    }

    /// Removes what was made for the container.
    pub(crate) fn remove(&self) -> Result<(), ProcessError> {
        let own = self.is_own.then_some(&self.folder);
        for folder in [self.monitor.as_ref(), own].into_iter().flatten() {
            match fs::remove_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("closID", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn failed(&self, field: &str, error: &io::Error) -> ProcessError {
        let reason = format!("`{}`: {error}", self.folder.display());
        ProcessError::invalid(format!("linux.intelRdt.{field}"), reason)
    }
}

fn rdt_of(spec: &Spec) -> Option<&LinuxIntelRdt> {
    spec.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A folder that looks like the file system, and the group of a container `c1` in it.
    fn group(rdt: Value) -> (tempfile::TempDir, Group, LinuxIntelRdt) {
        let root = tempfile::tempdir().unwrap();
        let rdt: LinuxIntelRdt = serde_json::from_value(rdt).unwrap();
        let group = Group::below(root.path(), "c1", &rdt);
        (root, group, rdt)
    }

    fn process() -> Pid {
        Pid::from_raw(77).unwrap()
    }

    #[test]
    fn a_class_of_its_own_comes_and_goes() {
        let (root, group, rdt) = group(json!({"l3CacheSchema": "L3:0=f"}));
        group.make_with(&rdt).unwrap();
        group.admit(process()).unwrap();
        let folder = root.path().join("c1");
        assert_eq!(fs::read_to_string(folder.join("schemata")).unwrap(), "L3:0=f\n");
        assert_eq!(fs::read_to_string(folder.join("tasks")).unwrap(), "77");
        // The kernel's files go with their folder; these do not.
        fs::remove_file(folder.join("schemata")).unwrap();
        fs::remove_file(folder.join("tasks")).unwrap();
        group.remove().unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_class_of_others_has_to_be_there_and_to_be_so() {
        let (root, group_without, rdt) = group(json!({"closID": "gold"}));
        let error = group_without.make_with(&rdt).unwrap_err().to_string();
        assert!(error.starts_with("linux.intelRdt.closID: there is no class"), "{error}");

        let folder = root.path().join("gold");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("schemata"), "    L3:0=f\n    MB:0=50\n").unwrap();
        group_without.make_with(&rdt).unwrap();
        group_without.remove().unwrap();
        assert!(folder.exists());

        let same = json!({"closID": "gold", "memBwSchema": "MB:0=50"});
        let same = serde_json::from_value(same).unwrap();
        group_without.make_with(&same).unwrap();
        let other = json!({"closID": "gold", "schemata": ["MB:0=60"]});
        let other = serde_json::from_value(other).unwrap();
        let error = group_without.make_with(&other).unwrap_err().to_string();
        assert!(error.starts_with("linux.intelRdt.schemata: the class"), "{error}");
    }

    #[test]
    fn monitoring_has_a_group_of_the_containers_name() {
        let (root, group, rdt) = group(json!({"closID": "/", "enableMonitoring": true}));
        fs::create_dir(root.path().join("mon_groups")).unwrap();
        group.make_with(&rdt).unwrap();
        let monitor = root.path().join("mon_groups/c1");
        group.admit(process()).unwrap();
        assert_eq!(fs::read_to_string(monitor.join("tasks")).unwrap(), "77");
        fs::remove_file(monitor.join("tasks")).unwrap();
        group.remove().unwrap();
        assert!(!monitor.exists() && root.path().exists());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refusal = |json| check(&serde_json::from_value(json).unwrap()).unwrap_err().to_string();
        let refused = refusal(json!({"closID": "../x"}));
        assert_eq!(refused, "linux.intelRdt.closID: `../x` is no class's name");
        let refused = refusal(json!({"memBwSchema": "L3:0=1"}));
        assert_eq!(refused, "linux.intelRdt.memBwSchema: it has to start with `MB:`");
        if mount_point().is_err() {
            let refused = refusal(json!({}));
            assert!(refused.contains("Intel RDT is not enabled"), "{refused}");
        }
    }
}

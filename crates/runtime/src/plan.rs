//! A configuration, checked and digested, before anything is made.
//!
//! What makes no sense and what this runtime does not do is refused here, by the field's name.
//! Nothing is ignored but annotations and the sections of other operating systems.

mod kernel_parameters;
pub(crate) mod labels;
mod mounts;
pub(crate) mod scheduling;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use linux::mounts::{Attributes, Depth, Propagation};
use linux::namespaces::Namespaces;
use oci::runtime::{
    Linux, LinuxDeviceType, LinuxIdMapping, LinuxMemoryPolicy, LinuxNamespace, LinuxNamespaceType,
    LinuxPersonality, LinuxResources, Process, Spec,
};
use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;

use crate::error::ProcessError;
use crate::hooks;
use crate::mount_options::parse_propagation;
use crate::resctrl;
use crate::seccomp::Rules;

pub(crate) use mounts::{MountKind, MountMapping, PlannedMount};

/// What there is to do for a container.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) process: &'a Process,
    pub(crate) linux: &'a Linux,
    /// The namespaces to clone into.
    pub(crate) new: Namespaces,
    /// Of cgroups: entered later, once the cgroup is there.
    pub(crate) has_new_cgroup_namespace: bool,
    /// Of time: made later, since its clocks are set before it is entered.
    pub(crate) has_new_time_namespace: bool,
    pub(crate) joined: Vec<JoinedNamespace>,
    pub(crate) user_mappings: &'a [LinuxIdMapping],
    pub(crate) group_mappings: &'a [LinuxIdMapping],
    pub(crate) mounts: Vec<PlannedMount<'a>>,
    pub(crate) root_propagation: Option<(Propagation, Depth)>,
    pub(crate) is_root_read_only: bool,
    /// `/dev` is a folder of the host's: nothing is made in it.
    pub(crate) has_foreign_dev: bool,
    /// Hooks that run on the host while the container waits.
    pub(crate) has_host_hooks: bool,
    pub(crate) resources: LinuxResources,
    /// Not compiled yet: that is done while the container is made.
    pub(crate) seccomp: Option<Rules<'a>>,
    pub(crate) treatment: Treatment,
    /// Asked before there is a process of the container's, to which it may look otherwise.
    pub(crate) is_made_by_root: bool,
}

/// A container without a process can be created, and not be started.
static NO_PROCESS: LazyLock<Process> = LazyLock::new(|| {
    let process = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/"});
    serde_json::from_value(process).expect("it is a process but for its program")
});

/// Without the section for Linux everything is as on the host.
static NO_LINUX: LazyLock<Linux> = LazyLock::new(|| {
    serde_json::from_value(serde_json::json!({})).expect("every field may be absent")
});

/// A namespace of somebody else's.
#[derive(Debug)]
pub(crate) struct JoinedNamespace {
    pub(crate) kind: LinkNameSpaceType,
    pub(crate) path: PathBuf,
    pub(crate) fd: OwnedFd,
}

impl<'a> Plan<'a> {
    /// Checks `spec`. `has_network_namespace` says that the caller
    /// brings one.
    pub(crate) fn new(
        spec: &'a Spec,
        bundle: &Path,
        has_network_namespace: bool,
    ) -> Result<Self, ProcessError> {
        check_version(spec.version())?;
        if let Some(hooks) = spec.hooks() {
            hooks::check(hooks)?;
        }
        let process = match spec.process() {
            Some(process) => {
                check_process("process", process)?;
                process
            }
            None => &NO_PROCESS,
        };
        let linux = spec.linux().as_ref().unwrap_or(&NO_LINUX);
        refuse_unsupported(linux)?;
        if let Some(rdt) = linux.intel_rdt() {
            resctrl::check(rdt)?;
        }

        let root = spec.root().as_ref().map(|root| bundle.join(root.path()));
        let mut plan = Self {
            process,
            linux,
            new: Namespaces::empty(),
            has_new_cgroup_namespace: false,
            has_new_time_namespace: false,
            joined: Vec::new(),
            user_mappings: linux.uid_mappings().as_deref().unwrap_or_default(),
            group_mappings: linux.gid_mappings().as_deref().unwrap_or_default(),
            mounts: mounts::plan(
                spec.mounts().as_deref().unwrap_or_default(),
                bundle,
                root.as_deref(),
            )?,
            root_propagation: root_propagation(linux)?,
            is_root_read_only: spec
                .root()
                .as_ref()
                .is_some_and(|root| root.readonly() == Some(true)),
            has_foreign_dev: false,
            has_host_hooks: has_host_hooks(spec),
            resources: linux.resources().clone().unwrap_or_default(),
            seccomp: linux.seccomp().as_ref().map(Rules::new).transpose()?,
            treatment: Treatment::of(Some(linux)),
            is_made_by_root: rustix::process::geteuid().is_root(),
        };
        plan.has_foreign_dev = plan.mounts.iter().any(PlannedMount::is_foreign_dev);
        plan.add_namespaces(linux, has_network_namespace)?;
        plan.leave_out_unmapped_groups();
        plan.check_names(spec)?;
        plan.check_parameters()?;
        plan.treatment.check()?;
        Ok(plan)
    }

    fn add_namespaces(
        &mut self,
        linux: &Linux,
        has_network_namespace: bool,
    ) -> Result<(), ProcessError> {
        let mut seen = Vec::new();
        for (at, namespace) in linux.namespaces().iter().flatten().enumerate() {
            if seen.contains(&namespace.typ()) {
                let reason = format!("there is another one of type `{}`", namespace.typ());
                return Err(invalid(format!("linux.namespaces[{at}]"), reason));
            }
            seen.push(namespace.typ());
            if namespace.typ() == LinuxNamespaceType::Network && has_network_namespace {
                continue;
            }
            self.add_namespace(at, namespace)?;
        }
        self.check_mounts_are_own(linux)?;
        self.check_clocks(linux)?;
        self.check_devices(linux)?;
        check_nodes(linux)?;
        self.check_users()?;
        self.check_mappings()?;
        Ok(())
    }

    /// Without a user namespace the container has no mapping to lend to a mount.
    fn check_mappings(&self) -> Result<(), ProcessError> {
        let lends =
            |mount: &PlannedMount<'_>| matches!(mount.mapping, Some(MountMapping::Containers(_)));
        match self.mounts.iter().position(lends) {
            Some(at) if !self.has_user_namespace() => {
                let reason = "an id-mapped mount needs mappings, its own or a user namespace's";
                Err(invalid(format!("mounts[{at}].uidMappings"), reason))
            }
            _ => Ok(()),
        }
    }

    fn check_users(&self) -> Result<(), ProcessError> {
        let fields =
            [("linux.uidMappings", self.user_mappings), ("linux.gidMappings", self.group_mappings)];
        for (field, mappings) in fields {
            if self.new.contains(Namespaces::USER) && mappings.is_empty() {
                return Err(invalid(field, "a user namespace needs some"));
            }
            if !self.has_user_namespace() && !mappings.is_empty() {
                return Err(invalid(field, "it needs a namespace of type `user`"));
            }
        }
        if self.new.contains(Namespaces::USER) && self.joins(LinkNameSpaceType::Mount) {
            let reason = "a mount namespace of others cannot be changed from a new user namespace";
            return Err(invalid("linux.namespaces", reason));
        }
        Ok(())
    }

    /// The group of terminals, which everybody's configuration names, is not there in the
    /// container of an ordinary user. The terminals are then its root's.
    fn leave_out_unmapped_groups(&mut self) {
        if !self.new.contains(Namespaces::USER) {
            return;
        }
        let is_mapped = |group: u32| {
            self.group_mappings.iter().any(|map| {
                group.checked_sub(map.container_id()).is_some_and(|above| above < map.size())
            })
        };
        let is_usable = |option: &String| {
            let group = option.strip_prefix("gid=").and_then(|group| group.parse().ok());
            group.is_none_or(is_mapped)
        };
        for mount in &mut self.mounts {
            if mount.kind == MountKind::FileSystem("devpts") {
                mount.options.data.retain(is_usable);
            }
        }
    }

    fn add_namespace(&mut self, at: usize, namespace: &LinuxNamespace) -> Result<(), ProcessError> {
        let field = || format!("linux.namespaces[{at}]");
        let path = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty());
        let Some(path) = path else {
            self.add_new_namespace(namespace.typ());
            return Ok(());
        };
        let kind = join_kind(namespace.typ());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| {
            let error = std::io::Error::from(error);
            invalid(format!("{}.path", field()), format!("`{}`: {error}", path.display()))
        })?;
        self.joined.push(JoinedNamespace { kind, path: path.clone(), fd });
        Ok(())
    }

    fn add_new_namespace(&mut self, kind: LinuxNamespaceType) {
        match kind {
            LinuxNamespaceType::Mount => self.new |= Namespaces::MOUNT,
            LinuxNamespaceType::Uts => self.new |= Namespaces::UTS,
            LinuxNamespaceType::Ipc => self.new |= Namespaces::IPC,
            LinuxNamespaceType::User => self.new |= Namespaces::USER,
            LinuxNamespaceType::Pid => self.new |= Namespaces::PID,
            LinuxNamespaceType::Network => self.new |= Namespaces::NETWORK,
            LinuxNamespaceType::Cgroup => self.has_new_cgroup_namespace = true,
            LinuxNamespaceType::Time => self.has_new_time_namespace = true,
        }
    }

    /// In the host's own mount namespace nothing of the host's may be covered.
    fn check_mounts_are_own(&self, linux: &Linux) -> Result<(), ProcessError> {
        let fields =
            [("maskedPaths", linux.masked_paths()), ("readonlyPaths", linux.readonly_paths())];
        for (name, paths) in fields {
            if !self.has_own_mounts() && paths.as_ref().is_some_and(|paths| !paths.is_empty()) {
                let field = format!("linux.{name}");
                return Err(invalid(field, "it needs a namespace of type `mount`"));
            }
        }
        Ok(())
    }

    fn check_devices(&self, linux: &Linux) -> Result<(), ProcessError> {
        for (name, device) in linux.net_devices().iter().flatten() {
            let refused = |reason: &str| Err(invalid(format!("linux.netDevices.{name}"), reason));
            if self.uses_host_network() {
                return refused("unable to move network devices without a NET namespace");
            }
            let new_name = device.name().as_ref().filter(|name| !name.is_empty());
            if !is_device_name(name) || new_name.is_some_and(|name| !is_device_name(name)) {
                return refused("invalid network device name");
            }
        }
        Ok(())
    }

    fn check_clocks(&self, linux: &Linux) -> Result<(), ProcessError> {
        let refused = |reason: &str| Err(invalid("linux.timeOffsets", reason));
        let Some(offsets) = linux.time_offsets().as_ref().filter(|offsets| !offsets.is_empty())
        else {
            return Ok(());
        };
        if self.joins(LinkNameSpaceType::Time) {
            return refused("the clocks of a namespace that is joined are set already");
        }
        if !self.has_new_time_namespace {
            return refused("it needs a namespace of type `time`");
        }
        match offsets.keys().find(|clock| !matches!(clock.as_str(), "monotonic" | "boottime")) {
            Some(clock) => refused(&format!("`{clock}` is no clock of a time namespace")),
            None => Ok(()),
        }
    }

    /// Names are set in the UTS namespace, which must not be the host's.
    fn check_names(&self, spec: &Spec) -> Result<(), ProcessError> {
        let has_own = self.has_own(Namespaces::UTS, LinkNameSpaceType::HostNameAndNISDomainName);
        for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
            if !has_own && name.as_ref().is_some_and(|name| !name.is_empty()) {
                return Err(invalid(field, "it needs a namespace of type `uts`"));
            }
        }
        Ok(())
    }

    fn check_parameters(&self) -> Result<(), ProcessError> {
        for (name, _) in self.linux.sysctl().iter().flatten() {
            let field = format!("linux.sysctl.{name}");
            if kernel_parameters::is_host_name(name) {
                let reason = "it is not allowed, as it conflicts with the field `hostname`";
                return Err(invalid(field, reason));
            }
            let (new, joined, word) = match kernel_parameters::namespace_of(name) {
                Some(kind) => kind,
                None => return Err(invalid(field, "is not in a separate kernel namespace")),
            };
            // A network namespace may also come from the caller, and then is not the host's.
            let is_own = if new == Namespaces::NETWORK {
                !self.uses_host_network() && !self.joins_own_network()
            } else {
                self.has_own(new, joined)
            };
            if !is_own {
                return Err(invalid(field, format!("it needs a namespace of type `{word}`")));
            }
        }
        Ok(())
    }

    /// The network namespace that is joined may be the one that this process is in.
    fn joins_own_network(&self) -> bool {
        let identity = |status: rustix::fs::Stat| (status.st_dev, status.st_ino);
        let joined = self.joined.iter().find(|joined| joined.kind == LinkNameSpaceType::Network);
        joined.is_some_and(|joined| {
            let own = rustix::fs::stat("/proc/self/ns/net").map(identity);
            own.is_ok() && own == rustix::fs::fstat(&joined.fd).map(identity)
        })
    }

    fn uses_host_network(&self) -> bool {
        !self
            .linux
            .namespaces()
            .iter()
            .flatten()
            .any(|namespace| namespace.typ() == LinuxNamespaceType::Network)
    }

    fn has_own(&self, new: Namespaces, joined: LinkNameSpaceType) -> bool {
        self.new.contains(new) || self.joins(joined)
    }

    pub(crate) fn joins(&self, kind: LinkNameSpaceType) -> bool {
        self.joined.iter().any(|namespace| namespace.kind == kind)
    }

    /// Whether mounts are the container's own: in the host's mount namespace they are everybody's.
    pub(crate) fn has_own_mounts(&self) -> bool {
        self.has_own(Namespaces::MOUNT, LinkNameSpaceType::Mount)
    }

    /// One that is not the host's.
    /// Who is to manage the cgroups below the container's own: the user that its process is on
    /// the host, if it has the right to write there in the first place.
    pub(crate) fn cgroup_owner(&self) -> Option<u32> {
        if !self.has_new_cgroup_namespace || !self.has_user_namespace() {
            return None;
        }
        let is_writable = |mount: &PlannedMount<'_>| {
            matches!(mount.kind, MountKind::Cgroup | MountKind::FileSystem("cgroup2"))
                && !mount.options.attributes.set.contains(Attributes::RDONLY)
        };
        let user = self.process.user().uid();
        let mapping = self.user_mappings.iter().find_map(|mapping| {
            let offset = user.checked_sub(mapping.container_id())?;
            (offset < mapping.size()).then(|| mapping.host_id().checked_add(offset))?
        });
        mapping.filter(|_| self.mounts.iter().any(is_writable))
    }

    pub(crate) fn has_cgroup_namespace(&self) -> bool {
        self.has_new_cgroup_namespace || self.joins(LinkNameSpaceType::ControlGroup)
    }

    pub(crate) fn has_user_namespace(&self) -> bool {
        self.has_own(Namespaces::USER, LinkNameSpaceType::User)
    }

    pub(crate) fn joins_user_namespace(&self) -> bool {
        self.joins(LinkNameSpaceType::User)
    }

    /// Whether the parent joins namespaces of a kind for its child: those of pids are for
    /// children only, and from within a new user namespace nothing of the host's can be joined.
    pub(crate) fn is_joined_by_parent(&self, kind: LinkNameSpaceType) -> bool {
        kind == LinkNameSpaceType::ProcessID || self.has_user_namespace()
    }
}

/// Checks what a container's first process and a further one have in common.
pub(crate) fn check_process(field: &str, process: &Process) -> Result<(), ProcessError> {
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(invalid(format!("{field}.args"), "is empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(invalid(format!("{field}.cwd"), "it has to be an absolute path"));
    }
    labels::check_process(process)
        .map_err(|(name, reason)| invalid(format!("{field}.{name}"), reason))?;
    check_scheduling(process)
        .map_err(|(name, reason)| invalid(format!("{field}.{name}"), reason))?;
    for limit in process.rlimits().iter().flatten() {
        if limit.soft() > limit.hard() {
            let reason = format!("{}: the soft limit is above the hard one", limit.typ());
            return Err(invalid(format!("{field}.rlimits"), reason));
        }
    }
    Ok(())
}

fn check_scheduling(process: &Process) -> Result<(), (&'static str, String)> {
    if let Some(scheduler) = process.scheduler() {
        scheduling::scheduler(scheduler).map_err(|error| ("scheduler", error))?;
    }
    if let Some(priority) = process.io_priority() {
        scheduling::io_priority(priority).map_err(|error| ("ioPriority", error))?;
    }
    if let Some(affinity) = process.exec_cpu_affinity() {
        let lists = [
            ("execCPUAffinity.initial", affinity.initial()),
            ("execCPUAffinity.final", affinity.cpu_affinity_final()),
        ];
        for (name, list) in lists {
            if let Some(list) = list {
                scheduling::processors(list).map_err(|error| (name, error))?;
            }
        }
    }
    Ok(())
}

/// What the section for Linux says of every process of the container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Treatment {
    pub(crate) personality: Option<LinuxPersonality>,
    pub(crate) memory_policy: Option<LinuxMemoryPolicy>,
}

impl Treatment {
    pub(crate) fn of(linux: Option<&Linux>) -> Self {
        Self {
            personality: linux.and_then(|linux| linux.personality().clone()),
            memory_policy: linux.and_then(|linux| linux.memory_policy().clone()),
        }
    }

    fn check(&self) -> Result<(), ProcessError> {
        if let Some(personality) = &self.personality {
            scheduling::personality(personality)
                .map_err(|reason| invalid("linux.personality", reason))?;
        }
        if let Some(policy) = &self.memory_policy {
            scheduling::memory_policy(policy)
                .map_err(|reason| invalid("linux.memoryPolicy", reason))?;
        }
        Ok(())
    }
}

fn refuse_unsupported(linux: &Linux) -> Result<(), ProcessError> {
    let memory = linux.resources().as_ref().and_then(|resources| *resources.memory());
    // Docker still sends it, as -1 or 0, where nobody has asked for it.
    #[allow(deprecated)]
    let kernel_memory = memory.and_then(|memory| memory.kernel()).is_some_and(|limit| limit > 0);
    let unsupported = [("resources.memory.kernel", kernel_memory)];
    match unsupported.iter().find(|(_, is_used)| *is_used) {
        Some((name, _)) => Err(not_done(format!("linux.{name}"))),
        None => Ok(()),
    }
}

/// Any 1.x will do: later ones add fields, and those this runtime does not do are refused.
fn check_version(version: &str) -> Result<(), ProcessError> {
    if version.starts_with("1.") {
        return Ok(());
    }
    Err(invalid("ociVersion", format!("`{version}` is no version 1")))
}

fn check_nodes(linux: &Linux) -> Result<(), ProcessError> {
    for (at, device) in linux.devices().iter().flatten().enumerate() {
        let refused =
            |name: &str, reason: &str| Err(invalid(format!("linux.devices[{at}].{name}"), reason));
        if device.typ() == LinuxDeviceType::A {
            return refused("type", "`a` is no type of a device to make");
        }
        if device.path().file_name().is_none() {
            return refused("path", "it names no file");
        }
        if device.major() < 0 || device.minor() < 0 {
            return refused("major", "a device's numbers are not below 0");
        }
    }
    Ok(())
}

/// What the kernel takes for the name of a network device.
fn is_device_name(name: &str) -> bool {
    const BYTES_MAX: usize = 15;
    let is_odd = |letter: char| matches!(letter, '/' | ':') || letter.is_whitespace();
    !matches!(name, "" | "." | "..") && name.len() <= BYTES_MAX && !name.contains(is_odd)
}

fn root_propagation(linux: &Linux) -> Result<Option<(Propagation, Depth)>, ProcessError> {
    let Some(word) = linux.rootfs_propagation().as_ref().filter(|word| !word.is_empty()) else {
        return Ok(None);
    };
    let known = parse_propagation(word);
    known
        .map(Some)
        .ok_or_else(|| invalid("linux.rootfsPropagation", format!("`{word}` is unknown")))
}

#[allow(deprecated)]
fn has_host_hooks(spec: &Spec) -> bool {
    spec.hooks().as_ref().is_some_and(|hooks| {
        [hooks.prestart(), hooks.create_runtime()]
            .iter()
            .any(|hooks| hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()))
    })
}

fn join_kind(kind: LinuxNamespaceType) -> LinkNameSpaceType {
    match kind {
        LinuxNamespaceType::Mount => LinkNameSpaceType::Mount,
        LinuxNamespaceType::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        LinuxNamespaceType::Ipc => LinkNameSpaceType::InterProcessCommunication,
        LinuxNamespaceType::User => LinkNameSpaceType::User,
        LinuxNamespaceType::Pid => LinkNameSpaceType::ProcessID,
        LinuxNamespaceType::Network => LinkNameSpaceType::Network,
        LinuxNamespaceType::Cgroup => LinkNameSpaceType::ControlGroup,
        LinuxNamespaceType::Time => LinkNameSpaceType::Time,
    }
}

fn invalid(field: impl Into<String>, reason: impl Into<String>) -> ProcessError {
    ProcessError::invalid(field, reason)
}

fn not_done(field: impl Into<String>) -> ProcessError {
    invalid(field, "is not supported")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refusal(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut json = serde_json::json!({
            "ociVersion": "1.3.0",
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["true"]},
            "root": {"path": "rootfs"},
            "mounts": [],
            "linux": {"namespaces": [{"type": "mount"}]},
        });
        change(&mut json);
        let spec: Spec = serde_json::from_value(json).unwrap();
        match Plan::new(&spec, Path::new("/bundle"), false) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_newer_version_is_accepted() {
        assert_eq!(refusal(|json| json["ociVersion"] = "1.99.0".into()), "accepted");
        let refusal = refusal(|json| json["ociVersion"] = "2.0.0".into());
        assert_eq!(refusal, "ociVersion: `2.0.0` is no version 1");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let refused = refusal(|json| {
            json["linux"]["resources"] = serde_json::json!({"memory": {"kernel": 1}});
        });
        assert_eq!(refused, "linux.resources.memory.kernel: is not supported");
    }

    #[test]
    fn clocks_need_a_namespace_of_their_own() {
        let with = |namespaces, offsets| {
            refusal(|json: &mut serde_json::Value| {
                json["linux"]["namespaces"] = namespaces;
                json["linux"]["timeOffsets"] = offsets;
            })
        };
        let time = serde_json::json!([{"type": "mount"}, {"type": "time"}]);
        let offsets = serde_json::json!({"monotonic": {"secs": 1}});
        assert_eq!(with(time.clone(), offsets.clone()), "accepted");
        let other = serde_json::json!({"realtime": {"secs": 1}});
        let refused = with(time, other);
        assert_eq!(refused, "linux.timeOffsets: `realtime` is no clock of a time namespace");
        let refused = with(serde_json::json!([{"type": "mount"}]), offsets);
        assert_eq!(refused, "linux.timeOffsets: it needs a namespace of type `time`");
    }

    #[test]
    fn the_hosts_files_are_not_covered() {
        let refused = refusal(|json| {
            json["linux"] = serde_json::json!({"maskedPaths": ["/proc/kcore"]});
        });
        assert_eq!(refused, "linux.maskedPaths: it needs a namespace of type `mount`");
    }

    #[test]
    fn neither_a_process_nor_anything_of_linux_is_needed() {
        let accepted = refusal(|json| {
            let json = json.as_object_mut().unwrap();
            json.remove("process");
            json.remove("linux");
        });
        assert_eq!(accepted, "accepted");
    }

    #[test]
    fn parameters_of_the_host_are_refused() {
        let refused = refusal(|json| {
            json["linux"]["sysctl"] = serde_json::json!({"kernel.panic": "1"});
        });
        assert_eq!(refused, "linux.sysctl.kernel.panic: is not in a separate kernel namespace");
        let refused = refusal(|json| {
            json["linux"]["sysctl"] = serde_json::json!({"net.ipv4.ip_forward": "1"});
        });
        assert_eq!(
            refused,
            "linux.sysctl.net.ipv4.ip_forward: it needs a namespace of type `network`"
        );
    }

    #[test]
    fn an_empty_command_is_refused() {
        let refused = refusal(|json| json["process"]["args"] = serde_json::json!([]));
        assert_eq!(refused, "process.args: is empty");
    }

    #[test]
    fn a_name_needs_a_namespace() {
        let refused = refusal(|json| json["hostname"] = "x".into());
        assert_eq!(refused, "hostname: it needs a namespace of type `uts`");
    }
}

//! Cgroups through systemd: a scope for each container, made and limited over D-Bus.
//!
//! systemd owns the tree of cgroups of the host it runs on. Whoever makes folders of his own in
//! it may find them changed, unless systemd has handed that part of the tree to him: with
//! `Delegate` the scope's folder is ours, and everything that needs no permission of systemd's
//! (listing, freezing, killing, device rules, statistics) goes on by file.
//!
//! A scope cannot be made without a process in it. So here a container's process is not born in
//! its cgroup: it is moved there by systemd, before it does anything.
//!
//! The bus is spoken by ourselves: half a dozen calls need a few hundred lines, where a library
//! brings threads or an asynchronous runtime, and this process must have one thread.

mod annotations;
mod bus;
mod message;
mod properties;
mod unit;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use oci::runtime::{LinuxDeviceCgroup, LinuxResources};
use rustix::process::Pid;

use super::device_rules::DeviceRules;
use super::sub_cgroup::Attachment;
use super::{
    CgroupError, CgroupRequest, Driver, Entry, Folder, Layout, OutOfMemoryEvents, Statistics,
    SubCgroup, layout, version1, version2,
};
use bus::Bus;
use message::Value;
use properties::Properties;

pub use bus::BusError;
pub(super) use unit::Unit;

#[derive(Debug)]
pub(super) struct Systemd {
    unit: Unit,
    /// What the unit is to have from its start, by the configuration's annotations and limits.
    wanted: Vec<(String, Value)>,
    resources: LinuxResources,
    /// The unit's folders, once they are there.
    folders: OnceCell<Box<dyn Driver>>,
    bus: RefCell<Option<Bus>>,
}

/// The version that can be told at a unit's start what to do when memory runs out.
const MEMORY_POLICY_SINCE: u32 = 253;

impl Systemd {
    /// Finds out where the unit will be. It is made when the container's process is admitted.
    pub(super) fn create(request: &CgroupRequest<'_>) -> Result<Self, CgroupError> {
        let is_users = !rustix::process::geteuid().is_root();
        if is_users && layout() != Layout::Unified {
            let reason = "cannot use rootless systemd cgroups manager on cgroup v1";
            return Err(CgroupError::Path { reason: reason.to_owned() });
        }
        let mut bus = Bus::connect(is_users).map_err(|source| failure("reach", "", source))?;
        let above = match is_users {
            true => {
                let own = bus.manager_property("ControlGroup");
                own.map_err(|source| failure("ask", "", source))?
            }
            false => String::new(),
        };
        let above = Path::new(above.trim_start_matches('/'));
        let unit = Unit::new(request.id, request.path, above, is_users)
            .map_err(|reason| CgroupError::Path { reason })?;
        let none = HashMap::new();
        let wanted = annotations::properties(request.annotations.unwrap_or(&none))
            .map_err(|reason| CgroupError::Path { reason })?;
        Ok(Self {
            unit,
            wanted,
            resources: request.resources.clone(),
            folders: OnceCell::new(),
            bus: RefCell::new(Some(bus)),
        })
    }

    /// The cgroup of a container that another process made.
    pub(super) fn of(unit: Unit) -> Self {
        let folders = OnceCell::new();
        let _ = folders.set(open(&unit.path));
        Self {
            unit,
            wanted: Vec::new(),
            resources: LinuxResources::default(),
            folders,
            bus: RefCell::default(),
        }
    }

    pub(super) fn unit(&self) -> &Unit {
        &self.unit
    }

    /// What works by file.
    fn inner(&self) -> &dyn Driver {
        &**self.folders.get_or_init(|| open(&self.unit.path))
    }

    /// Asks systemd for something.
    fn with_bus<T>(
        &self,
        doing: &'static str,
        ask: impl FnOnce(&mut Bus) -> Result<T, BusError>,
    ) -> Result<T, CgroupError> {
        let mut bus = self.bus.borrow_mut();
        let result = match &mut *bus {
            Some(bus) => ask(bus),
            None => Bus::connect(self.unit.is_users).and_then(|new| ask(bus.insert(new))),
        };
        result.map_err(|source| failure(doing, &self.unit.name, source))
    }

    fn start(&self, process: Pid) -> Result<(), CgroupError> {
        let number = process.as_raw_nonzero().get().cast_unsigned();
        let text = |text: &str| Value::Text(text.to_owned());
        let mut list = vec![
            ("Description", text(&format!("container {}", self.unit.name))),
            ("Slice", text(&self.unit.slice)),
            ("Delegate", Value::Flag(true)),
            ("PIDs", Value::Numbers(vec![number])),
            // Figures are wanted without limits, too.
            ("MemoryAccounting", Value::Flag(true)),
            ("CPUAccounting", Value::Flag(true)),
            (io_accounting(), Value::Flag(true)),
            ("TasksAccounting", Value::Flag(true)),
            // A scope need not wait for what services wait for, nor end with it.
            ("DefaultDependencies", Value::Flag(false)),
        ];
        // On version 1 systemd writes its own idea of devices whenever it looks at the unit again;
        // version 2's programs it leaves alone.
        let rules = self.resources.devices().as_deref().unwrap_or_default();
        if layout() == (Layout::Version1 { with_unified: false })
            && let Some(allowed) = DeviceRules::new(rules).systemd_list()
        {
            list.push(("DevicePolicy", text("strict")));
            list.push(("DeviceAllow", Value::Pairs(allowed)));
        }
        let group = self.resources.unified().as_ref().and_then(|all| all.get("memory.oom.group"));
        self.with_bus("start", |bus| {
            if let Some(group) = group
                && version(bus)? >= MEMORY_POLICY_SINCE
            {
                let policy = if group.trim() == "1" { "kill" } else { "continue" };
                list.push(("OOMPolicy", text(policy)));
            }
            let wanted = self.wanted.iter().map(|(name, value)| (name.as_str(), value));
            let all = || list.iter().map(|(name, value)| (*name, value)).chain(wanted.clone());
            match bus.start_unit(&self.unit.name, all()) {
                // It may be left of a container that has failed, and go when it is let go.
                Err(error) if error.is_refusal(".UnitExists") => {
                    bus.reset_failed_unit(&self.unit.name).ok();
                    bus.start_unit(&self.unit.name, all())
                }
                result => result,
            }
        })
    }

    fn set_properties(&self, resources: &mut LinuxResources) -> Result<(), CgroupError> {
        let list = self.properties(resources)?;
        if list.is_empty() {
            return Ok(());
        }
        self.with_bus("limit", |bus| {
            bus.set_properties(&self.unit.name, list.iter().map(|(name, value)| (*name, value)))
        })
    }

    fn properties(
        &self,
        resources: &mut LinuxResources,
    ) -> Result<Vec<message::Property>, CgroupError> {
        let mut ask = || -> Result<u32, BusError> {
            let mut bus = self.bus.borrow_mut();
            match &mut *bus {
                Some(bus) => version(bus),
                None => version(bus.insert(Bus::connect(self.unit.is_users)?)),
            }
        };
        let mut properties = Properties { list: Vec::new(), version: &mut ask };
        let added = properties.add_limits(resources, layout());
        added.map_err(|error| match error {
            properties::Error::Bus(source) => failure("ask", &self.unit.name, source),
            properties::Error::Limit(error) => error,
        })?;
        Ok(properties.list)
    }
}

fn open(path: &Path) -> Box<dyn Driver> {
    match layout() {
        Layout::Unified => Box::new(version2::Version2::of(path)),
        Layout::Version1 { with_unified } => Box::new(version1::Version1::of(path, with_unified)),
    }
}

fn io_accounting() -> &'static str {
    if layout() == Layout::Unified { "IOAccounting" } else { "BlockIOAccounting" }
}

/// `252.39-1~deb12u2` is 252.
fn version(bus: &mut Bus) -> Result<u32, BusError> {
    let text = bus.manager_property("Version")?;
    let text = text.trim_start_matches('v');
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().map_err(|_| BusError::Nonsense)
}

fn failure(doing: &'static str, unit: &str, source: BusError) -> CgroupError {
    CgroupError::Systemd { doing, unit: unit.to_owned(), source }
}

impl Driver for Systemd {
    fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn admit(&self, process: Pid) -> Result<(), CgroupError> {
        self.start(process)?;
        let folders: Box<dyn Driver> = match layout() {
            Layout::Unified => {
                Box::new(version2::Version2::adopt(&self.unit.path, &self.resources)?)
            }
            Layout::Version1 { with_unified } => {
                let path = &self.unit.path;
                Box::new(version1::Version1::adopt(path, &self.resources, with_unified)?)
            }
        };
        folders.admit(process)?;
        let _ = self.folders.set(folders);
        Ok(())
    }

    /// Only systemd may move a process across the borders of a user's own part of the tree.
    fn entry(&self, sub: &SubCgroup) -> Result<Entry, CgroupError> {
        let entry = self.inner().entry(sub)?;
        if !self.unit.is_users {
            return Ok(entry);
        }
        let below = sub.below(Path::new("/"), "")?;
        let attachment = Attachment { unit: self.unit.clone(), below };
        Ok(Entry { attachment: Some(attachment), ..Entry::default() })
    }

    fn present_place(&self, process: Pid) -> Option<PathBuf> {
        self.inner().present_place(process)
    }

    fn counts_memory_from_birth(&self) -> bool {
        self.inner().counts_memory_from_birth()
    }

    fn sets_device_rules_one_by_one(&self) -> bool {
        self.inner().sets_device_rules_one_by_one()
    }

    fn set_device_rules(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        self.inner().set_device_rules(rules)
    }

    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let mut resources = resources.clone();
        self.set_properties(&mut resources)?;
        self.inner().limit(&resources)
    }

    fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        self.inner().processes()
    }

    fn freeze(&self) -> Result<(), CgroupError> {
        self.inner().freeze()
    }

    fn thaw(&self) -> Result<(), CgroupError> {
        self.inner().thaw()
    }

    fn is_frozen(&self) -> Result<bool, CgroupError> {
        self.inner().is_frozen()
    }

    fn kill_all(&self) -> Result<(), CgroupError> {
        self.inner().kill_all()
    }

    fn out_of_memory_events(&self) -> Result<Option<OutOfMemoryEvents>, CgroupError> {
        self.inner().out_of_memory_events()
    }

    fn statistics(&self) -> Result<Statistics, CgroupError> {
        self.inner().statistics()
    }

    fn folders(&self) -> Vec<Folder> {
        match (self.folders.get(), layout()) {
            (Some(folders), _) => folders.folders(),
            (None, Layout::Version1 { with_unified }) => {
                version1::folders_needed(&self.unit.path, &self.resources, with_unified)
            }
            (None, Layout::Unified) => self.inner().folders(),
        }
    }

    /// A scope goes by itself when its last process has ended, if it has not failed.
    fn remove(&self) -> Result<(), CgroupError> {
        let name = &self.unit.name;
        let stopped = self.with_bus("stop", |bus| {
            let stopped = match bus.stop_unit(name) {
                Err(error) if error.is_refusal(".NoSuchUnit") => Ok(()),
                result => result,
            };
            bus.reset_failed_unit(name).ok();
            stopped
        });
        // What the container has made below, and what systemd knows nothing of.
        self.inner().remove().and(stopped)
    }
}

/// Moves a process into a unit, or a cgroup below it.
pub(super) fn attach(unit: &Unit, below: &Path, process: Pid) -> Result<(), CgroupError> {
    let number = process.as_raw_nonzero().get().cast_unsigned();
    let below = below.to_string_lossy();
    Bus::connect(unit.is_users)
        .and_then(|mut bus| bus.attach(&unit.name, &below, number))
        .map_err(|source| failure("enter", &unit.name, source))
}

//! Cgroups that a container, or somebody for it, has made below its own.

use std::fs;
use std::path::PathBuf;

use crate::command_line::Host;

/// A container that runs.
struct Running {
    host: Host,
}

impl Running {
    fn start(script: &str) -> Self {
        let host = Host::new(script);
        host.create();
        host.succeed(&["start", host.id()]);
        Self { host }
    }

    /// Its folder in the hierarchy of version 2.
    fn folder(&self) -> PathBuf {
        let mount = if fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
            "/sys/fs/cgroup/wharf"
        } else {
            "/sys/fs/cgroup/unified/wharf"
        };
        PathBuf::from(mount).join(self.host.id())
    }

    /// Where a further process finds itself, or the error.
    fn exec(&self, options: &[&str]) -> Result<String, String> {
        let command = ["grep", "^0:", "/proc/self/cgroup"];
        let output = self.host.run(&[&["exec"], options, &[self.host.id()], &command].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.host.run(&["delete", "--force", self.host.id()]);
    }
}

fn has_unified() -> bool {
    let paths = ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.procs"];
    let has = paths.iter().any(|path| fs::exists(path).unwrap());
    if !has {
        println!("skipped: needs a hierarchy of version 2");
    }
    has
}

#[test]
fn a_further_process_goes_where_it_is_sent() {
    require_containers!();
    if !has_unified() {
        return;
    }
    let container = Running::start("sleep 100");
    fs::create_dir_all(container.folder().join("a/b")).unwrap();
    assert_eq!(container.exec(&[]), Ok("0::/\n".to_owned()));
    assert_eq!(container.exec(&["--cgroup", "/"]), Ok("0::/\n".to_owned()));
    assert_eq!(container.exec(&["--cgroup", "a/b"]), Ok("0::/a/b\n".to_owned()));
    let error = container.exec(&["--cgroup", ".."]).unwrap_err();
    assert!(error.contains("bad sub cgroup path"), "{error}");
    let error = container.exec(&["--cgroup", "nope"]).unwrap_err();
    assert!(error.contains(" adding pid ") && error.contains("o such file or dir"), "{error}");
    let error = container.exec(&["--cgroup", "whaaat:/"]).unwrap_err();
    assert!(error.contains("unknown controller "), "{error}");
}

#[test]
fn a_further_process_goes_into_controllers_of_its_own() {
    require_containers!();
    if !fs::exists("/sys/fs/cgroup/memory").unwrap() {
        println!("skipped: needs version 1");
        return;
    }
    let mut host = Host::new("sleep 100");
    host.bundle.spec["linux"]["resources"] =
        serde_json::json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}});
    let config = host.bundle.path().join("config.json");
    fs::write(config, host.bundle.spec.to_string()).unwrap();
    host.create();
    host.succeed(&["start", host.id()]);
    let container = Running { host };
    let id = container.host.id();
    fs::create_dir(format!("/sys/fs/cgroup/memory/wharf/{id}/sub")).unwrap();
    let command = ["cat", "/proc/self/cgroup"];
    let options = ["exec", "--cgroup", "memory:sub", id];
    let text = container.host.succeed(&[&options[..], &command].concat());
    assert!(text.contains(":memory:/sub\n"), "{text}");
    assert!(text.contains(":pids:/\n"), "{text}");
}

#[test]
fn a_container_that_has_become_a_tree_takes_further_processes() {
    require_containers!();
    if !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
        println!("skipped: needs version 2 with controllers");
        return;
    }
    let container = Running::start("sleep 100");
    let leaf = container.folder().join("leaf");
    fs::create_dir(&leaf).unwrap();
    fs::write(leaf.join("cgroup.procs"), container.host.pid().to_string()).unwrap();
    assert_eq!(container.exec(&[]), Ok("0::/\n".to_owned()));
    fs::write(container.folder().join("cgroup.subtree_control"), "+memory").unwrap();
    assert_eq!(container.exec(&[]), Ok("0::/leaf\n".to_owned()));
    let error = container.exec(&["--cgroup", "/"]).unwrap_err();
    assert!(error.contains(" to cgroups") && error.contains("busy"), "{error}");
    // The whole tree is listed, stopped and removed.
    let listed = container.host.succeed(&["ps", "--format", "json", container.host.id()]);
    assert_eq!(listed.trim(), format!("[{}]", container.host.pid()));
    container.host.succeed(&["pause", container.host.id()]);
    assert_eq!(container.host.status(), "paused");
    container.host.succeed(&["delete", "--force", container.host.id()]);
    assert!(!container.folder().exists());
}

#[test]
fn a_container_that_has_left_its_cgroup_takes_further_processes() {
    require_containers!();
    if !has_unified() {
        return;
    }
    let container = Running::start("sleep 100");
    let other = container.folder().with_extension("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("cgroup.procs"), container.host.pid().to_string()).unwrap();
    fs::remove_dir(container.folder()).unwrap();
    let place = container.exec(&[]);
    container.host.succeed(&["delete", "--force", container.host.id()]);
    // Nobody but this test knows of it.
    fs::remove_dir(&other).unwrap();
    assert!(place.unwrap().contains(".other"));
}

#[test]
fn all_that_a_container_has_made_is_removed() {
    require_containers!();
    if !has_unified() {
        return;
    }
    // Without a pid namespace, so that processes outlive the first one.
    let mut host = Host::new("sleep 100 & sleep 100 & sleep 100");
    let namespaces = host.bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let config = host.bundle.path().join("config.json");
    fs::write(config, host.bundle.spec.to_string()).unwrap();
    host.create();
    host.succeed(&["start", host.id()]);
    let container = Running { host };
    let (id, first) = (container.host.id(), container.host.pid());
    fs::create_dir_all(container.folder().join("a/b/c")).unwrap();
    fs::create_dir_all(container.folder().join("d")).unwrap();
    let processes = || -> Vec<i32> {
        serde_json::from_str(&container.host.succeed(&["ps", "--format", "json", id])).unwrap()
    };
    while processes().len() < 3 {}
    let others: Vec<i32> = processes().into_iter().filter(|pid| *pid != first).collect();
    fs::write(container.folder().join("a/b/cgroup.procs"), others[0].to_string()).unwrap();
    fs::write(container.folder().join("d/cgroup.procs"), others[1].to_string()).unwrap();
    assert_eq!(processes().len(), 3);
    container.host.succeed(&["kill", id, "KILL"]);
    container.host.await_end(first);
    container.host.succeed(&["delete", id]);
    assert!(!container.folder().exists());
    for pid in others {
        let state = fs::read_to_string(format!("/proc/{pid}/stat"));
        assert!(state.is_err() || state.unwrap().contains(") Z "), "{pid} is alive");
    }
}

//! The runtime as a program of an ordinary user.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::host::Bundle;

/// `nobody`, which every host has.
const USER: u32 = 65534;

/// A bundle that an ordinary user may read, made by `spec --rootless`.
struct Host {
    bundle: Bundle,
}

impl Host {
    fn new(script: &str) -> Self {
        let host = Self { bundle: Bundle::new("") };
        let folder = host.bundle.path();
        fs::hard_link(env!("CARGO_BIN_EXE_wharf-runtime"), host.program())
            .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_wharf-runtime"), host.program()).map(drop))
            .unwrap();
        fs::create_dir(folder.join("run")).unwrap();
        for place in ["", "run", "rootfs"] {
            chown(folder.join(place), Some(USER), Some(USER)).unwrap();
            fs::set_permissions(folder.join(place), fs::Permissions::from_mode(0o755)).unwrap();
        }
        host.succeed(&["spec", "--rootless", "--bundle", folder.to_str().unwrap()]);
        host.change(|spec| {
            spec["process"]["terminal"] = false.into();
            spec["process"]["args"] = json!(["sh", "-c", script]);
        });
        host
    }

    fn program(&self) -> PathBuf {
        self.bundle.path().join("wharf-runtime")
    }

    fn id(&self) -> &str {
        &self.bundle.id
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let name = self.bundle.path().join("config.json");
        let mut spec = serde_json::from_slice(&fs::read(&name).unwrap()).unwrap();
        change(&mut spec);
        fs::write(name, spec.to_string()).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("XDG_RUNTIME_DIR", self.bundle.path().join("run"))
            .current_dir(self.bundle.path())
            .stdin(Stdio::null())
            .uid(USER)
            .gid(USER);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.succeed(&["state", self.id()])).unwrap()
    }
}

#[test]
fn an_ordinary_user_is_root_of_its_containers() {
    require_containers!();
    let host =
        Host::new("id -u; echo x >/dev/null; cat /proc/self/uid_map; ls /sys/kernel; exit 7");
    let output = host.run(&["run", host.id()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("0\n"), "{text} {:?}", output.stderr);
    assert!(text.contains("65534          1\n"), "{text}");
    assert_eq!(output.status.code(), Some(7));
    // Where the user's session has its files, with the bit that keeps them there.
    let root = host.bundle.path().join("run/wharf-runtime");
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o7777, 0o1700);
    assert_eq!(fs::read_dir(root).unwrap().count(), 0);
}

#[test]
fn an_ordinary_user_sees_a_container_through_its_life() {
    require_containers!();
    let host = Host::new("sleep 100");
    host.change(|spec| spec["process"]["oomScoreAdj"] = 100.into());
    let status = host.command(&["create", host.id()]).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    assert_eq!(host.state()["status"], "created");
    host.succeed(&["start", host.id()]);
    assert_eq!(host.state()["status"], "running");

    let script = "cat /proc/self/oom_score_adj; readlink /proc/self/ns/user; ps | wc -l; exit 5";
    let further = host.run(&["exec", host.id(), "sh", "-c", script]);
    let text = String::from_utf8(further.stdout).unwrap();
    let pid = host.state()["pid"].as_i64().unwrap();
    let namespace = fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    // The head of the list, the container's two processes, and those that count them.
    assert_eq!(text, format!("100\n{}\n5\n", namespace.display()), "{:?}", further.stderr);
    assert_eq!(further.status.code(), Some(5));

    assert!(host.succeed(&["list"]).contains("running"));
    host.succeed(&["delete", "--force", host.id()]);
    assert!(!host.succeed(&["list"]).contains("running"));
    assert!(!PathBuf::from(format!("/proc/{pid}/root")).exists());
}

#[test]
fn an_ordinary_user_needs_a_user_namespace() {
    require_containers!();
    let host = Host::new("true");
    host.change(|spec| {
        let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "user");
        let linux = spec["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    });
    let output = host.run(&["run", host.id()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("linux.namespaces: whoever is not root needs one"), "{error}");
}

/// What cannot be had is said, rather than a container run without it.
#[test]
fn limits_need_a_cgroup() {
    require_containers!();
    let host = Host::new("true");
    host.change(|spec| spec["linux"]["resources"] = json!({"pids": {"limit": 10}}));
    let output = host.run(&["run", host.id()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the container has no cgroup"), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_group_of_terminals_need_not_be_mapped() {
    require_containers!();
    let host = Host::new("ls /dev/pts");
    host.change(|spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        let terminals = mounts.iter_mut().find(|mount| mount["type"] == "devpts").unwrap();
        terminals["options"].as_array_mut().unwrap().push("gid=5".into());
    });
    assert_eq!(host.succeed(&["run", host.id()]), "ptmx\n");
}

/// A file of the user's own could be written to by a container that executes it.
#[test]
fn a_users_own_program_is_executed_from_a_sealed_copy() {
    require_containers!();
    let host = Host::new("sleep 100");
    let own = host.bundle.path().join("own");
    fs::copy(host.program(), &own).unwrap();
    chown(&own, Some(USER), Some(USER)).unwrap();
    let mut command = Command::new(&own);
    command
        .args(["run", host.id()])
        .env_clear()
        .env("XDG_RUNTIME_DIR", host.bundle.path().join("run"))
        .current_dir(host.bundle.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .uid(USER)
        .gid(USER);
    let mut running = command.spawn().unwrap();
    let program = format!("/proc/{}/exe", running.id());
    let is_running = || {
        let state = host.run(&["state", host.id()]);
        String::from_utf8_lossy(&state.stdout).contains("\"running\"")
    };
    while !is_running() {
        assert!(running.try_wait().unwrap().is_none(), "it has ended early");
    }
    let program = fs::read_link(program).unwrap();
    host.succeed(&["delete", "--force", host.id()]);
    running.wait().unwrap();
    assert!(program.starts_with("/memfd:wharf-runtime (deleted)"), "{}", program.display());
}

/// With numbers that `/etc/subuid` and `/etc/subgid` grant, which is a test's own here.
#[test]
fn an_ordinary_user_maps_granted_numbers() {
    require_containers!();
    if !["/usr/bin/newuidmap", "/usr/bin/unshare", "/usr/bin/setpriv"]
        .iter()
        .all(|program| PathBuf::from(program).exists())
    {
        println!("skipped: needs newuidmap, unshare and setpriv");
        return;
    }
    let host = Host::new("cat /proc/self/uid_map; id -u; id -G");
    host.change(|spec| {
        for field in ["uidMappings", "gidMappings"] {
            spec["linux"][field] = json!([
                {"containerID": 0, "hostID": USER, "size": 1},
                {"containerID": 1, "hostID": 300_000, "size": 100},
            ]);
        }
        spec["process"]["user"] = json!({"uid": 33, "gid": 33, "additionalGids": [10]});
    });
    let granted = host.bundle.path().join("granted");
    fs::write(&granted, format!("{USER}:300000:100\nnobody:300000:100\n")).unwrap();
    let script = format!(
        "mount --bind {granted} /etc/subuid && mount --bind {granted} /etc/subgid && \
         exec setpriv --reuid {USER} --regid {USER} --clear-groups {program} run {id}",
        granted = granted.display(),
        program = host.program().display(),
        id = host.id(),
    );
    let output = Command::new("/usr/bin/unshare")
        .args(["--mount", "sh", "-c", &script])
        .env("XDG_RUNTIME_DIR", host.bundle.path().join("run"))
        .current_dir(host.bundle.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let expected = ["0", "65534", "1", "1", "300000", "100", "33", "33", "10"];
    assert_eq!(words, expected, "{output:?}");
}

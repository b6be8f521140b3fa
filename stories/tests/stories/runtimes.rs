//! `--runtime`: containers under another program than the built-in one.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use stories::{Host, eventually};

/// Where distributions put programs that are root's.
const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];

fn program(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

/// A host that knows Debian's runc as `other`.
fn host_with_runc() -> Option<Host> {
    let Some(runc) = program("runc") else {
        Host::skips("runc is not installed");
        return None;
    };
    let flag = format!("--add-runtime other={}", runc.display());
    Some(Host::builder().flags(&flag).start())
}

/// A host that knows crun as `other`, where crun works at all.
fn host_with_crun() -> Option<Host> {
    let Some(crun) = program("crun") else {
        Host::skips("crun is not installed");
        return None;
    };
    let flag = format!("--add-runtime other={}", crun.display());
    let host = Host::builder().flags(&flag).start();
    let tried = host.docker("run --rm --runtime other busybox true");
    if tried.stderr.contains("hybrid mode not supported") {
        Host::skips("this crun refuses hosts with cgroups of both versions");
        return None;
    }
    if tried.stderr.contains("unknown version specified") {
        Host::skips("this crun is older than the configuration that dockerd writes");
        return None;
    }
    Some(host)
}

/// What every runtime has to be able to do.
fn lives_a_whole_life(host: &Host) {
    let container = host.run(
        "--name box --runtime other --memory 64m --env A=b busybox \
         sh -c 'echo hi; trap \"echo bye; exit 7\" TERM; while :; do sleep 0.1; done'",
    );
    container.logs_eventually("hi");
    assert_eq!(container.at("/HostConfig/Runtime"), "other");
    assert_eq!(host.answer("exec --env B=c box sh -c 'echo $A$B'"), "bc");
    host.docker("exec box sh -c 'exit 5'").fails_with(5);
    // It must not keep the container from ending later.
    host.docker("exec box nope").fails_with(127);
    assert_eq!(
        host.docker_with_input("exec -i box cat", b"through\n").succeeds().stdout,
        "through\n"
    );
    host.docker("pause box").succeeds();
    assert_eq!(container.status(), "paused");
    host.docker("unpause box").succeeds();
    host.docker("update --memory 128m --memory-swap 256m box").succeeds();
    assert!(host.answer("top box").contains("sleep 0.1"));
    host.docker("stop box").succeeds();
    assert_eq!(container.exit_code(), 7);
    assert!(container.log().ends_with("bye\n"), "{}", container.log());
    host.docker("start box").succeeds();
    host.docker("kill box").succeeds();
    assert_eq!(container.exit_code(), 137);
}

#[test]
fn a_container_of_runc_s_lives_a_whole_life() {
    if let Some(host) = host_with_runc() {
        lives_a_whole_life(&host);
    }
}

#[test]
fn a_container_of_crun_s_lives_a_whole_life() {
    if let Some(host) = host_with_crun() {
        lives_a_whole_life(&host);
    }
}

#[test]
fn our_own_runtime_can_be_named_as_any_other() {
    if !Host::is_wharf_or_skips("it is beside wharfd") {
        return;
    }
    let own = Host::wharf().with_file_name("wharf-runtime");
    let host = Host::builder().flags(&format!("--add-runtime other={}", own.display())).start();
    lives_a_whole_life(&host);
    host.docker("run --rm --runtime wharf busybox true").succeeds();
}

#[test]
fn a_terminal_is_handed_over() {
    let Some(host) = host_with_runc() else { return };

    let mut terminal = host.terminal("run --rm -it --runtime other busybox sh");
    terminal.types("tty; echo $((40+2))\n");
    terminal.shows("42");
    terminal.types("exit 3\n");
    assert_eq!(terminal.finish(), 3);

    host.run("--name box --runtime other busybox sleep 1000");
    let mut terminal = host.terminal("exec -it box sh");
    terminal.types("tty; echo $((40+3))\n");
    terminal.shows("43");
    terminal.types("exit 4\n");
    assert_eq!(terminal.finish(), 4);
}

#[test]
fn what_goes_wrong_is_told_in_the_program_s_words() {
    let Some(host) = host_with_runc() else { return };

    host.docker("run --rm --runtime other busybox nope").fails_with(127).stderr_has(
        "failed to create task for container: failed to create shim task: OCI runtime create \
         failed: runc create failed: unable to start container process",
    );
    host.docker("run --rm --runtime other busybox /etc").fails_with(126);
    host.docker("run --rm --runtime other --user nobody busybox true")
        .fails_with(125)
        .stderr_has("unable to find user nobody: no matching entries in passwd file");
    host.docker("create --runtime nope busybox")
        .fails_with(1)
        .stderr_has("unknown or invalid runtime name: nope");
    host.docker("run --rm --runtime io.containerd.nope.v1 busybox true")
        .fails_with(125)
        .stderr_has("runtime \"io.containerd.nope.v1\" binary not installed");
}

#[test]
fn a_runtime_that_is_not_there_is_missed_at_the_start() {
    let host = Host::builder().flags("--add-runtime gone=/nonexistent/runtime").start();

    host.docker("create --name box --runtime gone busybox").succeeds();
    host.docker("start box").fails_with(1).stderr_has("/nonexistent/runtime");
}

#[test]
fn a_container_of_another_runtime_has_networks_mounts_and_users() {
    let Some(host) = host_with_runc() else { return };
    let folder = host.folder("data", &[("file", "content")]);
    let web = host.run(&format!(
        "--name web --runtime other -v {folder}:/bind:ro -v named:/volume --tmpfs /t:size=1m \
         --user 1000:1001 --group-add 7 --read-only -p 8080 --init busybox \
         httpd -f -p 8080 -h /var/www"
    ));

    assert!(!host.get(&web.published(8080)).is_empty());
    assert_eq!(host.answer("exec web id -u"), "1000");
    assert_eq!(host.answer("exec web id -G"), "1001 7");
    assert_eq!(host.answer("exec web cat /bind/file"), "content");
    host.docker("exec web touch /bind/x").fails();
    host.docker("exec web touch /x").fails();
    host.docker("exec --user 0 web touch /volume/x /t/x").succeeds();
    assert_eq!(host.answer("exec web hostname"), &web.id[..12]);
    host.docker(
        "run --rm --runtime other --network container:web busybox wget -qO- 127.0.0.1:8080",
    )
    .succeeds();
}

#[test]
fn a_container_out_of_memory_says_so() {
    let Some(host) = host_with_runc() else { return };

    let hungry = host.create("--name hungry --runtime other -m 24m busybox tail /dev/zero");
    host.docker("start hungry").succeeds();

    assert_eq!(hungry.wait(), 137);
    assert_eq!(hungry.at("/State/OOMKilled"), true);
}

#[test]
fn a_restart_policy_holds_for_every_runtime() {
    let Some(host) = host_with_runc() else { return };

    let flaky =
        host.run("--name flaky --runtime other --restart on-failure:2 busybox sh -c 'exit 9'");

    eventually("two restarts", || {
        let told = flaky.inspect();
        (told["RestartCount"] == 2 && told["State"]["Status"] == "exited").then_some(())
    });
    assert_eq!(flaky.exit_code(), 9);
}

#[test]
fn containers_of_another_runtime_outlive_the_daemon() {
    if !Host::is_wharf_or_skips("dockerd's containers end with it") {
        return;
    }
    let Some(host) = host_with_runc() else { return };
    let container =
        host.run("--name box --runtime other busybox sh -c 'trap \"exit 4\" TERM; while :; do sleep 0.1; done'");
    let pid = container.pid();

    host.kill_daemon();
    host.start_daemon();

    assert_eq!(container.pid(), pid);
    host.docker("exec box true").succeeds();
    host.docker("stop box").succeeds();
    assert_eq!(container.exit_code(), 4);
}

#[test]
fn nothing_is_left_of_a_killed_supervisor_s_container() {
    if !Host::is_wharf_or_skips("it is about our supervisors") {
        return;
    }
    let Some(host) = host_with_runc() else { return };
    let container = host.run("--name box --runtime other busybox sleep 1000");
    let first = container.pid();
    // The first is the one that the others are forked from.
    let shims = host.shims();

    for shim in &shims {
        let pid = Pid::from_raw(shim.cast_signed()).unwrap();
        if Path::new(&format!("/proc/{shim}/cwd/config.json")).exists() {
            kill_process(pid, Signal::KILL).unwrap();
        }
    }

    container.becomes("exited");
    assert_eq!(container.exit_code(), 137);
    eventually("the process's end", || {
        (!Path::new(&format!("/proc/{first}/root/bin")).exists()).then_some(())
    });
    host.docker("start box").succeeds();
}

#[test]
fn runtimes_are_listed_and_one_is_the_default() {
    let Some(runc) = program("runc") else { return Host::skips("runc is not installed") };
    let flags = format!("--add-runtime other={} --default-runtime other", runc.display());
    let host = Host::builder().flags(&flags).start();

    let info: serde_json::Value =
        serde_json::from_str(&host.answer("info --format '{{json .}}'")).unwrap();
    assert_eq!(info["DefaultRuntime"], "other");
    assert_eq!(info["Runtimes"]["other"]["path"], runc.to_str().unwrap());
    assert!(info["Runtimes"]["runc"].is_object(), "{info}");
    let container = host.create("busybox true");
    assert_eq!(container.at("/HostConfig/Runtime"), "other");
    host.docker(&format!("start --attach {}", container.id)).succeeds();
}

#[test]
fn runtimes_come_from_the_configuration_file_too() {
    if !Host::is_wharf_or_skips("a story's dockerd has a file of its own") {
        return;
    }
    let Some(runc) = program("runc") else { return Host::skips("runc is not installed") };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon.json");
    let text = format!(
        r#"{{"runtimes": {{"other": {{"path": "{}", "runtimeArgs": ["--debug"]}}}}}}"#,
        runc.display()
    );
    std::fs::write(&file, text).unwrap();
    let host = Host::builder().flags(&format!("--config-file {}", file.display())).start();

    host.docker("run --rm --runtime other busybox true").succeeds();
    let told = host.answer("info --format '{{json .Runtimes.other}}'");
    assert!(told.contains("--debug"), "{told}");
}

#[test]
fn runtimes_that_make_no_sense_keep_the_daemon_from_starting() {
    let host = Host::builder().bare().start();
    for (flags, words) in [
        ("--add-runtime x", "invalid runtime argument"),
        ("--add-runtime runc=/x", "runtime name 'runc' is reserved"),
        ("--default-runtime nope", "specified default runtime 'nope' does not exist"),
    ] {
        let mut command = host.bare_daemon_command();
        command.args(["--data-root", host.path("other").to_str().unwrap()]);
        command.args(["--exec-root", host.path("otherrun").to_str().unwrap()]);
        command.args(["--pidfile", host.path("otherpid").to_str().unwrap()]);
        command.arg("--host").arg(format!("unix://{}", host.path("s2").display()));
        let output = command.args(flags.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{flags}");
        assert!(said.contains(words), "{flags}: {said}");
    }
}

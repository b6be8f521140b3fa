//! What cannot die, and who does not answer: whoever waits for it hears so, and nobody else
//! notices.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stories::{Host, eventually};

const REASON: &str = "how long dockerd waits is its own affair";

/// How long any wait may take.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What nothing has to be waited for takes at most this long, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A frozen control group of version 1: a process in it does not notice that it is killed, as
/// one that waits for a dead disk.
struct Ice {
    folder: PathBuf,
}

impl Ice {
    /// Nothing, where there is no version 1.
    fn around(pid: u32) -> Option<Self> {
        let hierarchy = PathBuf::from("/sys/fs/cgroup/freezer");
        if !hierarchy.is_dir() {
            Host::skips("a process that cannot die: only version 1 has a freezer that does that");
            return None;
        }
        let ice = Self { folder: hierarchy.join(format!("story-ice-{pid}")) };
        fs::create_dir(&ice.folder).expect("root may make control groups");
        fs::write(ice.folder.join("cgroup.procs"), pid.to_string()).expect("root may move it");
        ice.set("FROZEN");
        Some(ice)
    }

    fn set(&self, state: &str) {
        fs::write(self.folder.join("freezer.state"), state).expect("root may freeze it");
    }
}

impl Drop for Ice {
    fn drop(&mut self) {
        self.set("THAWED");
        eventually("the ice to melt", || fs::remove_dir(&self.folder).ok());
    }
}

/// The children of a process's threads.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let words: Vec<String> = lists.collect();
    words.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
}

/// Does something that must not take longer than that.
#[track_caller]
fn within<T>(limit: Duration, what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    assert!(began.elapsed() < limit, "{what} took {:?}", began.elapsed());
    result
}

#[test]
fn a_process_that_cannot_die_holds_up_nobody_but_who_waits_for_it() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let stuck = host.run("--name stuck busybox sleep 1000");
    let Some(ice) = Ice::around(stuck.pid()) else { return };

    let began = Instant::now();
    let stop = host.spawn("stop --timeout 1 stuck");
    let kill = host.spawn("kill stuck");
    let removal = host.spawn("rm --force stuck");
    // Nobody else has to wait.
    within(AT_ONCE, "ps", || host.docker("ps --all").succeeds().stdout_has("stuck"));
    within(AT_ONCE, "inspect", || assert_eq!(stuck.status(), "running"));
    within(AT_ONCE, "another container", || {
        host.docker("run --name other busybox true").succeeds();
        host.docker("rm other").succeeds();
    });
    for client in [stop, kill, removal] {
        let outcome = client.finish();
        assert_ne!(outcome.status, 0, "{outcome}");
        outcome.stderr_has("state D");
    }
    assert!(began.elapsed() < WAIT_MAX, "{:?}", began.elapsed());
    within(AT_ONCE, "the daemon's end and start", || {
        host.stop_daemon();
        host.start_daemon();
    });
    assert_eq!(stuck.status(), "running");

    drop(ice);

    host.docker("rm --force stuck").succeeds();
}

#[test]
fn nobody_waits_for_ever_for_a_process_in_a_frozen_container() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let stuck = host.run("--name stuck --memory 100m busybox sleep 1000");
    let folder = stuck.pid();
    let cgroups = fs::read_to_string(format!("/proc/{folder}/cgroup")).unwrap();
    let unified = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let mounted = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let freeze = mounted.iter().map(|root| root.join(&unified[1..]).join("cgroup.freeze"));
    let Some(freeze) = freeze.into_iter().find(|file| file.exists()) else {
        return Host::skips("a frozen container: nothing freezes it here");
    };
    fs::write(&freeze, "1").unwrap();

    let exec = host.spawn("exec stuck true");
    within(AT_ONCE, "ps", || host.docker("ps --all").succeeds().stdout_has("stuck"));
    let outcome = within(WAIT_MAX, "the exec", || exec.finish());
    assert_ne!(outcome.status, 0, "{outcome}");
    // As with Docker, what the runtime says is the output.
    outcome.stdout_has("frozen");

    fs::write(&freeze, "0").unwrap();
    host.docker("exec stuck echo again").succeeds().prints("again\n");
}

#[test]
fn a_process_that_forks_supervisors_and_is_stopped_is_replaced() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let nursery = children(host.daemon_pid())[0];
    kill_process(Pid::from_raw(nursery.cast_signed()).unwrap(), Signal::STOP).unwrap();

    let outcome = within(WAIT_MAX, "the start", || host.docker("run --rm busybox true"));
    outcome.fails_with(125).stderr_has("silent for 10 s");
    host.docker("run --rm busybox true").succeeds();
}

#[test]
fn a_supervisor_that_does_not_answer_is_not_waited_for() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let container =
        host.run("--name mute busybox sh -c 'trap \"exit 4\" TERM; while :; do sleep 0.1; done'");
    let before = host.shims();
    let shim = *before.iter().max().unwrap();
    let shim = Pid::from_raw(shim.cast_signed()).unwrap();
    kill_process(shim, Signal::STOP).unwrap();

    within(AT_ONCE, "inspect", || assert_eq!(container.status(), "running"));
    let stop = host.spawn("stop mute");
    within(AT_ONCE, "ps", || host.docker("ps").succeeds().stdout_has("mute"));
    within(AT_ONCE, "another container", || {
        host.docker("run --rm busybox true").succeeds();
    });
    let outcome = within(WAIT_MAX, "stop", || stop.finish());
    assert_ne!(outcome.status, 0, "{outcome}");
    outcome.stderr_has("has not answered");
    within(AT_ONCE, "the next daemon's start", || {
        host.kill_daemon();
        host.start_daemon();
    });
    within(AT_ONCE, "inspect", || assert_eq!(container.status(), "running"));

    kill_process(shim, Signal::CONT).unwrap();

    // The stop that nobody waits for any more is in its socket: it may come to pass now.
    eventually("the container's end", || {
        host.docker("stop mute").succeeds();
        (container.status() == "exited").then_some(())
    });
    assert_eq!(container.exit_code(), 4);
}

//! What survives: `kill -9` of the daemon, of a supervisor, of everything at once.

use rustix::process::{Pid, Signal, kill_process};
use stories::{Client, Fault, Host, eventually};

const REASON: &str = "dockerd takes its containers down, or needs live-restore";

/// Writes a growing number every 10 ms.
const COUNTER: &str = "sh -c 'n=0; while :; do n=$((n + 1)); echo $n; sleep 0.01; done'";

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("no process has the number 0");
    kill_process(pid, Signal::KILL).expect("it is running");
}

#[test]
fn a_container_outlives_its_daemon() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let container = host.run(&format!("--name web busybox {COUNTER}"));
    container.logs_eventually("\n3\n");
    let pid = container.pid();
    let file = container.at("/LogPath");
    let lines = || std::fs::read_to_string(file.as_str().unwrap()).unwrap().lines().count();

    host.kill_daemon();
    let before = lines();
    // It goes on while nobody is there to watch.
    eventually("the log to grow", || (lines() > before + 5).then_some(()));
    host.start_daemon();

    assert_eq!(container.status(), "running");
    assert_eq!(container.pid(), pid);
    let log = container.log();
    let numbers: Vec<u64> = log.lines().map(|line| line.parse().unwrap()).collect();
    let count = u64::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "a gap in the log");
}

#[test]
fn everything_works_on_a_container_that_was_taken_over() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let web = "busybox httpd -f -h /var/www";
    let container = host.run(&format!("--name web --publish 8080:80 {web}"));
    let talker = host.run(&format!("--name talker busybox {COUNTER}"));
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");

    host.kill_daemon();
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    host.start_daemon();

    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    assert_eq!(container.published(80), "0.0.0.0:8080");
    container.exec("echo inside").succeeds().prints("inside\n");
    host.docker("top web").succeeds().stdout_has("httpd");
    let following = host.spawn("logs --follow --tail 1 talker");
    following.shows("\n");
    let attached = host.spawn("attach --no-stdin talker");
    attached.shows("\n");
    host.docker("pause talker").succeeds();
    host.docker("unpause talker").succeeds();
    host.docker("stop --timeout 1 web talker").succeeds();
    following.finish().succeeds();
    attached.finish().fails_with(137);
    assert_eq!(talker.exit_code(), 137);
    // Its port and address are free again.
    host.run(&format!("--publish 8080:80 {web}"));
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
}

#[test]
fn an_exit_that_no_daemon_saw_is_told_by_the_next() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let go = host.folder("go", &[]);
    let script = "while ! [ -e /go/now ]; do sleep 0.01; done; echo last words; exit 42";
    let container = host.run(&format!("--name web -v {go}:/go busybox sh -c '{script}'"));
    let pid = container.pid();

    host.kill_daemon();
    std::fs::write(format!("{go}/now"), "").unwrap();
    eventually("the process to end", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    host.start_daemon();

    assert_eq!(container.wait(), 42);
    assert_eq!(container.status(), "exited");
    assert_eq!(container.log(), "last words\n");
    host.docker("start web").succeeds();
}

#[test]
fn restarts_go_on_without_a_daemon() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let folder = host.folder("shared", &[]);
    let script = "echo start >> /shared/starts; sleep 0.1; exit 1";
    let container =
        host.run(&format!("--restart always -v {folder}:/shared busybox sh -c '{script}'"));
    let starts =
        || std::fs::read_to_string(format!("{folder}/starts")).unwrap_or_default().lines().count();
    eventually("the first restart", || (starts() >= 2).then_some(()));

    host.kill_daemon();
    let before = starts();
    eventually("a restart without a daemon", || (starts() > before).then_some(()));
    host.start_daemon();

    let count = container.at("/RestartCount").as_u64().unwrap();
    assert!(count >= before as u64, "{count} restarts, {before} before");
    host.docker(&format!("stop -t 0 {}", container.id)).succeeds();
    let after = starts();
    container.becomes("exited");
    assert_eq!(starts(), after);
}

#[test]
fn a_restart_keeps_the_network_even_without_a_daemon() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let go = host.folder("go", &[]);
    let wait = "while ! [ -e /go/now ]; do sleep 0.01; done; rm /go/now";
    let script = format!("echo start >> /go/starts; httpd -h /var/www; {wait}; exit 1");
    let flags = format!("--restart always --publish 8080:80 -v {go}:/go");
    let container = host.run(&format!("{flags} busybox sh -c '{script}'"));
    let pid = container.pid();
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let before = namespace(pid);
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");

    host.kill_daemon();
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    std::fs::write(format!("{go}/now"), "").unwrap();
    eventually("another run", || {
        let starts = std::fs::read_to_string(format!("{go}/starts")).unwrap();
        (starts.lines().count() == 2).then_some(())
    });
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    host.start_daemon();

    assert_ne!(container.pid(), pid);
    assert_eq!(namespace(container.pid()), before);
    assert_eq!(container.published(80), "0.0.0.0:8080");
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    container.remove_by_force();
    assert!(host.refuses("127.0.0.1:8080"));
}

#[test]
fn a_removal_that_was_wished_for_at_the_start_happens_after_all() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let go = host.folder("go", &[]);
    let script = "while ! [ -e /go/now ]; do sleep 0.01; done";
    let container = host.run(&format!("--rm --name web -v {go}:/go busybox sh -c '{script}'"));
    let pid = container.pid();

    host.kill_daemon();
    std::fs::write(format!("{go}/now"), "").unwrap();
    eventually("the process to end", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    host.start_daemon();

    eventually("the container to be gone", || {
        (host.answer("ps --all --quiet").is_empty()).then_some(())
    });
}

#[test]
fn a_run_in_the_foreground_outlives_the_daemon() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let mut client = host.spawn("run --interactive --name web busybox cat");
    client.types("before\n").shows("before\n");

    host.kill_daemon();
    client.types("after\n").shows("after\n");
    client.ends_input();
    host.start_daemon();

    host.container("web").becomes("exited");
    assert_eq!(host.container("web").exit_code(), 0);
}

#[test]
fn a_run_in_the_foreground_hears_its_exit_code_from_the_next_daemon() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    if std::env::var("CLIENT").is_ok_and(|client| client == "docker") {
        return Host::skips("the stock client does not ask the next daemon");
    }
    let host = Host::start();
    let mut client = host.spawn("run --interactive --name web busybox sh -c 'read line; exit 3'");
    eventually("its start", || (!host.answer("ps --quiet").is_empty()).then_some(()));
    let attached = host.spawn("attach --no-stdin web");
    // The client of `run` is attached as well.
    let attachments = || host.events("").matches(" attach ").count();
    eventually("both attachments", || (attachments() == 2).then_some(()));

    host.kill_daemon();
    client.types("go on\n");
    client.ends_input();
    host.start_daemon();

    client.finish().fails_with(3);
    attached.finish().fails_with(3);
}

#[test]
fn a_run_in_the_foreground_can_be_left_when_no_daemon_answers() {
    if !Host::is_wharf_or_skips(REASON) || !Host::has_own_client_or_skips() {
        return;
    }
    let host = Host::start();
    let client = host.spawn("run --name web busybox sh -c 'echo here; exec sleep 1000'");
    client.shows("here\n");

    host.kill_daemon();
    client.signal(Signal::INT);
    client.complains_of("Another signal ends this client alone");
    client.signal(Signal::INT);
    client.finish().fails_with(130);

    host.start_daemon();
    assert_eq!(host.container("web").status(), "running");
}

#[test]
fn a_container_whose_supervisor_is_killed_is_dead_with_a_reason() {
    if !Host::is_wharf_or_skips("dockerd has no supervisor of its own") {
        return;
    }
    let host = Host::start();
    let container = host.run("--name web --publish 8080:80 busybox sleep 1000");
    let other = host.run("--name other busybox sleep 1000");
    let pid = container.pid();
    let shims = host.shims();
    let shim = shims.iter().find(|&&shim| is_parent(shim, pid)).expect("a supervisor");

    kill(*shim);

    eventually("the container to be known as ended", || {
        (container.status() != "running").then_some(())
    });
    let state = container.at("/State");
    assert_ne!(state["ExitCode"], 0, "{state}");
    assert_ne!(state["Error"], "", "{state}");
    eventually("the process to be gone", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    assert_eq!(other.status(), "running");
    host.docker("start web").succeeds();
    assert_eq!(container.status(), "running");
}

#[test]
fn a_supervisor_and_the_daemon_may_both_be_killed() {
    if !Host::is_wharf_or_skips("dockerd has no supervisor of its own") {
        return;
    }
    let host = Host::start();
    let container = host.run("--name web --publish 8080:80 busybox sleep 1000");
    let shims = host.shims();

    host.kill_daemon();
    for shim in shims {
        kill(shim);
    }
    host.start_daemon();

    eventually("the container to be known as ended", || {
        (container.status() != "running").then_some(())
    });
    host.docker("start web").succeeds();
    host.docker("rm --force web").succeeds();
}

#[test]
fn killed_at_any_moment_of_a_run_the_daemon_comes_back_clean() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();

    // From before the request arrives to after the container runs.
    for delay_ms in [0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 22, 30] {
        let client = host.spawn("run --detach --publish 8080:80 busybox sleep 1000");
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        host.kill_daemon();
        host.start_daemon();
        client.kill();

        let left = host.answer("ps --all --quiet");
        for id in left.lines() {
            host.docker(&format!("rm --force {id}")).succeeds();
        }
        // The port, the address and the name are free: the same can be had again.
        let again = host.run("--name same --publish 8080:80 busybox httpd -f -h /var/www");
        assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
        again.remove_by_force();
    }
}

#[test]
fn killed_at_any_moment_of_a_removal_the_daemon_finishes_it() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();

    for delay_ms in [0, 1, 2, 3, 5, 8, 12, 20] {
        host.run("--name web --publish 8080:80 busybox sleep 1000");
        let client = host.spawn("rm --force web");
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        host.kill_daemon();
        host.start_daemon();
        client.kill();

        host.docker("rm --force web").succeeds();
        host.docker("ps --all --quiet").succeeds().prints("");
    }
}

#[test]
fn a_clean_stop_of_the_daemon_leaves_containers_running() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let pid = container.pid();

    host.stop_daemon();
    assert!(
        !host.socket().exists() || std::os::unix::net::UnixStream::connect(host.socket()).is_err()
    );
    host.start_daemon();

    assert_eq!(container.pid(), pid);
    assert_eq!(container.status(), "running");
}

#[test]
fn images_and_volumes_survive() {
    if !Host::is_wharf_or_skips("a stock dockerd is not killed for this") {
        return;
    }
    let host = Host::start();
    host.docker("tag busybox other:1").succeeds();
    host.docker("run --rm -v data:/data busybox sh -c 'echo kept > /data/file'").succeeds();
    let stopped = host.run("--name stopped busybox sh -c 'exit 5'");
    stopped.wait();

    host.kill_daemon();
    host.start_daemon();

    host.docker("run --rm -v data:/data other:1 cat /data/file").succeeds().prints("kept\n");
    assert_eq!(stopped.exit_code(), 5);
    assert_eq!(host.answer("ps --all --quiet").lines().count(), 1);
}

/// Whether `parent` is the parent of the process `child`.
fn is_parent(parent: u32, child: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
    status.lines().any(|line| line == format!("PPid:\t{parent}"))
}

/// How long a start hangs in its supervisor: longer than a daemon that starts waits for it,
const A_WHILE: u64 = 5_000;

/// or than anybody does.
const FOR_EVER: u64 = 1_000_000;

const SAYS_SO: &str = "--volume /data busybox sh -c 'echo ran; exec sleep 1000'";

/// A container `web` whose start hangs in its supervisor while the daemon is killed, and the
/// client that has asked for it. Nothing in programs that were built for a release.
fn with_a_start_under_way(what: &str, millis: u64) -> Option<(Host, u32, Client)> {
    let host = Host::with_fail_points_or_skips()?;
    host.docker("volume create --opt type=tmpfs --opt device=tmpfs memory").succeeds();
    host.create(&format!("--name web {what}"));
    host.fail_points().arm("start.log", Fault::Delay(millis));
    let starting = host.spawn("start web");
    let shim = host.fail_points().await_fired("start.log");
    host.kill_daemon();
    host.start_daemon();
    Some((host, shim, starting))
}

#[test]
fn a_start_under_way_goes_on_without_its_daemon() {
    let Some((host, _, starting)) = with_a_start_under_way(SAYS_SO, A_WHILE) else { return };
    let container = host.container("web");
    assert_eq!(container.status(), "created", "nobody knows yet whether it will run");
    // It waits for what comes of the other one.
    host.docker("start web").succeeds();
    assert_eq!(container.status(), "running");
    container.logs_eventually("ran");
    assert_eq!(host.events("--filter event=start --format '{{.Action}}'"), "start");
    container.exec("true").succeeds();
    starting.finish();
    host.docker("rm --force --volumes web").succeeds();
}

#[test]
fn a_container_whose_start_is_under_way_can_be_removed_by_force() {
    let Some((host, _, starting)) = with_a_start_under_way(SAYS_SO, FOR_EVER) else { return };
    host.docker("rm --force --volumes web").succeeds();
    assert_eq!(host.answer("ps --all --quiet"), "");
    starting.finish();
}

#[test]
fn a_start_whose_supervisor_and_daemon_die_has_not_been() {
    let Some((host, shim, starting)) = with_a_start_under_way(SAYS_SO, A_WHILE) else { return };
    kill(shim);
    let container = host.container("web");
    host.docker("stop web").succeeds();
    assert_eq!(container.status(), "created");
    host.docker("start web").succeeds();
    container.logs_eventually("ran");
    assert_eq!(container.log(), "ran\n");
    assert_eq!(host.events("--filter event=die --format '{{.Action}}'"), "");
    starting.finish();
    host.docker("rm --force --volumes web").succeeds();
}

#[test]
fn a_start_that_fails_without_its_daemon_is_no_run() {
    let Some((host, _, starting)) = with_a_start_under_way("busybox /nosuch", A_WHILE) else {
        return;
    };
    let container = host.container("web");
    host.docker("stop web").succeeds();
    assert_eq!(container.status(), "created");
    assert_eq!(container.exit_code(), 127);
    assert!(container.at("/State/Error").as_str().unwrap().contains("/nosuch"));
    for event in ["start", "die", "connect", "disconnect"] {
        assert_eq!(host.events(&format!("--filter event={event}")), "", "{event}");
    }
    starting.finish();
    host.docker("rm web").succeeds();
}

#[test]
fn the_volume_of_a_container_that_is_being_started_stays_mounted() {
    let what = "--volume memory:/data busybox sh -c 'echo kept > /data/file; exec sleep 1000'";
    let Some((host, _, starting)) = with_a_start_under_way(what, A_WHILE) else { return };
    host.docker("start web").succeeds();
    host.container("web").exec("stat -f -c %T /data").succeeds().prints("tmpfs\n");
    host.docker("run --rm --volume memory:/data busybox cat /data/file").prints("kept\n");
    starting.finish();
    host.docker("rm --force web").succeeds();
    host.docker("volume rm memory").succeeds();
}

#[test]
fn who_joins_a_container_that_is_being_started_waits_for_it() {
    let Some((host, _, starting)) = with_a_start_under_way(SAYS_SO, A_WHILE) else { return };
    host.docker("run --rm --network container:web busybox true").succeeds();
    starting.finish();
    host.docker("rm --force --volumes web").succeeds();
}

#[test]
fn a_container_that_hangs_at_its_start_does_not_keep_the_daemon_from_answering() {
    let Some(host) = Host::with_fail_points_or_skips() else { return };
    host.run("--name hanging --restart always busybox sleep 1000");
    host.run("--name web --restart always busybox sleep 1000");
    host.stop_daemon();
    host.shims().into_iter().for_each(kill);
    eventually("the supervisors' end", || host.shims().is_empty().then_some(()));
    host.fail_points().arm("start.supervised", Fault::Delay(FOR_EVER));

    host.start_daemon();
    let states = || {
        let status = |name| host.container(name).status();
        [status("hanging"), status("web")]
    };
    eventually("one of them to run", || states().contains(&"running".to_owned()).then_some(()));
    assert!(states().contains(&"exited".to_owned()), "the other one hangs");
    host.shims().into_iter().for_each(kill);
}

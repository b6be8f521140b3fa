//! What a container may do next: create, start, stop, kill, pause, rename, remove.

use stories::Host;

/// Ends by itself on SIGTERM, with a status that tells so.
const POLITE: &str = "sh -c 'trap \"exit 7\" TERM; echo ready; while :; do sleep 0.01; done'";

#[test]
fn created_is_not_started() {
    let host = Host::start();

    let container = host.create("busybox sh -c 'echo hello; exit 3'");
    assert_eq!(container.status(), "created");

    host.docker(&format!("start {}", container.id))
        .succeeds()
        .prints(&format!("{}\n", container.id));
    assert_eq!(container.wait(), 3);
    assert_eq!(container.status(), "exited");
    assert_eq!(container.log(), "hello\n");
}

#[test]
fn start_can_show_the_output_and_pass_the_status_on() {
    let host = Host::start();
    let container = host.create("--name web busybox sh -c 'echo hello; exit 3'");

    host.docker("start --attach web").fails_with(3).prints("hello\n");

    assert_eq!(container.exit_code(), 3);
}

#[test]
fn starting_twice_changes_nothing() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let pid = container.pid();

    host.docker("start web").succeeds().prints("web\n");

    assert_eq!(container.pid(), pid);
}

#[test]
fn stop_asks_first() {
    let host = Host::start();
    let container = host.run(&format!("--name web busybox {POLITE}"));
    container.logs_eventually("ready");

    host.docker("stop web").succeeds().prints("web\n");

    assert_eq!(container.status(), "exited");
    assert_eq!(container.exit_code(), 7);
}

#[test]
fn stop_kills_who_does_not_listen() {
    let host = Host::start();
    let container = host.run("busybox sh -c 'trap \"\" TERM; echo ready; exec sleep 1000'");
    container.logs_eventually("ready");

    host.docker(&format!("stop --timeout 1 {}", container.id)).succeeds();

    assert_eq!(container.exit_code(), 137);
}

#[test]
fn the_signal_and_the_grace_to_stop_can_be_chosen() {
    let host = Host::start();
    let script = "trap \"exit 5\" INT; echo ready; while :; do sleep 0.01; done";
    let container =
        host.run(&format!("--stop-signal INT --stop-timeout 30 busybox sh -c '{script}'"));
    container.logs_eventually("ready");

    host.docker(&format!("stop {}", container.id)).succeeds();

    assert_eq!(container.exit_code(), 5);
    assert_eq!(container.at("/Config/StopSignal"), "INT");
    assert_eq!(container.at("/Config/StopTimeout"), 30);
}

#[test]
fn stopping_what_has_stopped_is_no_error() {
    let host = Host::start();
    let container = host.run("--name web busybox true");
    container.wait();

    host.docker("stop web").succeeds().prints("web\n");
    host.create("--name never busybox true");
    host.docker("stop never").succeeds();
}

#[test]
fn restart_makes_a_new_process_of_the_same_container() {
    let host = Host::start();
    let container = host.run("--name web busybox sh -c 'echo once >> /log; exec sleep 1000'");
    let pid = container.pid();

    host.docker("restart --timeout 0 web").succeeds().prints("web\n");

    assert_eq!(container.status(), "running");
    assert_ne!(container.pid(), pid);
    container.exec("cat /log").prints("once\nonce\n");
}

#[test]
fn kill_sends_any_signal_by_name_or_number() {
    let host = Host::start();
    let script = "trap \"echo one\" USR1; trap \"echo two\" USR2; trap \"exit 8\" HUP; \
                  echo ready; while :; do sleep 0.01; done";
    let container = host.run(&format!("--name web busybox sh -c '{script}'"));
    container.logs_eventually("ready");

    host.docker("kill --signal USR1 web").succeeds().prints("web\n");
    container.logs_eventually("one\n");
    host.docker("kill --signal 12 web").succeeds();
    container.logs_eventually("two\n");
    host.docker("kill --signal SIGHUP web").succeeds();

    assert_eq!(container.wait(), 8);
}

#[test]
fn kill_kills_by_default_and_only_what_runs() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");

    host.docker("kill web").succeeds();
    assert_eq!(container.wait(), 137);

    host.docker("kill web").fails_with(1).stderr_has("is not running");
    host.docker("kill --signal NOPE web").fails_with(1).stderr_says("invalid signal: NOPE");
}

#[test]
fn a_paused_container_stands_still() {
    let host = Host::start();
    let ticks = "busybox sh -c 'while :; do echo tick; sleep 0.01; done'";
    let container = host.run(&format!("--name web {ticks}"));
    let clock = host.run(&format!("--name clock {ticks}"));
    let ticks_on = || {
        let before = clock.log().len();
        stories::eventually("the clock to tick", || {
            (clock.log().len() > before + 10 * "tick\n".len()).then_some(())
        });
    };
    container.logs_eventually("tick");

    host.docker("pause web").succeeds().prints("web\n");
    assert_eq!(container.status(), "paused");
    assert_eq!(container.at("/State/Paused"), true);
    assert_eq!(container.at("/State/Running"), true);
    // What it wrote before that is read by then.
    ticks_on();
    let before = container.log();
    ticks_on();
    assert_eq!(container.log(), before);

    host.docker("pause web").fails_with(1).stderr_has("is already paused");
    host.docker("exec web true").fails_with(1).stderr_has("is paused");
    host.docker("start web").fails_with(1).stderr_says("cannot start a paused container");

    host.docker("unpause web").succeeds().prints("web\n");
    assert_eq!(container.status(), "running");
    host.docker("unpause web").fails_with(1).stderr_has("is not paused");
}

#[test]
fn a_paused_container_can_be_stopped() {
    let host = Host::start();
    let container = host.run(&format!("--name web busybox {POLITE}"));
    container.logs_eventually("ready");
    host.docker("pause web").succeeds();

    host.docker("stop --timeout 30 web").succeeds();

    assert_eq!(container.status(), "exited");
    assert_eq!(container.exit_code(), 7);
}

#[test]
fn a_paused_container_wakes_up_to_a_signal_unless_it_named_the_one_that_stops_it() {
    let host = Host::start();
    let plain = host.run("--name plain busybox sleep 1000");
    let choosy = host.run("--name choosy --stop-signal TERM busybox sleep 1000");
    host.docker("pause plain choosy").succeeds();

    host.docker("kill --signal WINCH plain choosy").succeeds();

    plain.becomes("running");
    assert_eq!(choosy.status(), "paused");
}

#[test]
fn wait_tells_the_statuses_in_order() {
    let host = Host::start();
    host.run("--name one busybox sh -c 'sleep 0.2; exit 11'");
    host.run("--name two busybox sh -c 'exit 22'");

    host.docker("wait one two").succeeds().prints("11\n22\n");
    host.docker("wait one").succeeds().prints("11\n");
}

#[test]
fn rename_frees_the_old_name() {
    let host = Host::start();
    let container = host.run("--name old busybox sleep 1000");

    host.docker("rename old new").succeeds().prints("");

    assert_eq!(container.at("/Name"), "/new");
    host.create("--name old busybox");
    host.docker("rename new old").fails_with(1).stderr_has("is already in use by container");
    host.docker("rename new new")
        .fails_with(1)
        .stderr_says("renaming a container with the same name as its current name");
}

#[test]
fn a_running_container_is_removed_only_by_force() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");

    host.docker("rm web")
        .fails_with(1)
        .stderr_has("container is running: stop the container before removing or force remove");
    assert_eq!(container.status(), "running");

    host.docker("rm --force web").succeeds().prints("web\n");
    host.docker("inspect web").fails_with(1);
}

#[test]
fn a_paused_container_is_removed_only_by_force() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    host.docker("pause web").succeeds();

    host.docker("rm web")
        .fails_with(1)
        .stderr_has("container is paused and must be unpaused first");
    host.docker("rm -f web").succeeds();
}

#[test]
fn rm_names_each_it_removes_and_goes_on_after_an_error() {
    let host = Host::start();
    host.create("--name one busybox");
    host.create("--name two busybox");

    host.docker("rm one nope two")
        .fails_with(1)
        .prints("one\ntwo\n")
        .stderr_has("No such container: nope");
    host.docker("rm -f nope").succeeds().stderr_has("No such container: nope");
}

#[test]
fn prune_removes_what_has_stopped() {
    let host = Host::start();
    let running = host.run("--name running busybox sleep 1000");
    let exited = host.run("--name exited busybox true");
    let labelled = host.run("--name labelled --label keep busybox true");
    exited.wait();
    labelled.wait();

    let outcome = host.docker("container prune --force --filter label!=keep").succeeds();
    outcome
        .stdout_has("Deleted Containers:\n")
        .stdout_has(&exited.id)
        .stdout_lacks(&labelled.id)
        .stdout_has("Total reclaimed space: ");

    host.docker("container prune --force").succeeds().stdout_has(&labelled.id);
    assert_eq!(running.status(), "running");
}

#[test]
fn a_container_is_found_by_any_part_of_its_id_that_is_unique() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");

    for name in [&container.id[..4], &container.id[..12], "web", "/web"] {
        host.docker(&format!("inspect --format {{{{.Id}}}} {name}"))
            .succeeds()
            .prints(&format!("{}\n", container.id));
    }
    host.docker("inspect nope").fails_with(1).prints("[]\n").stderr_says("no such object: nope");
    host.docker("stop nope").fails_with(1).stderr_has("No such container: nope");
}

#[test]
fn the_long_spelling_does_the_same() {
    let host = Host::start();

    let id = host.answer("container create --name web busybox sleep 1000");
    host.docker("container start web").succeeds().prints("web\n");
    host.docker("container ls --quiet --no-trunc").succeeds().prints(&format!("{id}\n"));
    host.docker("container kill web").succeeds();
    host.docker("container wait web").succeeds().prints("137\n");
    host.docker("container remove web").succeeds().prints("web\n");
    host.docker("container list -a -q").succeeds().prints("");
}

#[test]
fn removal_by_itself_comes_with_a_status() {
    let host = Host::start();

    let container = host.run("--rm --name web busybox sh -c 'sleep 0.3; exit 4'");

    assert_eq!(container.wait(), 4);
    stories::eventually("the container to be gone", || {
        (host.docker("inspect web").status == 1).then_some(())
    });
    host.docker("create --name web busybox").succeeds();
}

#[test]
fn one_that_does_not_stop_does_not_hold_up_the_others() {
    let host = Host::start();
    host.run("--name deaf busybox sh -c 'trap \"\" TERM; echo ready; exec sleep 1000'");
    host.container("deaf").logs_eventually("ready");
    host.run("--name web busybox sleep 1000");
    let mut stopping = host.spawn("stop --timeout 1000 deaf");

    host.docker("ps --quiet").succeeds();
    host.docker("inspect deaf").succeeds();
    host.docker("kill web").succeeds();
    assert!(!stopping.is_over());
    assert_eq!(host.container("deaf").status(), "running");

    host.docker("kill deaf").succeeds();
    stopping.finish().succeeds();
}

#[test]
fn the_states_times_and_codes_are_told() {
    let host = Host::start();
    let container = host.create("busybox sh -c 'exit 3'");
    assert_eq!(container.at("/State/StartedAt"), "0001-01-01T00:00:00Z");

    host.docker(&format!("start {}", container.id)).succeeds();
    container.wait();

    let state = container.at("/State");
    assert_eq!(state["Running"], false);
    assert_eq!(state["ExitCode"], 3);
    assert_eq!(state["Pid"], 0);
    assert_eq!(state["OOMKilled"], false);
    assert_eq!(state["Error"], "");
    let started = state["StartedAt"].as_str().unwrap();
    let finished = state["FinishedAt"].as_str().unwrap();
    assert!(started < finished && started > "2024", "{state}");
}

//! `logs`: what a container wrote, later and while it writes.

use stories::Host;

#[test]
fn both_streams_are_kept_apart() {
    let host = Host::start();
    let container = host.run("busybox sh -c 'echo out; echo err >&2'");
    container.wait();

    host.docker(&format!("logs {}", container.id)).succeeds().prints("out\n").complains("err\n");
}

#[test]
fn the_tail_is_as_long_as_asked() {
    let host = Host::start();
    host.run("--name web busybox seq 1 1000").wait();

    host.docker("logs --tail 3 web").succeeds().prints("998\n999\n1000\n");
    host.docker("logs -n 0 web").succeeds().prints("");
    assert_eq!(host.docker("logs --tail all web").succeeds().lines().len(), 1000);
    assert_eq!(host.docker("logs --tail 5000 web").succeeds().lines().len(), 1000);
}

#[test]
fn lines_may_end_late_or_never() {
    let host = Host::start();
    host.run("--name web busybox printf 'a\\n\\nno end'").wait();

    host.docker("logs web").succeeds().prints("a\n\nno end");
}

#[test]
fn a_very_long_line_comes_whole() {
    let host = Host::start();
    let script = "head -c 100000 /dev/zero | tr \"\\\\0\" x; echo";
    host.run(&format!("--name web busybox sh -c '{script}'")).wait();

    let log = host.docker("logs web").succeeds();

    assert_eq!(log.stdout.len(), 100_001);
    assert_eq!(log.lines().len(), 1);
}

#[test]
fn times_are_told_and_chosen_by() {
    let host = Host::start();
    let container = host.run("--name web busybox sh -c 'echo one; sleep 1.2; echo two'");
    container.wait();

    let stamped = host.docker("logs --timestamps web").succeeds();
    let (time_of_one, one) = stamped.lines()[0].split_once(' ').unwrap();
    let (time_of_two, two) = stamped.lines()[1].split_once(' ').unwrap();
    assert_eq!([one, two], ["one", "two"]);
    // 2026-11-20T10:00:00.123456789Z
    assert!(time_of_one.len() == 30 && time_of_one.ends_with('Z'), "{time_of_one}");

    host.docker(&format!("logs --since {time_of_two} web")).succeeds().prints("two\n");
    host.docker(&format!("logs --until {time_of_one} web")).succeeds().prints("one\n");
    host.docker("logs --since 1h web").succeeds().prints("one\ntwo\n");
    host.docker("logs --until 1h web").succeeds().prints("");
}

#[test]
fn following_shows_lines_as_they_come_and_ends_with_the_container() {
    let host = Host::start();
    let script = "echo one; while ! [ -e /go ]; do sleep 0.01; done; echo two";
    let container = host.run(&format!("--name web busybox sh -c '{script}'"));

    let following = host.spawn("logs --follow web");
    following.shows("one\n");
    container.touch("/go");

    following.finish().succeeds().prints("one\ntwo\n");
}

#[test]
fn following_can_start_at_the_end() {
    let host = Host::start();
    let script = "seq 1 100; while ! [ -e /go ]; do sleep 0.01; done; echo last";
    let container = host.run(&format!("--name web busybox sh -c '{script}'"));
    container.logs_eventually("100\n");

    let following = host.spawn("logs --follow --tail 2 web");
    following.shows("99\n100\n");
    container.touch("/go");

    following.finish().succeeds().prints("99\n100\nlast\n");
}

#[test]
fn a_log_goes_on_over_a_restart() {
    let host = Host::start();
    let container = host.create("--name web busybox echo again");

    host.docker("start web").succeeds();
    container.wait();
    host.docker("start web").succeeds();
    container.wait();

    host.docker("logs web").succeeds().prints("again\nagain\n");
}

#[test]
fn a_terminal_s_log_is_one_stream() {
    let host = Host::start();
    host.run("--tty --name web busybox sh -c 'echo out; echo err >&2'").wait();

    host.docker("logs web").succeeds().prints("out\r\nerr\r\n").complains("");
}

#[test]
fn details_are_the_labels_and_variables_that_were_named() {
    let host = Host::start();
    host.run("--name web --label tier=front --log-opt labels=tier busybox echo hi").wait();

    host.docker("logs --details web").succeeds().prints("tier=front hi\n");
}

#[test]
fn old_lines_go_when_a_log_is_full() {
    let host = Host::start();
    let options = "--log-driver json-file --log-opt max-size=20k --log-opt max-file=2";
    host.run(&format!("--name web {options} busybox seq 1 5000")).wait();

    let log = host.docker("logs web").succeeds();

    assert!(log.stdout.ends_with("4999\n5000\n"));
    assert!(log.lines().len() < 3000, "{} lines", log.lines().len());
}

#[test]
fn no_log_is_kept_when_none_is_wanted() {
    let host = Host::start();
    host.run("--name web --log-driver none busybox echo hi").wait();

    host.docker("logs web")
        .fails_with(1)
        .stderr_has("configured logging driver does not support reading");
    host.docker("run --rm --log-driver none busybox echo hi").succeeds().prints("hi\n");
}

#[test]
fn an_unknown_driver_is_refused() {
    let host = Host::start();

    host.docker("create --log-driver nope busybox").fails_with(1).stderr_has("nope");
    host.docker("create --log-opt nope=1 busybox").fails_with(1).stderr_has("nope");
}

#[test]
fn the_log_is_docker_s_json_file() {
    let host = Host::start();
    let container = host.run("busybox echo hi");
    container.wait();

    let path = container.at("/LogPath");
    let text = std::fs::read_to_string(path.as_str().unwrap()).unwrap();

    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["log"], "hi\n");
    assert_eq!(line["stream"], "stdout");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

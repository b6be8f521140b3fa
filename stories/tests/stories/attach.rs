//! `attach` and `-it`: sitting in front of a container.

use rustix::process::Signal;
use stories::{Host, eventually};

#[test]
fn a_shell_in_a_terminal() {
    let host = Host::start();

    let mut shell = host.terminal("run --rm -it busybox sh");
    shell.shows("# ");
    shell.types("echo $((6 * 7)); tty\r").shows("42\r\n/dev/pts/0\r\n");
    shell.types("exit 5\r");

    assert_eq!(shell.finish(), 5);
}

#[test]
fn the_window_s_size_is_the_container_s_from_the_start_and_after_a_pull() {
    let host = Host::start();

    let mut shell = host.terminal("run --rm -it busybox sh");
    shell.shows("# ");
    eventually("the first size", || {
        shell.types("stty size\r");
        shell.screen().contains("24 80").then_some(())
    });
    shell.resizes(50, 132);
    eventually("the new size", || {
        shell.types("stty size\r");
        shell.screen().contains("50 132").then_some(())
    });
    shell.types("exit\r");

    assert_eq!(shell.finish(), 0);
}

#[test]
fn control_keys_go_to_the_process() {
    let host = Host::start();

    let mut client = host.terminal("run --rm -it busybox sh -c 'echo ready; sleep 1000; exit 1'");
    client.shows("ready");
    client.types("\x03");

    // Ctrl-C reaches the whole foreground group: `sleep` and the shell.
    let status = client.finish();
    assert!(status == 130 || status == 1, "{status}");
}

#[test]
fn the_detach_keys_leave_it_running() {
    let host = Host::start();

    let mut client = host.terminal("run -it --name web busybox sh");
    client.shows("# ");
    client.types("\x10\x11");
    assert_eq!(client.finish(), 0);
    assert_eq!(host.container("web").status(), "running");

    let mut again = host.terminal("attach --detach-keys ctrl-a,d web");
    again.types("echo back\r").shows("back\r\n");
    again.types("\x01d");
    again.finish();
    assert_eq!(host.container("web").status(), "running");
}

#[test]
fn attach_shows_what_comes_and_passes_on_what_is_typed() {
    let host = Host::start();
    host.run("--interactive --name web busybox sh -c 'read line; echo got $line; exit 6'");

    let mut client = host.spawn("attach web");
    client.types("a word\n");

    client.shows("got a word\n");
    client.finish().fails_with(6);
}

#[test]
fn several_may_look_at_once() {
    let host = Host::start();
    let script = "while ! [ -e /go ]; do sleep 0.01; done; echo hello; exit 2";
    let container = host.run(&format!("--name web busybox sh -c '{script}'"));

    let one = host.spawn("attach --no-stdin web");
    let two = host.spawn("attach --no-stdin web");
    // Nothing tells when a client has been attached but what it shows, so the word comes
    // only when the daemon counts them both.
    eventually("two that look", || {
        container.exec("touch /looked").succeeds();
        let attached = host.events("--filter event=attach");
        (attached.lines().count() == 2).then_some(())
    });
    container.touch("/go");

    one.finish().fails_with(2).prints("hello\n");
    two.finish().fails_with(2).prints("hello\n");
}

#[test]
fn signals_are_passed_on_unless_unwanted() {
    let host = Host::start();
    let script = "trap \"echo term; exit 9\" TERM; echo ready; while :; do sleep 0.01; done";
    host.run(&format!("--name web busybox sh -c '{script}'"));
    host.container("web").logs_eventually("ready");

    let unwanted = host.spawn("attach --sig-proxy=false web");
    eventually("it to be attached", || {
        let attached = host.events("--filter event=attach");
        (attached.lines().count() == 1).then_some(())
    });
    unwanted.signal(Signal::TERM);
    host.docker("exec web true").succeeds();
    assert_eq!(host.container("web").log(), "ready\n");

    let client = host.spawn("attach web");
    eventually("it to be attached", || {
        let attached = host.events("--filter event=attach");
        (attached.lines().count() == 2).then_some(())
    });
    client.signal(Signal::TERM);
    client.finish().fails_with(9).prints("term\n");
}

#[test]
fn only_the_streams_that_were_named_are_shown() {
    let host = Host::start();

    host.docker("run --rm -a stdout busybox sh -c 'echo out; echo err >&2'")
        .succeeds()
        .prints("out\n")
        .complains("");
    host.docker("run --rm -a stderr busybox sh -c 'echo out; echo err >&2'")
        .succeeds()
        .prints("")
        .complains("err\n");
}

#[test]
fn a_client_that_goes_away_does_no_harm() {
    let host = Host::start();
    let script = "while :; do echo tick; sleep 0.01; done";

    let client = host.spawn(&format!("run --name web busybox sh -c '{script}'"));
    client.shows("tick");
    client.kill();

    let container = host.container("web");
    let before = container.log().len();
    eventually("the log to grow", || (container.log().len() > before).then_some(()));
    assert_eq!(container.status(), "running");
}

#[test]
fn what_does_not_run_cannot_be_attached_to() {
    let host = Host::start();
    host.create("--name web busybox");
    host.run("--name paused busybox sleep 1000");
    host.docker("pause paused").succeeds();

    host.docker("attach web").fails_with(1).stderr_says("cannot attach to a stopped container");
    host.docker("attach paused").fails_with(1).stderr_says("cannot attach to a paused container");
    host.docker("attach nope").fails_with(1).stderr_says("no such container: nope");
}

#[test]
fn a_terminal_is_asked_for_only_where_there_is_one() {
    let host = Host::start();

    host.docker_with_input("run --rm -it busybox true", b"")
        .fails()
        .stderr_says("the input device is not a TTY");
}

#[test]
fn start_can_go_on_with_input() {
    let host = Host::start();
    host.create("--interactive --name web busybox cat");

    host.docker_with_input("start -ai web", b"one\ntwo\n").succeeds().prints("one\ntwo\n");
}

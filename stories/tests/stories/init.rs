//! `--init`: a first process that passes signals on, and reaps.

use stories::{Host, eventually};

#[test]
fn its_exit_status_is_the_programs() {
    let host = Host::start();
    for (script, status) in
        [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        host.docker(&format!("run --rm --init busybox sh -c '{script}'")).fails_with(status);
    }
    host.docker("run --rm --init busybox nope").fails_with(127);
}

#[test]
fn signals_reach_the_program() {
    let host = Host::start();
    let script = "for s in HUP INT QUIT USR1 USR2 WINCH CONT TERM; do trap \"echo got $s\" $s; done; \
                  echo ready; while :; do sleep 0.05; done";
    let container = host.run(&format!("--init --name web busybox sh -c '{script}'"));
    container.logs_eventually("ready");

    for signal in ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "CONT", "TERM"] {
        host.docker(&format!("kill --signal {signal} web")).succeeds();
        container.logs_eventually(&format!("got {signal}\n"));
    }
    container.remove_by_force();
}

#[test]
fn orphans_are_reaped() {
    let host = Host::start();
    // A grandchild that ends after its parent.
    let script = "for n in 1 2 3; do (sleep 0.2 &); done; echo ready; exec sleep 1000";
    let container = host.run(&format!("--init --name web busybox sh -c '{script}'"));
    container.logs_eventually("ready");

    eventually("the orphans to be gone", || {
        let table = container.exec("ps -o pid,stat,comm").succeeds().stdout;
        let count = table.lines().filter(|line| line.contains("sleep")).count();
        assert!(!table.contains('Z') || count > 1, "{table}");
        (count == 1 && !table.contains('Z')).then_some(())
    });
}

#[test]
fn the_first_process_is_the_init() {
    let host = Host::start();

    let first = host.answer("run --rm --init busybox cat /proc/1/comm");
    assert!(first.contains("init"), "{first}");
    let program =
        host.answer("run --rm --init busybox sh -c 'cat /proc/$PPID/cmdline | tr \"\\0\" \" \"'");
    assert!(program.starts_with("/sbin/docker-init -- sh -c"), "{program}");
}

#[test]
fn a_terminal_is_the_programs() {
    let host = Host::start();
    let mut shell = host.terminal("run --rm --init -it busybox sh");

    shell.shows("# ");
    // Ctrl-C ends what runs in the foreground, and not the shell.
    eventually("the shell to answer", || {
        shell.types("sleep 1000\r").types("\x03").types("echo $((20 + 3))\r");
        std::thread::sleep(std::time::Duration::from_millis(100));
        shell.screen().contains("23\r\n").then_some(())
    });
    shell.types("\x03").types("exit 5\r");
    assert_eq!(shell.finish(), 5);
}

#[test]
fn it_is_heard_behind_it_however_long_the_program_takes() {
    let host = Host::start();
    // The init waits for signals in a way in which it looks as if it did not: it must not be
    // taken for one that cannot hear.
    let script = "trap \"sleep 1; echo saved; exit 5\" TERM; \
                  for n in 1 2 3 4 5 6 7 8; do sleep 0.5; done; echo settled; \
                  while :; do sleep 0.05; done";
    let container = host.run(&format!("--init --name web busybox sh -c '{script}'"));
    container.logs_eventually("settled");
    host.docker("stop --timeout 30 web").succeeds();
    assert_eq!(container.exit_code(), 5);
    assert!(container.log().ends_with("saved\n"), "{}", container.log());
}

#[test]
fn it_outlives_a_pause() {
    let host = Host::start();
    let container = host.run("--init --name web busybox sleep 1000");
    let pid = container.pid();
    for _ in 0..3 {
        host.docker("pause web").succeeds();
        host.docker("unpause web").succeeds();
    }
    container.exec("true").succeeds();
    assert_eq!((container.status().as_str(), container.pid()), ("running", pid));
}

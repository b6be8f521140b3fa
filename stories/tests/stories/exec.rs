//! `exec`: a further process in a running container.

use stories::{Host, eventually};

#[test]
fn output_and_status_are_the_process_s() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    host.docker("exec web sh -c 'echo out; echo err >&2; exit 5'")
        .fails_with(5)
        .prints("out\n")
        .complains("err\n");
    host.docker("exec web sh -c 'kill -9 $$'").fails_with(137);
}

#[test]
fn input_is_passed_on_to_its_end() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    host.docker_with_input("exec -i web wc -c", &[b'x'; 300_000]).succeeds().prints("300000\n");
    host.docker_with_input("exec web wc -c", b"ignored").succeeds().prints("0\n");
}

#[test]
fn it_shares_the_container_s_world() {
    let host = Host::start();
    let container = host.run("--name web -e A=b --workdir /tmp --user anna busybox sleep 1000");

    container
        .exec("sh -c 'echo $A $HOME; pwd; id -un; hostname'")
        .prints(&format!("b /home/anna\n/tmp\nanna\n{}\n", &container.id[..12]));
    for kind in ["pid", "net", "mnt", "uts", "ipc"] {
        let inside = container.exec(&format!("readlink /proc/self/ns/{kind}")).stdout;
        assert_eq!(inside, container.exec(&format!("readlink /proc/1/ns/{kind}")).stdout);
    }
    let groups = container.exec("cat /proc/self/cgroup").stdout;
    assert_eq!(groups, container.exec("cat /proc/1/cgroup").stdout);
}

#[test]
fn its_own_flags_win() {
    let host = Host::start();
    host.run("--name web -e A=b busybox sleep 1000");

    host.docker("exec -e A=c -e X=y -w /var -u 1000:50 web sh -c 'echo $A $X; pwd; id -u; id -g'")
        .succeeds()
        .prints("c y\n/var\n1000\n50\n");
}

#[test]
fn it_has_the_container_s_restrictions_unless_privileged() {
    let host = Host::start();
    host.run("--name web --security-opt no-new-privileges busybox sleep 1000");
    let status = "sh -c 'grep -E \"Seccomp:|CapEff|NoNewPrivs\" /proc/self/status'";

    let restricted = host.answer(&format!("exec web {status}"));
    assert_eq!(restricted, "CapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2");

    let free = host.answer(&format!("exec --privileged web {status}"));
    let capabilities = free.lines().next().unwrap();
    assert!(capabilities.starts_with("CapEff:\t00000") && !capabilities.ends_with("a80425fb"));
}

#[test]
fn programs_that_cannot_be_run_are_told_apart() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    // Docker tells it in the stream of the output, where there is no error message yet.
    let outcome = host.docker("exec web nope").fails_with(127);
    let told = outcome.stdout + &outcome.stderr;
    assert!(told.contains("exec: \"nope\": executable file not found in $PATH"), "{told}");
    host.docker("exec web /etc/passwd").fails_with(126);
    host.docker("exec nope true").fails_with(1).stderr_has("No such container: nope");
    host.docker("exec web").fails_with(1).stderr_says("requires at least 2 arguments");
}

#[test]
fn a_stopped_container_runs_nothing() {
    let host = Host::start();
    host.run("--name web busybox true").wait();

    host.docker("exec web true").fails_with(1).stderr_has("is not running");
}

#[test]
fn detached_leaves_it_running() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");

    host.docker("exec --detach web sh -c 'sleep 0.1; echo done > /done; sleep 500'")
        .succeeds()
        .prints("");

    eventually("the process to work", || {
        (container.exec("cat /done").stdout == "done\n").then_some(())
    });
    assert!(host.answer("top web").contains("sleep 500"));
}

#[test]
fn it_goes_with_its_container() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    let running = host.spawn("exec web sh -c 'echo ready; sleep 1000'");
    running.shows("ready");

    host.docker("kill web").succeeds();

    running.finish().fails_with(137);
}

#[test]
fn many_at_once_do_not_mix() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    let running: Vec<_> = (0..20)
        .map(|n| host.spawn(&format!("exec web sh -c 'echo {n}; echo {n} >&2; exit {n}'")))
        .collect();

    for (n, client) in running.into_iter().enumerate() {
        let status = i32::try_from(n).unwrap();
        client.finish().fails_with(status).prints(&format!("{n}\n")).complains(&format!("{n}\n"));
    }
}

#[test]
fn inspect_tells_of_it() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let running = host.spawn("exec web sh -c 'echo ready; sleep 1000'");
    running.shows("ready");

    let ids = container.at("/ExecIDs");
    let id = ids[0].as_str().unwrap();
    let answer = host.api("GET", &format!("/v1.51/exec/{id}/json"), None);

    assert_eq!(answer.status, 200);
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(told["Running"], true);
    assert_eq!(told["ContainerID"], container.id);
    assert_eq!(told["ProcessConfig"]["entrypoint"], "sh");
}

#[test]
fn a_terminal_is_one_s_own() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    let mut shell = host.terminal("exec -it web sh");
    shell.shows("# ");
    shell.types("tty; stty size; echo $TERM\r").shows("/dev/pts/").shows("24 80").shows("xterm");
    shell.resizes(40, 100);
    eventually("the new size", || {
        shell.types("stty size\r");
        shell.screen().contains("40 100").then_some(())
    });
    shell.types("exit 3\r");

    assert_eq!(shell.finish(), 3);
}

//! `exec`: a further process in a running container.

use serde_json::Value;
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
    let told: Value = serde_json::from_str(&answer.body).unwrap();
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

#[test]
fn an_exec_can_be_looked_at_before_while_and_after_it_runs() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let document = r#"{"Cmd":["sh","-c","until [ -e /go ]; do sleep 0.05; done; exit 4"],
        "User":"1000","Privileged":true,"AttachStdout":true,"DetachKeys":"ctrl-a"}"#;
    let answer = host.api("POST", "/containers/web/exec", Some(document));
    let created: Value = serde_json::from_str(&answer.body).unwrap();
    let id = created["Id"].as_str().unwrap();
    let look = || -> Value {
        let answer = host.api("GET", &format!("/exec/{id}/json"), None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };

    let before = look();
    assert_eq!(before["Running"], false);
    assert_eq!(before["ExitCode"], Value::Null);
    assert_eq!(before["Pid"], 0);
    assert_eq!(before["ProcessConfig"]["entrypoint"], "sh");
    assert_eq!(before["ProcessConfig"]["user"], "1000");
    assert_eq!(before["ProcessConfig"]["privileged"], true);
    assert_eq!(before["DetachKeys"], "AQ==");
    assert_eq!(before["ContainerID"], container.id);
    assert_eq!(container.at("/ExecIDs"), serde_json::json!([id]));

    let start = || host.api("POST", &format!("/exec/{id}/start"), Some(r#"{"Detach":true}"#));
    assert_eq!(start().status, 200);
    assert_eq!(look()["Running"], true);
    assert!(look()["Pid"].as_u64().unwrap() > 0);
    let again = start();
    assert_eq!(again.status, 409);
    assert!(
        again.body.contains(&format!("exec command {id} is already running")),
        "{}",
        again.body
    );

    container.exec("touch /go").succeeds();
    let ended = eventually("the exec's end", || Some(look()).filter(|exec| exec["ExitCode"] == 4));
    assert_eq!(ended["Running"], false);
    assert_eq!(ended["CanRemove"], false);
    assert_eq!(container.at("/ExecIDs"), Value::Null);
    assert!(start().body.contains(&format!("exec command {id} has already run")));
    let resize = host.api("POST", &format!("/exec/{id}/resize?h=10&w=20"), None);
    assert_eq!(resize.status, 404, "{}", resize.body);

    assert_eq!(host.api("GET", "/exec/nothing/json", None).status, 404);
}

#[test]
fn a_user_that_the_container_does_not_know_is_refused_at_once() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    // Nothing is told of an exec, as none is made.
    host.docker("exec --user nobody-at-all web true")
        .fails_with(1)
        .stderr_has("unable to find user nobody-at-all: no matching entries in passwd file");
    host.docker("exec --detach --user nobody-at-all web true").fails_with(1);
    host.docker("exec --user root:nothing-at-all web true")
        .fails_with(1)
        .stderr_has("unable to find");
    assert_eq!(host.events("--filter event=exec_create").lines().count(), 0);
    host.docker("exec --user 1234:5678 web id -g").succeeds().prints("5678\n");
}

#[test]
fn a_paused_container_takes_no_further_process() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    host.docker("pause web").succeeds();

    host.docker("exec web true")
        .fails_with(1)
        .stderr_has("Container web is paused, unpause the container before exec");

    host.docker("unpause web").succeeds();
    host.docker("exec web true").succeeds();
    host.docker("exec --detach-keys ctrl-xx web true").fails().stderr_has("ctrl-xx");
    host.docker("exec --workdir /not/there web true").fails_with(127);
}

#[test]
fn many_at_once_lose_no_exit_code() {
    const AT_ONCE: usize = 80;
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    let clients: Vec<_> = (0..AT_ONCE).map(|_| host.spawn("exec web sh -c 'exit 3'")).collect();
    for client in clients {
        client.finish().fails_with(3);
    }
}

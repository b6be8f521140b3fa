//! `wharf why`: a container's last end or present state, explained.

use stories::Host;

#[test]
fn an_end_by_itself_is_told_with_the_last_output() {
    let host = Host::start();
    let script = "for n in 1 2 3; do echo line $n; done; echo fatal: no table; exit 3";
    host.run(&format!("--name web busybox sh -c '{script}'")).becomes("exited");

    let explained = host.wharf_only("why --tail 2 web").succeeds();
    let explained = explained
        .stdout_has("web  exited ")
        .stdout_has("its program ended by itself, with code 3")
        .stdout_has("image     busybox");
    assert_eq!(explained.lines().len(), 7, "{}", explained.stdout);
    assert!(explained.stdout.contains("\n    fatal: no table\n"), "{}", explained.stdout);
    assert!(!explained.stdout.contains("line 1\n"), "{}", explained.stdout);

    host.wharf_only("why --format '{{.ExitCode}} {{.Status}} {{.Name}}' web")
        .succeeds()
        .prints("3 exited web\n");
}

#[test]
fn want_of_memory_is_told_with_the_limit() {
    let host = Host::start();
    let eater = "dd if=/dev/zero of=/dev/null bs=200M";
    host.run(&format!("--name eater -m 32m --memory-swap 32m busybox {eater}")).becomes("exited");

    let explained = host.wharf_only("why eater").succeeds();
    let explained = explained
        .stdout_has("it ran out of memory: the kernel killed a process of it at its limit of 32MiB")
        .stdout_has("hint: `wharf update --memory 64m --memory-swap -1 eater`");
    if Host::is_wharf_or_skips("dockerd does not tell how much a container had used") {
        explained.stdout_has("and it had used 32MiB at most");
    }
}

#[test]
fn who_asked_for_an_end_is_told() {
    let host = Host::start();
    let polite = host.run("--name polite busybox sh -c 'trap \"exit 0\" TERM; echo ready; while :; do sleep 0.05; done'");
    polite.logs_eventually("ready");
    host.docker("stop polite").succeeds();
    host.wharf_only("why polite").succeeds().stdout_has(
        "somebody asked for it with SIGTERM; its program ended by itself, with success",
    );

    let shot = host.run("--name shot busybox sleep 1000");
    host.docker("kill shot").succeeds();
    shot.becomes("exited");
    host.wharf_only("why shot").succeeds().stdout_has("somebody asked for it with SIGKILL");

    let deaf = host.run("--name deaf busybox sleep 1000");
    host.docker("stop --timeout 1 deaf").succeeds();
    deaf.becomes("exited");
    let explained = host.wharf_only("why deaf").succeeds();
    explained.stdout_has("somebody stopped it").stdout_has("hint: ").stdout_has("--init");

    let crashed = host.run("--name crashed --init busybox sh -c 'kill -SEGV $$'");
    crashed.becomes("exited");
    host.wharf_only("why crashed").succeeds().stdout_has("SIGSEGV ended it (139 is 128 + 11)");
}

#[test]
fn what_never_ran_is_told() {
    let host = Host::start();
    host.create("--name new busybox true");
    host.wharf_only("why new").succeeds().stdout_has("nobody has started it");

    host.create("--name odd busybox no-such-program");
    host.docker("start odd").fails_with(1);
    let explained = host.wharf_only("why odd").succeeds();
    explained
        .stdout_has("odd  could not be started")
        .stdout_has("no-such-program")
        .stdout_has("hint: ");

    host.wharf_only("why nobody").fails_with(1).stderr_has("No such container: nobody");
    // One that is there is explained all the same.
    host.wharf_only("why nobody new").fails_with(1).stdout_has("nobody has started it");
}

#[test]
fn restarts_are_counted() {
    let host = Host::start();
    let flaky = host.run("--name flaky --restart on-failure:2 busybox sh -c 'exit 9'");
    flaky.becomes("exited");
    stories::eventually("the last restart", || {
        (flaky.at("/RestartCount") == 2 && flaky.status() == "exited").then_some(())
    });
    host.wharf_only("why flaky")
        .succeeds()
        .stdout_has("restarts  2 (policy on-failure:2, which is used up)")
        .stdout_has("by itself, with code 9");
}

#[test]
fn what_runs_is_told_as_well() {
    let host = Host::start();
    let web = host.run("--name web busybox sleep 1000");
    host.wharf_only("why web")
        .succeeds()
        .stdout_has("web  runs for")
        .stdout_has("its program runs");
    host.docker("pause web").succeeds();
    host.wharf_only("why web").succeeds().stdout_has("`wharf unpause web`");
    host.docker("unpause web").succeeds();
    web.remove_by_force();
}

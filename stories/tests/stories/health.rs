//! Health checks: whether a container is well, and what happens if it is not.

use serde_json::Value;
use stories::{Container, Host, eventually};

const ONLY_WHARF: &str = "dockerd can only run commands, and does nothing about what they find";

/// Whether a story about checks that only Wharf has can be told.
fn knows_more_than_docker() -> bool {
    Host::is_wharf_or_skips(ONLY_WHARF) && Host::has_own_client_or_skips()
}

#[track_caller]
fn becomes(container: &Container<'_>, status: &str) -> Value {
    eventually(&format!("the container to be {status}"), || {
        let health = container.at("/State/Health");
        (health["Status"] == status).then_some(health)
    })
}

#[track_caller]
fn last(health: &Value) -> &Value {
    health["Log"].as_array().and_then(|log| log.last()).expect("there is a result")
}

#[test]
fn a_command_says_whether_it_is_well() {
    let host = Host::start();
    let flags = "--health-interval 500ms --health-retries 2";
    let container = host.run(&format!(
        "--name web --health-cmd 'echo looking; test -e /well' {flags} busybox sleep 1000"
    ));

    let health = container.at("/State/Health");
    assert_eq!(health, serde_json::json!({"Status": "starting", "FailingStreak": 0, "Log": []}));
    let status = |host: &Host| host.answer("ps --all --format {{.Status}}");
    assert!(status(&host).ends_with("(health: starting)"), "{}", status(&host));

    let health = becomes(&container, "unhealthy");
    assert!(health["FailingStreak"].as_u64().unwrap() >= 2, "{health}");
    assert_eq!(last(&health)["ExitCode"], 1);
    assert_eq!(last(&health)["Output"], "looking\n");
    assert!(status(&host).ends_with("(unhealthy)"), "{}", status(&host));
    assert_eq!(host.answer("ps --filter health=unhealthy --format {{.Names}}"), "web");
    assert_eq!(host.answer("ps --filter health=healthy --format {{.Names}}"), "");

    container.exec("touch /well").succeeds();
    let health = becomes(&container, "healthy");
    assert_eq!(health["FailingStreak"], 0);
    assert_eq!(last(&health)["ExitCode"], 0);
    assert!(status(&host).ends_with("(healthy)"), "{}", status(&host));
    eventually("no more than five results", || {
        (container.at("/State/Health/Log").as_array().unwrap().len() == 5).then_some(())
    });
    assert_eq!(
        host.events("--filter event=health_status --format {{.Action}}"),
        "health_status: unhealthy\nhealth_status: healthy"
    );
}

#[test]
fn each_look_is_told_like_an_exec() {
    let host = Host::start();
    let container = host.run(
        "--name web --health-cmd 'exit 3' --health-interval 300ms --health-retries 1 busybox \
         sleep 1000",
    );
    becomes(&container, "unhealthy");

    let told = host.events("--filter type=container --format {{.Action}}");
    let expected = "create\nstart\nexec_create: /bin/sh -c exit 3\nexec_start: /bin/sh -c exit 3\n\
                    exec_die\nhealth_status: unhealthy";
    assert!(told.starts_with(expected), "{told}");
    let line = host.events("--filter event=exec_die --format json");
    let event: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let attributes = &event["Actor"]["Attributes"];
    assert_eq!(attributes["exitCode"], "3");
    assert_eq!(attributes["execID"].as_str().unwrap().len(), 64);
    assert_eq!(container.at("/ExecIDs"), Value::Null);
}

#[test]
fn a_command_that_takes_too_long_has_failed() {
    let host = Host::start();
    let flags = "--health-interval 300ms --health-timeout 700ms --health-retries 1";
    let container =
        host.run(&format!("--health-cmd 'echo slow; sleep 1000' {flags} busybox sleep 1000"));

    let health = becomes(&container, "unhealthy");
    assert_eq!(health["Log"][0]["ExitCode"], -1);
    assert_eq!(health["Log"][0]["Output"], "Health check exceeded timeout (700ms): slow\n");
}

#[test]
fn a_long_output_is_cut() {
    let host = Host::start();
    let container =
        host.run("--health-cmd 'yes | head -c 10000' --health-interval 300ms busybox sleep 1000");

    let health = becomes(&container, "healthy");
    let output = last(&health)["Output"].as_str().unwrap();
    assert_eq!(output.len(), 4096 + 3);
    assert!(output.ends_with("y\ny\n..."));
}

#[test]
fn failures_while_it_starts_do_not_count() {
    let host = Host::start();
    let flags = "--health-start-period 2s --health-start-interval 200ms --health-interval 300ms \
                 --health-retries 1";
    let container = host.run(&format!("--health-cmd false {flags} busybox sleep 1000"));

    // It is looked at, and nothing comes of it.
    eventually("a second look", || {
        let health = container.at("/State/Health");
        let looks = health["Log"].as_array().unwrap().len();
        if (2..4).contains(&looks) {
            assert_eq!(
                (&health["Status"], &health["FailingStreak"]),
                (&"starting".into(), &0.into())
            );
        }
        (looks >= 2).then_some(())
    });
    let health = becomes(&container, "unhealthy");
    assert!(health["FailingStreak"].as_u64().unwrap() >= 1, "{health}");
}

#[test]
fn an_image_brings_its_check_along() {
    let host = Host::start();
    let change = "HEALTHCHECK --interval=400ms --timeout=9s --retries=7 CMD test -e /well";
    host.docker_with_input(
        &format!("import --change 'CMD [\"sh\"]' --change '{change}' - checked"),
        &stories::FileSystem::with_shell().tar(),
    )
    .succeeds();

    let inherits = host.run("checked sh -c 'touch /well; sleep 1000'");
    becomes(&inherits, "healthy");
    let check = inherits.at("/Config/Healthcheck");
    assert_eq!(
        check,
        serde_json::json!({
            "Test": ["CMD-SHELL", "test -e /well"], "Interval": 400_000_000,
            "Timeout": 9_000_000_000_i64, "Retries": 7,
        })
    );
    let merges = host.create("--health-interval 2s --health-start-period 3s checked true");
    assert_eq!(
        merges.at("/Config/Healthcheck"),
        serde_json::json!({
            "Test": ["CMD-SHELL", "test -e /well"], "Interval": 2_000_000_000,
            "Timeout": 9_000_000_000_i64, "StartPeriod": 3_000_000_000_i64, "Retries": 7,
        })
    );
    let without = host.run("--no-healthcheck checked sleep 1000");
    assert_eq!(without.at("/Config/Healthcheck/Test"), serde_json::json!(["NONE"]));
    assert_eq!(without.inspect().pointer("/State/Health"), None);
    let unwell: Vec<_> = host
        .answer("ps --filter health=none --quiet --no-trunc")
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(unwell, std::slice::from_ref(&without.id));
}

#[test]
fn whom_nobody_looks_at_is_unhealthy() {
    let host = Host::start();
    let flags = "--health-cmd true --health-interval 2s";
    let container = host.run(&format!("--name web {flags} busybox sleep 1000"));
    becomes(&container, "healthy");

    host.docker("pause web").succeeds();
    let health = container.at("/State/Health");
    assert_eq!(health["Status"], "unhealthy");
    let status = host.answer("ps --format {{.Status}}");
    assert!(status.ends_with("(Paused)"), "{status}");
    host.docker("unpause web").succeeds();
    becomes(&container, "healthy");

    host.docker("stop --timeout 0 web").succeeds();
    let ended = container.at("/State/Health");
    assert_eq!(ended["Status"], "unhealthy");
    host.docker("start web").succeeds();
    let health = container.at("/State/Health");
    assert_eq!((&health["Status"], &health["FailingStreak"]), (&"starting".into(), &0.into()));
    // What was found before is still there.
    assert_eq!(health["Log"], ended["Log"]);
    becomes(&container, "healthy");
}

#[test]
fn a_restart_begins_anew() {
    let host = Host::start();
    let flags = "--restart always --health-cmd true --health-interval 200ms";
    let container = host.run(&format!("--name web {flags} busybox sh -c 'sleep 0.7; exit 1'"));
    eventually("a second run that is healthy", || {
        let told = host.events("--filter event=health_status --format {{.Action}}");
        (told.lines().count() >= 2).then_some(())
    });

    let told = host.events(
        "--filter event=start --filter event=die --filter event=health_status --format {{.Action}}",
    );
    assert!(
        told.starts_with("start\nhealth_status: healthy\ndie\nstart\nhealth_status: healthy"),
        "{told}"
    );
    container.remove_by_force();
}

#[test]
fn a_check_that_makes_no_sense_is_refused() {
    let host = Host::start();

    host.docker("create --health-cmd true --health-interval 100us busybox")
        .fails_with(1)
        .stderr_has("Interval in Healthcheck cannot be less than 1ms");
    host.docker("create --health-retries -1 busybox")
        .fails()
        .stderr_has("--health-retries cannot be negative");
    host.docker("create --no-healthcheck --health-cmd true busybox")
        .fails()
        .stderr_has("--no-healthcheck conflicts with --health-* options");
    for (health, words) in [
        (r#"{"Test":["CMD","a"],"Timeout":-1}"#, "Timeout in Healthcheck cannot be less than 1ms"),
        (r#"{"Retries":-1}"#, "Retries in Healthcheck cannot be negative"),
        (r#"{"StartPeriod":999999}"#, "StartPeriod in Healthcheck cannot be less than 1ms"),
        (r#"{"StartInterval":1}"#, "StartInterval in Healthcheck cannot be less than 1ms"),
    ] {
        let body = format!(r#"{{"Image":"busybox","Healthcheck":{health}}}"#);
        let answer = host.api("POST", "/v1.51/containers/create", Some(&body));
        assert_eq!(answer.status, 400, "{health}");
        assert!(answer.body.contains(words), "{}", answer.body);
    }
}

#[test]
fn an_open_port_is_enough_to_be_well() {
    if !knows_more_than_docker() {
        return;
    }
    let host = Host::start();
    let flags = "--health-tcp 8080 --health-interval 200ms --health-retries 1";
    let script = "while ! test -e /go; do sleep 0.05; done; exec httpd -f -p 8080";
    let container = host.run(&format!("--name web {flags} busybox sh -c '{script}'"));

    let health = becomes(&container, "unhealthy");
    assert_eq!(last(&health)["Output"], "cannot connect to 127.0.0.1:8080: Connection refused");
    container.exec("touch /go").succeeds();
    let health = becomes(&container, "healthy");
    assert!(last(&health)["Output"].as_str().unwrap().starts_with("connected to "), "{health}");
    assert_eq!(container.at("/Config/Healthcheck/Test"), serde_json::json!(["TCP", "8080"]));
    // No process was needed for that.
    let told = host.events("--filter event=exec_create --format {{.Action}}");
    assert_eq!(told, "exec_create: touch /go");
}

#[test]
fn a_page_says_whether_it_is_well() {
    if !knows_more_than_docker() {
        return;
    }
    let host = Host::start();
    let flags = "--health-http 80/index.html --health-interval 200ms --health-retries 1";
    let web = "busybox httpd -f -h /var/www";

    let container = host.run(&format!("--name web {flags} {web}"));
    let health = becomes(&container, "healthy");
    assert_eq!(last(&health)["Output"], "HTTP/1.1 200 OK\n\nhello from web\n");
    container.exec("rm /var/www/index.html").succeeds();
    let health = becomes(&container, "unhealthy");
    let output = last(&health)["Output"].as_str().unwrap();
    assert!(output.starts_with("HTTP/1.1 404 Not Found\n"), "{output}");
}

#[test]
fn a_network_of_the_hosts_or_of_another_container_is_looked_at_as_well() {
    if !knows_more_than_docker() {
        return;
    }
    let host = Host::start();
    let check = "--health-interval 200ms --health-http http://:8081/";
    let web = "busybox httpd -f -p 8081 -h /var/www";

    let hosts = host.run(&format!("--network host {check} {web}"));
    becomes(&hosts, "healthy");
    let other = host.run(&format!("--name other {web}"));
    let joined = host.run(&format!("--network container:other {check} busybox sleep 1000"));
    becomes(&joined, "healthy");
    let none = host.run(&format!("--network none {check} {web}"));
    becomes(&none, "healthy");
    assert_eq!(other.inspect().pointer("/State/Health"), None);
}

#[test]
fn a_place_that_cannot_be_looked_at_is_refused() {
    if !knows_more_than_docker() {
        return;
    }
    let host = Host::start();

    host.docker("create --health-tcp web busybox")
        .fails_with(1)
        .stderr_has("invalid health check: \"web\" is not a port");
    host.docker("create --health-http https://localhost/ busybox")
        .fails_with(1)
        .stderr_has("needs TLS");
    host.docker("create --health-tcp 80 --health-cmd true busybox")
        .fails_with(125)
        .stderr_has("a container has one health check");
    host.docker("create --health-action reboot --health-cmd true busybox")
        .fails_with(125)
        .stderr_has("must be one of none, restart, stop, kill");
}

#[test]
fn an_unhealthy_container_is_started_anew() {
    if !knows_more_than_docker() {
        return;
    }
    let host = Host::start();
    let flags = "--health-interval 200ms --health-retries 2 --health-action restart";
    let script =
        "test -e /been && touch /well; touch /been; trap \"exit 9\" TERM; sleep 1000 & wait";
    let container = host
        .run(&format!("--name web --health-cmd 'test -e /well' {flags} busybox sh -c '{script}'"));

    let health = becomes(&container, "healthy");
    assert_eq!(container.at("/RestartCount"), 1);
    assert_eq!(health["LastAction"]["Action"], "restart");
    let told = host.events("--filter type=container --format {{.Action}}");
    let told: Vec<_> = told.lines().filter(|line| !line.starts_with("exec_")).collect();
    assert_eq!(
        told,
        [
            "create",
            "start",
            "health_status: unhealthy",
            "health_action: restart",
            "kill",
            "die",
            "start",
            "health_status: healthy",
        ]
    );
    let die: Value =
        serde_json::from_str(&host.events("--filter event=die --format json")).unwrap();
    assert_eq!(die["Actor"]["Attributes"]["reason"], "unhealthy");
    assert_eq!(die["Actor"]["Attributes"]["exitCode"], "9");
}

#[test]
fn an_unhealthy_container_is_stopped_or_killed() {
    if !knows_more_than_docker() {
        return;
    }
    let host = Host::start();
    let flags = "--health-cmd false --health-interval 200ms --health-retries 1";
    let script = "trap \"exit 9\" TERM; sleep 1000 & wait";

    let stopped = host
        .run(&format!("--restart always {flags} --health-action stop busybox sh -c '{script}'"));
    stopped.becomes("exited");
    assert_eq!(stopped.exit_code(), 9);
    let killed = host.run(&format!("{flags} --health-action kill busybox sh -c '{script}'"));
    killed.becomes("exited");
    assert_eq!(killed.exit_code(), 137);
    assert_eq!(killed.at("/State/Health/LastAction/Action"), "kill");
}

#[test]
fn without_a_daemon_health_goes_on() {
    if !knows_more_than_docker() {
        return;
    }
    let host = Host::start();
    let well = host.folder("well", &[("now", "")]);
    let flags = "--health-interval 200ms --health-retries 1";
    let container = host.run(&format!(
        "--name web {flags} --health-cmd 'test -e /well/now' -v {well}:/well busybox sleep 1000"
    ));
    becomes(&container, "healthy");
    let script = "echo start >> /well/starts; sleep 1000";
    let ill = host.run(&format!(
        "--name ill --stop-signal KILL {flags} --health-tcp 80 --health-action restart -v {well}:/well busybox \
         sh -c '{script}'"
    ));
    let starts =
        || std::fs::read_to_string(format!("{well}/starts")).unwrap_or_default().lines().count();

    host.kill_daemon();
    std::fs::remove_file(format!("{well}/now")).unwrap();
    let before = starts();
    eventually("a restart without a daemon", || (starts() > before + 1).then_some(()));
    host.start_daemon();

    // It need not be looked at again: what was found meanwhile is known.
    let health = container.at("/State/Health");
    assert_eq!(health["Status"], "unhealthy");
    let count = ill.at("/RestartCount").as_u64().unwrap();
    assert!(count > before as u64, "{count} restarts, {before} before");
    std::fs::write(format!("{well}/now"), "").unwrap();
    becomes(&container, "healthy");
    ill.remove_by_force();
}

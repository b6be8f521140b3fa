//! `events`: what happened, and what happens.

use serde_json::Value;
use stories::Host;

#[test]
fn a_life_is_told_in_order() {
    let host = Host::start();
    host.docker("run --rm --name web --network none busybox sh -c 'exit 3'").fails_with(3);

    let told = host.events("--filter type=container --format {{.Action}}");

    assert_eq!(told, "create\nattach\nstart\ndie\ndestroy");
}

#[test]
fn networks_and_volumes_are_told_of() {
    let host = Host::start();
    host.docker("run --rm --name web -v data:/data busybox true").succeeds();
    host.docker("volume rm data").succeeds();

    assert_eq!(host.events("--filter type=network --format {{.Action}}"), "connect\ndisconnect");
    assert_eq!(
        host.events("--filter type=volume --format {{.Action}}"),
        "create\nmount\nunmount\ndestroy"
    );
}

#[test]
fn an_event_says_what_it_is_about() {
    let host = Host::start();
    let container = host.run("--name web --label tier=front busybox sh -c 'exit 3'");
    container.wait();

    let line = host.events("--filter event=die --format json");

    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["Type"], "container");
    assert_eq!(event["Action"], "die");
    assert_eq!(event["Actor"]["ID"], container.id);
    let attributes = &event["Actor"]["Attributes"];
    assert_eq!(attributes["name"], "web");
    assert_eq!(attributes["image"], "busybox");
    assert_eq!(attributes["tier"], "front");
    assert_eq!(attributes["exitCode"], "3");
    assert_eq!(event["scope"], "local");
    let nanoseconds = event["timeNano"].as_i64().unwrap();
    assert_eq!(event["time"].as_i64().unwrap(), nanoseconds / 1_000_000_000);
}

#[test]
fn a_line_is_for_reading() {
    let host = Host::start();
    let container = host.run("--name web --network none busybox sleep 1000");

    let line = host.events("--filter event=start");

    // 2026-11-20T10:00:00.123456789+00:00 container start 0123… (image=busybox, name=web)
    let (_, rest) = line.split_once(' ').unwrap();
    assert_eq!(rest, format!("container start {} (image=busybox, name=web)", container.id));
}

#[test]
fn what_happens_is_told_at_once() {
    let host = Host::start();
    let watching = host.spawn("events --filter container=web --format {{.Action}}");

    host.create("--name web busybox sleep 1000");
    stories::eventually("the watch to have begun", || {
        host.docker("rename web other").succeeds();
        host.docker("rename other web").succeeds();
        watching.output().contains("rename").then_some(())
    });
    host.docker("start web").succeeds();
    watching.shows("start\n");
    host.docker("pause web").succeeds();
    watching.shows("pause\n");
    host.docker("unpause web").succeeds();
    watching.shows("unpause\n");
    host.docker("kill web").succeeds();
    watching.shows("kill\n").shows("die\n");
    host.docker("rm web").succeeds();
    watching.shows("destroy\n");
}

#[test]
fn filters_choose() {
    let host = Host::start();
    host.docker("run --rm --name one --label tier=front --network none busybox true").succeeds();
    host.docker("run --rm --name two --network none busybox true").succeeds();
    let count = |filters: &str| host.events(filters).lines().count();

    assert_eq!(count("--filter container=one --filter event=start"), 1);
    assert_eq!(count("--filter event=start"), 2);
    assert_eq!(count("--filter event=start --filter event=die"), 4);
    assert_eq!(count("--filter label=tier=front --filter event=die"), 1);
    assert_eq!(count("--filter image=busybox --filter event=create"), 2);
    assert_eq!(count("--filter type=volume"), 0);
}

#[test]
fn commands_inside_are_told_of() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    host.docker("exec web sh -c 'exit 4'").fails_with(4);

    let told = host.events("--filter container=web --format {{.Action}}");

    let told: Vec<_> = told.lines().filter(|line| line.starts_with("exec")).collect();
    assert_eq!(told, ["exec_create: sh -c exit 4", "exec_start: sh -c exit 4", "exec_die"]);
}

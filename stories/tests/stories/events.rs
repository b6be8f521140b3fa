//! `events`: what happened, and what happens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stories::{Container, Host, PATIENCE, eventually};

/// Now, as `events` takes it.
fn now() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("it is later than 1970").as_nanos()
}

/// The events of one kind, as documents.
fn documents(host: &Host, flags: &str) -> Vec<Value> {
    let lines = host.events(&format!("{flags} --format json"));
    lines.lines().map(|line| serde_json::from_str(line).expect("events are JSON")).collect()
}

/// Kills a container's process behind everybody's back.
fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("it is no group");
    kill_process(pid, Signal::KILL).expect("it runs");
}

fn nanoseconds(event: &Value) -> u128 {
    event["timeNano"].as_u64().expect("an event has a time").into()
}

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
    eventually("the watch to have begun", || {
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

#[test]
fn everything_that_is_done_to_a_container_is_told() {
    let host = Host::start();
    host.docker("create --name web --volume data:/data busybox sleep 1000").succeeds();
    host.docker("start web").succeeds();
    host.docker("exec web sh -c 'exit 2'").fails_with(2);
    host.docker("pause web").succeeds();
    host.docker("unpause web").succeeds();
    host.docker("rename web other").succeeds();
    host.docker("top other").succeeds();
    host.docker("update --cpu-shares 512 other").succeeds();
    host.docker("kill --signal USR1 other").succeeds();
    host.docker("kill other").succeeds();
    host.docker("start other").succeeds();
    host.docker("rm --force --volumes other").succeeds();

    let run = "volume mount\nnetwork connect\ncontainer start\n";
    let end = "container kill\nnetwork disconnect\nvolume unmount\ncontainer die\n";
    let told = host.events("--format '{{.Type}} {{.Action}}'");
    // Whatever was told of the image comes first.
    let (_, told) = told.split_once("volume create\n").unwrap();
    let expected = format!(
        "container create\n{run}container exec_create: sh -c exit 2\ncontainer exec_start: sh \
         -c exit 2\ncontainer exec_die\ncontainer pause\ncontainer unpause\ncontainer \
         rename\ncontainer top\ncontainer update\ncontainer kill\n{end}{run}{end}container destroy"
    );
    assert_eq!(told, expected);
    let kill = &documents(&host, "--filter event=kill")[0];
    assert_eq!(kill["Actor"]["Attributes"]["signal"], "10");
    let rename = &documents(&host, "--filter event=rename")[0];
    assert_eq!(rename["Actor"]["Attributes"]["oldName"], "/web");
}

#[test]
fn a_prune_tells_what_it_gave_back() {
    let host = Host::start();
    host.docker("container prune --force").succeeds();
    host.docker("volume prune --force").succeeds();
    host.docker("image prune --force").succeeds();
    host.docker("network prune --force").succeeds();

    let told = host.events(
        "--filter event=prune --format '{{.Type}} {{.Actor.ID}} {{.Actor.Attributes.reclaimed}}'",
    );
    assert_eq!(told, "container  0\nvolume  0\nimage  0\nnetwork  0");
}

#[test]
fn an_image_is_told_of_by_its_id() {
    let host = Host::start();
    let id = host.answer("image inspect --format {{.Id}} busybox");
    let since = now();
    host.docker("tag busybox two:1").succeeds();
    host.docker(&format!("save --output {} two:1", host.path("two.tar").display())).succeeds();
    host.docker("rmi two:1").succeeds();
    host.docker(&format!("load --input {}", host.path("two.tar").display())).succeeds();

    let told = documents(&host, "--filter type=image");
    let told = told.iter().filter(|event| nanoseconds(event) >= since);
    let told: Vec<_> = told
        .map(|event| (event["Action"].as_str().unwrap(), &event["Actor"]["Attributes"]["name"]))
        .collect();
    let names = ["two:1", &id, &id, &id].map(Value::from);
    let actions = ["tag", "save", "untag", "load"];
    assert_eq!(told, actions.into_iter().zip(&names).collect::<Vec<_>>());
}

#[test]
fn an_image_is_told_of_with_its_labels() {
    let host = Host::start();
    host.create("--name web busybox");
    host.docker("commit --change 'LABEL tier=front name=other' web labelled").succeeds();
    host.docker("tag labelled two").succeeds();
    host.docker("rmi two labelled").succeeds();

    // What is gone has no labels.
    let flags = "--filter type=image --filter label=tier=front --format";
    let told = host.events(&format!("{flags} {{{{.Action}}}}"));
    assert_eq!(told, "create\ntag\ntag\nuntag\nuntag");
    let names = host.events(&format!("{flags} {{{{.Actor.Attributes.name}}}}"));
    assert!(!names.contains("other"), "{names}");
}

#[test]
fn a_daemon_that_reads_its_settings_again_says_so() {
    let host = Host::start();
    let pid = Pid::from_raw(host.daemon_pid().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();

    let reload = eventually("the news of the settings", || {
        documents(&host, "--filter event=reload").into_iter().next()
    });
    assert_eq!(reload["Type"], "daemon");
    let attributes = &reload["Actor"]["Attributes"];
    assert_eq!(attributes["debug"], "false");
    assert_eq!(attributes["labels"], "[]");
    let name = host.answer("info --format {{.Name}}");
    assert_eq!(attributes["name"], name);
    assert_eq!(reload["Actor"]["ID"], host.answer("info --format {{.ID}}"));
    assert_eq!(host.events(&format!("--filter daemon={name}")).lines().count(), 1);
}

#[test]
fn objects_are_named_by_the_beginning_of_their_names() {
    let host = Host::start();
    let container = host.run("--name website --volume data:/data busybox sleep 1000");
    let count = |filters: &str| host.events(filters).lines().count();

    assert_eq!(count("--filter container=web"), 2);
    assert_eq!(count(&format!("--filter container={}", &container.id[..12])), 2);
    assert_eq!(count("--filter volume=data"), 2);
    assert_eq!(count("--filter network=bridge"), 1);
    assert_eq!(count("--filter container=nobody"), 0);
    assert_eq!(count("--filter scope=swarm"), 0);
    assert_eq!(count("--filter scope=local --filter type=network"), 1);
    assert_eq!(count("--filter plugin=nobody"), 0);
    assert_eq!(count("--filter type=network --filter type=volume"), 3);
    // A filter that nobody knows leaves nothing out.
    assert_eq!(count("--filter nonsense=1 --filter type=network"), 1);
}

#[test]
fn a_watch_ends_when_its_time_is_over() {
    let host = Host::start();
    let until = (now() + 3_000_000_000) / 1_000_000_000;
    let watching = host.spawn(&format!("events --until {until} --filter type=container"));
    host.create("--name web busybox true");

    let told = watching.finish().succeeds();
    assert!(told.stdout.contains("container create"), "{told}");
    assert!(now() / 1_000_000_000 >= until);
    // Without a beginning, everything that is kept comes first.
    let until = (now() + 1_500_000_000) / 1_000_000_000;
    let told = host.docker(&format!("events --until {until} --filter type=container")).succeeds();
    assert!(told.stdout.contains("container create"), "{told}");
}

#[test]
fn what_happened_is_known_to_the_next_daemon() {
    if !Host::is_wharf_or_skips("dockerd forgets its events when it ends") {
        return;
    }
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    let before = host.events("");
    host.kill_daemon();
    host.start_daemon();
    host.docker("rename web other").succeeds();

    let after = host.events("");
    assert!(after.starts_with(&before), "{before}\n\n{after}");
    let rest: Vec<_> = after[before.len()..].trim().lines().collect();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].contains("container rename"), "{rest:?}");
}

#[test]
fn what_happens_while_no_daemon_runs_is_told_once_with_its_own_time() {
    if !Host::is_wharf_or_skips("dockerd's containers end with it, or are found at its next start")
    {
        return;
    }
    let host = Host::start();
    let ends = host.run("--name ends --volume data:/data busybox sleep 1000");
    let restarts = host.run("--name restarts --restart always busybox sleep 1000");
    let pids = [ends.pid(), restarts.pid()];
    host.kill_daemon();
    let died_after = now();
    pids.into_iter().for_each(kill);
    // The one whose container has ended leaves.
    eventually("a supervisor to leave", || (host.shims().len() == 1).then_some(()));
    eventually("the other container to run again", || runs_anew(&host, pids[1]));

    // However often a daemon looks, and however it ends.
    for _ in 0..2 {
        host.start_daemon();
        let told =
            documents(&host, "--filter type=container --filter event=die --filter event=start");
        let late: Vec<_> = told.iter().filter(|event| nanoseconds(event) > died_after).collect();
        let mut names: Vec<_> = late
            .iter()
            .map(|event| {
                let name = event["Actor"]["Attributes"]["name"].as_str().unwrap();
                format!("{} {name}", event["Action"].as_str().unwrap())
            })
            .collect();
        names.sort();
        assert_eq!(names, ["die ends", "die restarts", "start restarts"], "{late:#?}");
        let start = host.events("--filter event=start --filter container=restarts");
        let start = start.lines().last().unwrap();
        assert!(start.starts_with(&time_of(&restarts, "StartedAt")), "{start}");
        let die = host.events("--filter event=die --filter container=ends");
        assert!(die.contains("exitCode=137"), "{die}");
        assert!(die.starts_with(&time_of(&ends, "FinishedAt")), "{die}");
        assert_eq!(host.events("--filter event=unmount").lines().count(), 1);
        assert_eq!(host.events("--filter event=disconnect").lines().count(), 1);
        host.kill_daemon();
    }
    host.start_daemon();
}

#[test]
fn every_run_that_no_daemon_saw_is_told_once() {
    if !Host::is_wharf_or_skips("dockerd starts nothing while it is away") {
        return;
    }
    let host = Host::start();
    let folder = host.folder("go", &[]);
    let script = "while [ ! -e /go/now ]; do sleep 0.05; done; exit 3";
    host.run(&format!(
        "--name web --restart on-failure:4 -v {folder}:/go busybox sh -c '{script}'"
    ));
    host.kill_daemon();
    let died_after = now();
    std::fs::write(format!("{folder}/now"), "").unwrap();
    eventually("the supervisor to leave", || host.shims().is_empty().then_some(()));

    for _ in 0..2 {
        host.start_daemon();
        let told =
            documents(&host, "--filter container=web --filter event=die --filter event=start");
        let late: Vec<_> = told.iter().filter(|event| nanoseconds(event) > died_after).collect();
        let words = |event: &&Value| {
            let attributes = &event["Actor"]["Attributes"];
            assert!(attributes["untoldRuns"].is_null(), "{event}");
            let code = attributes["exitCode"].as_str().unwrap_or_default();
            format!("{} {code}", event["Action"].as_str().unwrap())
        };
        let words: Vec<_> = late.iter().map(words).collect();
        let expected = ["die 3", "start "].repeat(5);
        assert_eq!(words, expected[..9], "{late:#?}");
        assert!(late.iter().map(|event| nanoseconds(event)).is_sorted());
        host.kill_daemon();
    }
    host.start_daemon();
}

/// Whether the host's other container has a first process, and not that one.
fn runs_anew(host: &Host, old: u32) -> Option<()> {
    let shims = host.shims();
    let children = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default()
    };
    let children: String = shims.iter().map(children).collect();
    let new = children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok());
    new.into_iter().any(|pid| pid != old).then_some(())
}

/// A time of a container's, as far as it can be compared as text.
fn time_of(container: &Container<'_>, name: &str) -> String {
    let text = container.at(&format!("/State/{name}"));
    text.as_str().expect("a time is text").trim_end_matches('Z').to_owned()
}

#[test]
fn who_reads_slowly_hears_everything_and_keeps_nobody_waiting() {
    if !Host::is_wharf_or_skips("dockerd passes over a listener who is too slow") {
        return;
    }
    const RENAMES: usize = 1500;
    let host = Host::start();
    host.create("--name web busybox true");
    let mut slow = UnixStream::connect(host.socket()).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let filters = "%7B%22event%22%3A%5B%22rename%22%5D%7D";
    write!(slow, "GET /events?filters={filters} HTTP/1.1\r\nHost: story\r\n\r\n").unwrap();
    let mut lines = BufReader::new(slow).lines();
    // The head is sent once it listens.
    assert!(lines.next().unwrap().unwrap().contains("200"));
    let long = "x".repeat(100);
    for n in 0..RENAMES {
        let old = if n == 0 { "web".to_owned() } else { format!("{long}{}", n - 1) };
        let renamed = host.api("POST", &format!("/containers/{old}/rename?name={long}{n}"), None);
        assert_eq!(renamed.status, 204, "{}", renamed.body);
    }

    let heard = lines.map(Result::unwrap).filter(|line| line.starts_with('{')).take(RENAMES);
    for (n, line) in heard.enumerate() {
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["Actor"]["Attributes"]["name"], format!("{long}{n}"));
    }
}

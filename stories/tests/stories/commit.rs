//! `commit`: an image of what a container has made of its own.

use serde_json::Value;
use stories::{Entry, FileSystem, Host, ImageArchive, eventually};

#[test]
fn a_committed_container_is_an_image_that_runs_and_travels() {
    let host = Host::start();
    let container = host.run(
        "--name box --env A=b --label l=v busybox sh -c 'echo text >/own; ln /own /second; rm -r /var/www; \
         rm -r /home; mkdir /home; touch /home/new; chown 7:8 /own; chmod 4755 /own; echo done; sleep 1000'",
    );
    container.logs_eventually("done");
    let commit = "commit --author Anna --message why --change 'ENV C=$A' --change 'LABEL q=r' \
                  --change 'CMD [\"cat\", \"/own\"]' --change 'EXPOSE 80' --change 'WORKDIR /tmp' box copy:1";
    let id = host.answer(commit);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(container.status(), "running");

    let check = |what: &str| {
        host.docker("run --rm copy:1").succeeds().prints("text\n");
        let script =
            "stat -c '%a %u %g %h' /second; ls /home; test ! -e /var/www && pwd; echo $A $C";
        let outcome = host.docker_words(&["run", "--rm", "copy:1", "sh", "-c", script]).succeeds();
        assert_eq!(outcome.stdout, "4755 7 8 2\nnew\n/tmp\nb b\n", "{what}");
    };
    check("committed");
    let image = host.inspect("image inspect copy:1");
    assert_eq!(image["Author"], "Anna");
    assert_eq!(image["Comment"], "why");
    assert_eq!(image["Config"]["Labels"], serde_json::json!({"l": "v", "q": "r"}));
    assert_eq!(image["Config"]["ExposedPorts"], serde_json::json!({"80/tcp": {}}));
    let history = host.answer("history --no-trunc --format '{{.CreatedBy}}|{{.Comment}}' copy:1");
    let step = history.lines().next().unwrap();
    assert!(step.starts_with("sh -c echo text") && step.ends_with("|why"), "{step}");

    let file = host.path("copy.tar");
    host.docker(&format!("save --output {} copy:1", file.display())).succeeds();
    host.docker("rmi copy:1").succeeds();
    host.docker(&format!("load --input {}", file.display())).succeeds();
    check("loaded");
}

#[test]
fn a_container_is_paused_while_it_is_committed_unless_that_is_not_wanted() {
    let host = Host::start();
    let container = host.run("--name box busybox sleep 1000");
    host.docker("commit box with").succeeds();
    host.docker("commit --pause=false box without").succeeds();
    assert_eq!(container.status(), "running");
    let events = host.events("--filter container=box --format '{{.Action}}'");
    let actions: Vec<_> =
        events.lines().filter(|action| ["pause", "commit", "unpause"].contains(action)).collect();
    assert_eq!(actions, ["pause", "commit", "unpause", "commit"]);

    host.docker("pause box").succeeds();
    host.docker("commit box paused").succeeds();
    assert_eq!(container.status(), "paused", "who was paused before stays so");
    host.docker("unpause box").succeeds();
}

#[test]
fn commits_at_once_take_turns_and_the_container_holds_still_for_each() {
    if !Host::is_wharf_or_skips("dockerd lets the container go on when the first is done") {
        return;
    }
    let host = Host::start();
    let container = host.run("--name box busybox sleep 1000");
    host.docker("exec box dd if=/dev/urandom of=/much bs=1M count=8").succeeds();
    let commits: Vec<_> =
        (0..4).map(|number| host.spawn(&format!("commit box at:{number}"))).collect();
    for commit in commits {
        commit.finish().succeeds();
    }
    assert_eq!(container.status(), "running");
    let events = host.events("--filter container=box --format '{{.Action}}'");
    let actions: Vec<_> =
        events.lines().filter(|action| ["pause", "commit", "unpause"].contains(action)).collect();
    assert_eq!(actions, ["pause", "commit", "unpause"].repeat(4));
}

#[test]
fn commits_are_told_as_events() {
    let host = Host::start();
    host.create("--name box busybox true");
    let id = host.answer("commit --message why box copy:1");
    let events = host.events("--filter event=commit --format '{{json .Actor}}'");
    let actor: Value = serde_json::from_str(events.trim()).unwrap();
    let attributes = &actor["Attributes"];
    assert_eq!(attributes["imageID"], id.as_str());
    assert_eq!(
        (&attributes["imageRef"], &attributes["comment"]),
        (&"copy:1".into(), &"why".into())
    );
    let events = host.events("--filter type=image --format '{{.Action}}'");
    assert!(events.ends_with("create\ntag"), "{events}");
}

#[test]
fn a_commit_without_changes_has_no_layer_of_its_own() {
    let host = Host::start();
    host.create("--name box busybox true");
    host.docker("commit box copy").succeeds();
    let layers =
        |name: &str| host.inspect(&format!("image inspect {name}"))["RootFS"]["Layers"].clone();
    assert_eq!(layers("copy"), layers("busybox"));
    host.docker("run --rm copy echo works").succeeds().prints("works\n");
}

#[test]
fn a_configuration_can_be_given() {
    let host = Host::start();
    host.create("--name box --user anna --env A=1 --env B=2 busybox true");
    let body = r#"{"Env":["A=own"],"Cmd":["new"]}"#;
    let answer = host.api("POST", "/v1.51/commit?container=box&repo=copy&tag=1", Some(body));
    assert_eq!(answer.status, 201, "{}", answer.body);
    let config = &host.inspect("image inspect copy:1")["Config"];
    assert_eq!(config["Env"], serde_json::json!(["A=own", "B=2"]));
    assert_eq!((&config["Cmd"], &config["User"]), (&serde_json::json!(["new"]), &"anna".into()));
}

#[test]
fn what_cannot_be_committed_is_refused_in_dockers_words() {
    let host = Host::start();
    host.create("--name box busybox true");
    let refused = |line: &str, words: &str| {
        host.docker(line).fails_with(1).stderr_has(words);
    };
    refused("commit nobody", "No such container: nobody");
    refused("commit --change 'RUN x' box", "RUN is not a valid change command");
    refused("commit box UPPER", "must be lowercase");
    refused("commit --change 'EXPOSE x/y' box", "nvalid");
    assert_eq!(host.answer("images --quiet").lines().count(), 1, "nothing was left");
}

#[test]
fn a_container_whose_image_was_removed_can_be_committed() {
    if !Host::is_wharf_or_skips("dockerd cannot commit without the image's configuration") {
        return;
    }
    let host = Host::start();
    let files = FileSystem::with_shell().with(Entry::file("lower", "below\n"));
    let image = ImageArchive::new("base:1", serde_json::json!({"Cmd": ["sh"]}));
    let image =
        image.layer(&files).layer(&FileSystem::empty().with(Entry::file("upper", "above\n")));
    host.load(&image.docker_archive()).succeeds();
    host.run("--name box base:1 sh -c 'echo own >/own'").wait();
    host.docker("rmi --force base:1").succeeds();
    host.docker("image inspect base:1").fails();
    host.docker("commit --change 'CMD [\"cat\", \"/lower\", \"/upper\", \"/own\"]' box copy")
        .succeeds();
    host.docker("rm box").succeeds();
    host.docker("run --rm copy").succeeds().prints("below\nabove\nown\n");
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_commit_leaves_nothing() {
    if !Host::is_wharf_or_skips("dockerd leaves the container paused") {
        return;
    }
    let host = Host::start();
    let container = host.run(
        "--name box busybox sh -c 'dd if=/dev/zero bs=1M count=64 2>/dev/null | tr \"\\0\" x >/large; \
         echo done; sleep 1000'",
    );
    container.logs_eventually("done");
    let images = || host.answer("images --all --quiet").lines().count();
    let layers = || std::fs::read_dir(host.data_root().join("layers")).unwrap().count();
    let before = (images(), layers());
    let client = host.spawn("commit box copy");
    eventually("the container to be paused", || (container.status() == "paused").then_some(()));
    host.kill_daemon();
    drop(client);
    host.start_daemon();

    container.becomes("running");
    assert_eq!((images(), layers()), before);
    let unfinished = host.data_root().join("unfinished");
    eventually("the draft to go", || {
        (std::fs::read_dir(&unfinished).unwrap().count() == 0).then_some(())
    });
    host.docker("commit box copy").succeeds();
    host.docker("run --rm copy sh -c 'wc -c </large'").succeeds().prints("67108864\n");
}

//! `ps`: which containers, and how they are shown.

use stories::{Host, eventually};

#[test]
fn the_table_has_docker_s_columns() {
    let host = Host::start();
    let container = host.run("--name web --publish 8080:80 busybox sleep 1000");

    let outcome = host.docker("ps").succeeds();

    let header: Vec<_> = outcome.lines()[0].split_whitespace().collect();
    assert_eq!(
        header,
        ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    );
    let row = outcome.lines()[1];
    assert!(row.starts_with(&container.id[..12]), "{row}");
    for part in ["busybox", "\"sleep 1000\"", "ago", "Up ", "0.0.0.0:8080->80/tcp", "web"] {
        assert!(row.contains(part), "{part} in {row}");
    }
}

#[test]
fn only_what_runs_is_listed_unless_asked() {
    let host = Host::start();
    host.run("--name running busybox sleep 1000");
    host.run("--name exited busybox sh -c 'exit 3'").wait();
    host.create("--name created busybox");
    let names = |flags: &str| host.answer(&format!("ps {flags} --format {{{{.Names}}}}"));

    assert_eq!(names(""), "running");
    assert_eq!(names("--all"), "created\nexited\nrunning");
    assert_eq!(names("--last 2"), "created\nexited");
    assert_eq!(names("--latest"), "created");
}

#[test]
fn filters_choose() {
    let host = Host::start();
    let web = host.run("--name web --label tier=front --publish 8080:80 busybox sleep 1000");
    host.run("--name database --label tier=back --volume data:/data busybox sleep 1000");
    host.run("--name job --label tier busybox sh -c 'exit 3'").wait();
    host.create("--name later --network none busybox");
    let names = |filters: &str| {
        let text = host.answer(&format!("ps --all --format {{{{.Names}}}} {filters}"));
        let mut names: Vec<_> = text.lines().map(str::to_owned).collect();
        names.sort_unstable();
        names.join(" ")
    };

    assert_eq!(names("--filter name=web"), "web");
    assert_eq!(names("--filter name=^job$"), "job");
    assert_eq!(names(&format!("--filter id={}", &web.id[..10])), "web");
    assert_eq!(names("--filter status=running"), "database web");
    assert_eq!(names("--filter status=created --filter status=exited"), "job later");
    assert_eq!(names("--filter exited=3"), "job");
    assert_eq!(names("--filter label=tier"), "database job web");
    assert_eq!(names("--filter label=tier=front"), "web");
    assert_eq!(names("--filter ancestor=busybox"), "database job later web");
    assert_eq!(names("--filter volume=data"), "database");
    assert_eq!(names("--filter network=none"), "later");
    assert_eq!(names("--filter publish=8080"), "web");
    assert_eq!(names("--filter before=database"), "web");
    assert_eq!(names("--filter since=job"), "later");
    host.docker("ps --filter nope=1").fails_with(1).stderr_has("invalid filter 'nope'");
    host.docker("ps --filter status=nope").fails_with(1).stderr_has("nope");
}

#[test]
fn a_template_prints_what_it_says() {
    let host = Host::start();
    let web = host.run("--name web --label tier=front --network host busybox sleep 1000");
    let shown = |template: &str| host.docker_words(&["ps", "--format", template]).succeeds().stdout;

    assert_eq!(shown("{{.ID}} {{.Image}}"), format!("{} busybox\n", &web.id[..12]));
    assert_eq!(shown("{{.Names}}|{{.Ports}}|{{.State}}"), "web||running\n");
    assert_eq!(shown("{{.Label \"tier\"}}"), "front\n");
    assert_eq!(shown("{{upper .Names}}-{{json .Names}}"), "WEB-\"web\"\n");
    assert_eq!(shown("{{.Command}}"), "\"sleep 1000\"\n");
    assert_eq!(shown("{{.Networks}} {{.LocalVolumes}} {{.Mounts}}"), "host 0 \n");
    assert_eq!(shown("table {{.Names}}\t{{.Image}}"), "NAMES     IMAGE\nweb       busybox\n");
    assert!(shown("{{.Status}}").starts_with("Up "));
    host.docker_words(&["ps", "--format", "{{.Nope}}"]).fails_with(1);
}

#[test]
fn json_has_a_line_each() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    let line = host.answer("ps --format json");

    let row: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(row["Names"], "web");
    assert_eq!(row["State"], "running");
    for key in ["Command", "CreatedAt", "ID", "Labels", "Mounts", "RunningFor", "Size", "Status"] {
        assert!(row.get(key).is_some(), "{key} in {row}");
    }
}

#[test]
fn quiet_prints_ids_alone() {
    let host = Host::start();
    let one = host.create("busybox");
    let two = host.create("busybox");

    host.docker("ps --all --quiet").succeeds().prints(&format!(
        "{}\n{}\n",
        &two.id[..12],
        &one.id[..12]
    ));
    host.docker("ps --all --quiet --no-trunc")
        .succeeds()
        .prints(&format!("{}\n{}\n", two.id, one.id));
}

#[test]
fn the_status_is_told_in_docker_s_words() {
    let host = Host::start();
    host.create("--name created busybox");
    host.run("--name failed busybox sh -c 'exit 3'").wait();
    host.run("--name paused busybox sleep 1000");
    host.docker("pause paused").succeeds();
    let status = |name: &str| {
        host.answer(&format!("ps --all --filter name=^{name}$ --format {{{{.Status}}}}"))
    };

    assert_eq!(status("created"), "Created");
    assert!(status("failed").starts_with("Exited (3) "), "{}", status("failed"));
    assert!(status("paused").ends_with(" (Paused)"), "{}", status("paused"));
    eventually("a status in seconds", || status("failed").ends_with("seconds ago").then_some(()));
}

#[test]
fn the_size_is_what_the_container_wrote() {
    let host = Host::start();
    host.run("--name web busybox sh -c 'head -c 1000000 /dev/zero > /big'").wait();

    let size = host.answer("ps --all --size --format {{.Size}}");

    assert!(size.starts_with("1MB (virtual "), "{size}");
}

#[test]
fn top_shows_the_processes() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    let outcome = host.docker("top web").succeeds();
    let header: Vec<_> = outcome.lines()[0].split_whitespace().collect();
    assert_eq!(header, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert!(outcome.lines()[1].ends_with("sleep 1000"), "{outcome}");

    let chosen = host.docker("top web -o pid,args").succeeds();
    let pid = host.container("web").pid();
    let row: Vec<_> = chosen.lines()[1].split_whitespace().map(str::to_owned).collect();
    assert_eq!(row, [pid.to_string().as_str(), "sleep", "1000"]);

    host.docker("kill web").succeeds();
    host.docker("top web").fails_with(1).stderr_has("is not running");
}

//! `info`, `version`, and how the daemon introduces itself.

use stories::{Host, eventually};

#[test]
fn the_daemon_introduces_itself() {
    let host = Host::start();

    let answer = host.api("GET", "/_ping", None);

    assert_eq!((answer.status, answer.body.as_str()), (200, "OK"));
    let head = answer.head.to_lowercase();
    assert!(head.contains("\r\napi-version: 1.51\r\n"), "{head}");
    assert!(head.contains("\r\nostype: linux"), "{head}");
    assert_eq!(host.api("HEAD", "/_ping", None).status, 200);
}

#[test]
fn version_tells_both_sides() {
    let host = Host::start();

    host.docker("version").succeeds().stdout_has("Client:").stdout_has("Server:");
    assert_eq!(host.answer("version --format {{.Server.APIVersion}}"), "1.51");
    assert_eq!(host.answer("version --format {{.Server.MinAPIVersion}}"), "1.24");
    assert_eq!(host.answer("version --format {{.Client.Os}}/{{.Server.Os}}"), "linux/linux");
}

#[test]
fn info_counts() {
    let host = Host::start();
    host.run("--name running busybox sleep 1000");
    host.run("--name paused busybox sleep 1000");
    host.docker("pause paused").succeeds();
    host.create("--name stopped busybox");

    let template = "{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} \
                    {{.ContainersStopped}} {{.Images}} {{.OSType}} {{.NCPU}}";
    let processors = std::thread::available_parallelism().unwrap();
    host.docker_words(&["info", "--format", template])
        .succeeds()
        .prints(&format!("3 1 1 1 1 linux {processors}\n"));
    host.docker("info").succeeds().stdout_has(" Containers: 3\n  Running: 1\n");
    assert_eq!(
        host.answer("info --format {{.DockerRootDir}}"),
        host.data_root().display().to_string()
    );
}

#[test]
fn a_daemon_that_is_not_there_is_named() {
    let host = Host::builder().bare().start();
    let nowhere = host.path("nowhere");

    host.docker(&format!("--host unix://{} ps", nowhere.display()))
        .fails_with(1)
        .stderr_says(&format!("at unix://{}. is the docker daemon running?", nowhere.display()));
}

#[test]
fn the_client_helps() {
    let host = Host::builder().bare().start();

    host.docker("--help").succeeds().stdout_has("run").stdout_has("ps");
    host.docker("run --help").succeeds().stdout_has("--publish").stdout_has("--volume");
    host.docker("nope").fails().stderr_says("nope");
    host.docker("run").fails().stderr_says("requires at least 1 argument");
    host.docker("--version").succeeds().stdout_has("version");
}

#[test]
fn the_engine_can_be_spoken_to_over_standard_streams() {
    let host = Host::start();
    let mut client = host.spawn("system dial-stdio");
    for number in 1..=2 {
        client.types("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
        eventually("another answer", || {
            (client.output().matches("HTTP/1.1 200 OK").count() == number).then_some(())
        });
    }
    client.ends_input();

    client.finish().succeeds();
    host.docker("system --help").succeeds().stdout_lacks("dial-stdio");
}

#[test]
fn a_flag_that_does_not_work_yet_is_refused_by_name() {
    if !Host::is_wharf_or_skips("dockerd can do these") {
        return;
    }
    let host = Host::start();

    for (flag, name) in
        [("--mount type=image,src=busybox,dst=/x", "image"), ("--network a --network b", "network")]
    {
        host.docker(&format!("run --rm {flag} busybox true")).fails_with(125).stderr_has(name);
    }
}

#[test]
fn a_daemon_is_started_when_none_is_named_and_none_answers() {
    if !Host::is_wharf_or_skips("docker starts no daemon") {
        return;
    }
    // Everything goes with the namespace of processes: the daemon has no other end.
    let script = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && \
                  busybox ip link set lo up && cd / && exec \"$0\" run --rm hello";
    let output = std::process::Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", script])
        .arg(Host::wharf())
        .env_remove("DOCKER_HOST")
        .output()
        .unwrap();

    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !shown.is_empty(), "{output:?}");
}

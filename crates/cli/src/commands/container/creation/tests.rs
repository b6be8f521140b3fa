//! The request that flags come to.

use serde_json::{Value, json};

use super::request;
use crate::command_line::{Outcome, Parsed, parse};

fn line(words: &[&str]) -> Parsed {
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let outcome = parse(&crate::commands::container::CREATE, "wharf create".to_owned(), &words);
    match outcome {
        Ok(Outcome::Ready(parsed)) => parsed,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn document(words: &[&str]) -> Value {
    serde_json::to_value(request(&line(words), &[]).unwrap()).unwrap()
}

/// The members that the flags changed, against a container without any.
#[track_caller]
fn check(flags: &[&str], pointer: &str, expected: &Value) {
    let words = [flags, &["busybox"]].concat();
    let document = document(&words);
    assert_eq!(document.pointer(pointer), Some(expected), "{flags:?}");
}

#[test]
fn what_follows_the_image_is_the_command() {
    let document = document(&["-it", "busybox", "sh", "-c", "exit 3"]);
    assert_eq!(document["Image"], "busybox");
    assert_eq!(document["Cmd"], json!(["sh", "-c", "exit 3"]));
    assert_eq!(document["StdinOnce"], true);
    assert_eq!(document["Tty"], true);
}

#[test]
fn flags_become_members() {
    check(&["-m", "64m"], "/HostConfig/Memory", &json!(67_108_864));
    check(&["--memory-swap=-1"], "/HostConfig/MemorySwap", &json!(-1));
    check(&["--cpus", "0.5"], "/HostConfig/NanoCpus", &json!(500_000_000));
    check(&["-e", "A=1", "--env=B=2"], "/Env", &json!(["A=1", "B=2"]));
    check(&["--health-tcp", "80"], "/Healthcheck", &json!({"Test": ["TCP", "80"]}));
    check(
        &["--health-http=80/x", "--health-action=stop"],
        "/Healthcheck",
        &json!({"Test": ["HTTP", "80/x"], "Action": "stop"}),
    );
    check(&["-l", "a=b", "-l", "c"], "/Labels", &json!({"a": "b", "c": ""}));
    check(&["-v", "/data"], "/Volumes", &json!({"/data": {}}));
    check(&["-v", "a:/data:ro"], "/HostConfig/Binds", &json!(["a:/data:ro"]));
    check(&["--tmpfs", "/t:size=1m"], "/HostConfig/Tmpfs", &json!({"/t": "size=1m"}));
    check(&["--entrypoint="], "/Entrypoint", &json!([""]));
    check(
        &["--restart", "on-failure:2"],
        "/HostConfig/RestartPolicy",
        &json!({
            "Name": "on-failure", "MaximumRetryCount": 2
        }),
    );
    check(
        &["-p", "127.0.0.1:80:80"],
        "/HostConfig/PortBindings",
        &json!({
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]
        }),
    );
    check(&["-p", "80", "--expose", "81"], "/ExposedPorts", &json!({"80/tcp": {}, "81/tcp": {}}));
    check(
        &["--ulimit", "nofile=1:2"],
        "/HostConfig/Ulimits",
        &json!([
            {"Name": "nofile", "Hard": 2, "Soft": 1}
        ]),
    );
    check(
        &["--health-cmd", "true", "--health-interval=1s"],
        "/Healthcheck",
        &json!({
            "Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000
        }),
    );
    check(&["--security-opt", "systempaths=unconfined"], "/HostConfig/MaskedPaths", &json!([]));
    check(&["--init=false"], "/HostConfig/Init", &json!(false));
    check(&["--net", "container:x"], "/HostConfig/NetworkMode", &json!("container:x"));
    check(
        &["--network", "name=n,alias=a"],
        "/NetworkingConfig/EndpointsConfig/n/Aliases",
        &json!(["a"]),
    );
    check(
        &["--device", "/dev/fuse:r"],
        "/HostConfig/Devices/0",
        &json!({
            "PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "r"
        }),
    );
}

#[test]
fn contradictions_are_refused() {
    for (flags, error) in [
        (
            &["--rm", "--restart=always"][..],
            "conflicting options: cannot specify both --restart and --rm",
        ),
        (&["--pid", "x"], "--pid: invalid PID mode"),
        (&["--mac-address", "x"], "x is not a valid mac address"),
        (
            &["--memory-swappiness", "101"],
            "invalid value: 101. Valid memory swappiness range is 0-100",
        ),
        (
            &["--network-alias", "a"],
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            &["--no-healthcheck", "--health-cmd", "x"],
            "--no-healthcheck conflicts with --health-* options",
        ),
        (&["--log-driver=none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (&["--network", "a", "--network", "a"], "network \"a\" is specified multiple times"),
    ] {
        let words = [flags, &["busybox"]].concat();
        assert_eq!(request(&line(&words), &[]), Err(error.to_owned()), "{flags:?}");
    }
}

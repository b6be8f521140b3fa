//! Programs that run at certain points of a container's life.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::host::{Bundle, null_streams};

/// A hook that notes its point, and what it was told, in a file of the host's.
fn noting(bundle: &Bundle, point: &str) -> Value {
    let notes = bundle.path().join("notes");
    let script = format!("echo {point} $(grep -o '\"status\":\"[a-z]*\"') >>{}", notes.display());
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
}

#[test]
fn they_run_in_order_with_the_state() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    let mut hooks = json!({});
    for point in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        hooks[point] = noting(&bundle, point);
    }
    hooks["startContainer"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", "cat >/seen"]}]);
    bundle.spec["hooks"] = hooks;
    bundle.run();
    let notes = fs::read_to_string(bundle.path().join("notes")).unwrap();
    let lines: Vec<&str> = notes.lines().collect();
    assert_eq!(
        lines,
        [
            r#"prestart "status":"created""#,
            r#"createRuntime "status":"creating""#,
            r#"createContainer "status":"creating""#,
            r#"poststart "status":"running""#,
            r#"poststop "status":"stopped""#,
        ]
    );
    let seen = fs::read_to_string(bundle.rootfs().join("seen")).unwrap();
    assert!(seen.contains(r#""status":"created""#), "{seen}");
}

#[test]
fn one_that_fails_stops_the_container() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.spec["hooks"] = json!({"createRuntime": [
        {"path": "/bin/sh", "args": ["sh", "-c", "echo too bad >&2; exit 3"]}]});
    let error = bundle.try_run().unwrap_err();
    assert_eq!(error, "error running createRuntime hook #0: `/bin/sh`: exit status: 3: too bad");
}

#[test]
fn a_timeout_may_be_of_any_length() {
    require_containers!();
    for timeout in [i64::MAX, i64::MAX / 1_000_000] {
        let mut bundle = Bundle::new("true");
        bundle.spec["hooks"] = json!({"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", "exit 0"], "timeout": timeout}]});
        assert_eq!(bundle.run().code, 0);
    }
}

#[test]
fn one_that_hangs_is_killed() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    let script = bundle.path().join("hang");
    fs::write(&script, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    bundle.spec["hooks"] =
        json!({"createRuntime": [{"path": script, "timeout": 1, "env": ["PATH=/bin"]}]});
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("it has not ended after 1 s"), "{error}");
}

#[test]
fn those_of_a_containers_end_all_run() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    let noting = noting(&bundle, "poststop")[0].clone();
    bundle.spec["hooks"] = json!({"poststop": [{"path": "/bin/false"}, noting]});
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let warnings = container.delete().unwrap();
        assert_eq!(warnings, ["error running poststop hook #0: `/bin/false`: exit status: 1"]);
    });
    let notes = fs::read_to_string(bundle.path().join("notes")).unwrap();
    assert_eq!(notes, "poststop \"status\":\"stopped\"\n");
}

#[test]
fn those_before_the_program_have_its_environment_if_none_of_their_own() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.spec["process"]["env"] = json!(["PATH=/bin", "COLOUR=blue"]);
    let hook = |name: &str, env: Value| {
        let script = format!("echo $COLOUR $HOME >/{name}");
        json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": env})
    };
    bundle.spec["hooks"] = json!({"startContainer": [
        hook("inherited", json!([])), hook("own", json!(["COLOUR=red"]))]});
    bundle.run();
    let read = |name: &str| fs::read_to_string(bundle.rootfs().join(name)).unwrap();
    assert_eq!(read("inherited"), "blue /root\n");
    assert_eq!(read("own"), "red\n");
}

#[test]
fn the_state_has_annotations_and_a_number_that_is_right_where_the_hook_is() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    let notes = bundle.path().join("notes");
    let note = format!("cat >>{0}; echo >>{0}", notes.display());
    let on_host = json!([{"path": "/bin/sh", "args": ["sh", "-c", note],
                          "env": ["PATH=/bin:/usr/bin"]}]);
    bundle.spec["annotations"] = json!({"org.example.key": "value"});
    bundle.spec["hooks"] = json!({
        "createRuntime": on_host, "createContainer": on_host,
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/seen"]}],
    });
    bundle.run();
    let inside = fs::read_to_string(bundle.rootfs().join("seen")).unwrap();
    let notes = fs::read_to_string(notes).unwrap();
    let states: Vec<Value> = notes
        .lines()
        .chain(inside.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let pids: Vec<i64> = states.iter().map(|state| state["pid"].as_i64().unwrap()).collect();
    assert!(pids[0] > 1, "{pids:?}");
    assert_eq!(pids[1..], [1, 1]);
    for state in states {
        assert_eq!(state["annotations"]["org.example.key"], "value");
        assert_eq!(state["id"], bundle.id.as_str());
    }
}

#[test]
fn what_one_leaves_behind_keeps_nobody_waiting() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    // Its child keeps its streams, and it says more than a pipe holds.
    let script = "sleep 30 & head -c 200000 /dev/zero >&2; exit 0";
    bundle.spec["hooks"] = json!({"createRuntime": [
        {"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 20, "env": ["PATH=/bin:/usr/bin"]}]});
    let began = std::time::Instant::now();
    bundle.run();
    assert!(began.elapsed() < std::time::Duration::from_secs(15));
}

#[test]
fn one_that_fails_has_the_last_ones_run_all_the_same() {
    require_containers!();
    let failing = json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]);
    for point in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        let mut bundle = Bundle::new("sleep 100");
        bundle.spec["hooks"] = json!({point: failing, "poststop": noting(&bundle, "poststop")});
        bundle.with_container(null_streams, |container| {
            let Ok(mut container) = container else { return };
            container.start().unwrap_err();
            container.delete().unwrap();
        });
        let notes = fs::read_to_string(bundle.path().join("notes")).unwrap();
        assert_eq!(notes, "poststop \"status\":\"stopped\"\n", "{point}");
    }
}

#[test]
fn one_that_cannot_be_run_is_refused_by_name() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.spec["hooks"] = json!({"poststop": [{"path": "relative"}]});
    let error = bundle.try_run().unwrap_err();
    assert_eq!(error, "hooks.poststop[0].path: it has to be an absolute path");
}

#[test]
fn those_of_the_containers_making_work_in_its_root() {
    require_containers!();
    let mut bundle = Bundle::new("cat /note");
    bundle.spec["hooks"] = json!({"createContainer": [
        {"path": "/bin/sh", "args": ["sh", "-c", "echo here >note"]}]});
    assert_eq!(bundle.run().output, "here\n");
}

#[test]
fn those_before_the_program_are_under_its_filter() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.spec["hooks"] = json!({"startContainer": [
        {"path": "/bin/sh", "args": ["sh", "-c", "mkdir /made"]}]});
    bundle.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}]});
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("error running startContainer hook #0"), "{error}");
    assert!(!bundle.rootfs().join("made").exists());
}

//! Further processes in a running container.

use std::fs::File;

use runtime::{Container, ExecRequest, Stdio};
use serde_json::{Value, json};

use crate::host::{Bundle, execute_as, null_streams};

pub(crate) fn process(script: &str) -> Value {
    json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh", "-c", script],
        "env": ["PATH=/bin"],
    })
}

pub(crate) fn running(bundle: &Bundle, body: impl FnOnce(&Container)) {
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap_or_else(|error| panic!("{error}"));
        container.start().unwrap();
        body(&container);
        container.delete().unwrap();
    });
}

#[test]
fn it_is_in_the_same_container() {
    require_containers!();
    running(&Bundle::new("echo inside >/tmp/x; sleep 100"), |container| {
        let kinds = ["mnt", "pid", "net", "ipc", "uts", "cgroup"];
        let script = kinds.map(|kind| format!("readlink /proc/self/ns/{kind}")).join("; ");
        let (output, code) = execute_as(container, &process(&script), None).unwrap();
        assert_eq!(code, 0);
        let pid = container.pid().as_raw_nonzero();
        for (line, kind) in output.lines().zip(kinds) {
            let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
            assert_eq!(line, theirs.display().to_string());
        }
        let (output, _) = execute_as(container, &process("hostname; exit 5"), None).unwrap();
        assert_eq!(output, "inside\n");
    });
}

#[test]
fn it_is_in_the_same_cgroup() {
    require_containers!();
    running(&Bundle::new("sleep 100"), |container| {
        let before = container.cgroup().processes().unwrap().len();
        let process = serde_json::from_value(process("sleep 100")).unwrap();
        let process = container.exec(ExecRequest::new(&process, null_streams())).unwrap();
        let processes = container.cgroup().processes().unwrap();
        assert!(processes.contains(&process.pid));
        assert_eq!(processes.len(), before + 1);
    });
}

#[test]
fn it_keeps_the_filter_and_its_own_rights() {
    require_containers!();
    let mut bundle = Bundle::new("sleep 100");
    bundle.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    });
    running(&bundle, |container| {
        let mut process =
            process("grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status; mkdir /x");
        process["noNewPrivileges"] = true.into();
        process["capabilities"] = json!({"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            "effective": ["CAP_KILL"]});
        let (output, _) = execute_as(container, &process, None).unwrap();
        assert!(output.contains("NoNewPrivs:\t1\n"), "{output}");
        assert!(output.contains("Seccomp:\t2\n"), "{output}");
        assert!(output.contains("CapEff:\t0000000000000020\n"), "{output}");
        assert!(output.contains("not supported"), "{output}");
    });
}

#[test]
fn it_has_the_containers_limits_or_its_own() {
    require_containers!();
    let mut bundle = Bundle::new("sleep 100");
    bundle.spec["process"]["rlimits"] =
        json!([{"type": "RLIMIT_NOFILE", "soft": 111, "hard": 222}]);
    running(&bundle, |container| {
        let mut process = process("ulimit -n");
        assert_eq!(execute_as(container, &process, None).unwrap().0, "111\n");
        process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]);
        assert_eq!(execute_as(container, &process, None).unwrap().0, "77\n");
    });
}

#[test]
fn its_user_is_looked_up_inside() {
    require_containers!();
    running(&Bundle::new("sleep 100"), |container| {
        let (output, _) =
            execute_as(container, &process("id -u; id -G; echo $HOME"), Some("www")).unwrap();
        assert_eq!(output, "33\n33 10\n/srv\n");
        let error = execute_as(container, &process("true"), Some("nope")).unwrap_err();
        assert_eq!(error, "unable to find user nope: no matching entries in passwd file");
    });
}

#[test]
fn a_missing_program_or_folder_is_named() {
    require_containers!();
    running(&Bundle::new("sleep 100"), |container| {
        let mut process = process("true");
        process["args"] = json!(["nope"]);
        let error = execute_as(container, &process, None).unwrap_err();
        assert_eq!(error, r#"exec: "nope": executable file not found in $PATH"#);
        process["cwd"] = "/nowhere".into();
        let error = execute_as(container, &process, None).unwrap_err();
        assert!(
            error.contains(
                r#"chdir to cwd ("/nowhere") set in config.json failed: no such file or directory"#
            ),
            "{error}"
        );
    });
}

#[test]
fn the_container_cannot_see_the_runtime_in_it() {
    require_containers!();
    // CVE-2019-5736 and CVE-2016-9962: from inside, a process that is joining must give away
    // neither its program's file nor its descriptors.
    let script = "cat /proc/sys/kernel/cap_last_cap >/dev/null; while true; do \
                  for p in /proc/[0-9]*; do readlink $p/exe; ls $p/fd 2>/dev/null; done; done";
    let mut bundle = Bundle::new(script);
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    bundle.spec["process"]["capabilities"] = json!({});
    bundle.with_container(
        || {
            let stdin = File::open("/dev/null").unwrap().into();
            let stderr = File::open("/dev/null").unwrap().into();
            Stdio::Descriptors { stdin, stdout: writer.try_clone().unwrap(), stderr }
        },
        |container| {
            let mut container = container.unwrap();
            container.start().unwrap();
            let mut seen = [0; 4096];
            for _ in 0..50 {
                execute_as(&container, &process("true"), None).unwrap();
                let length = rustix::io::read(&reader, &mut seen).unwrap();
                let text = String::from_utf8_lossy(&seen[..length]);
                let own = std::env::current_exe().unwrap();
                let own = own.file_name().unwrap().to_string_lossy().into_owned();
                assert!(!text.contains(&own), "{text}");
            }
            container.delete().unwrap();
        },
    );
}

//! That a container is one: its own root, processes, names and devices.

use serde_json::json;

use crate::host::{Bundle, null_streams};

#[test]
fn a_program_runs_and_its_status_comes_back() {
    require_containers!();
    let outcome = Bundle::new("echo hello; exit 7").run();
    assert_eq!(outcome.output, "hello\n");
    assert_eq!(outcome.code, 7);
}

#[test]
fn it_is_alone() {
    require_containers!();
    let outcome = Bundle::new("echo $$; hostname; ls /; ls -d /proc/[0-9]*; ip link").run();
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert_eq!(lines[..2], ["1", "inside"]);
    assert!(lines.contains(&"/proc/1"), "{}", outcome.output);
    assert!(outcome.output.contains("LOOPBACK,UP"), "{}", outcome.output);
}

#[test]
fn nothing_of_the_host_is_mounted() {
    require_containers!();
    let outcome = Bundle::new("cat /proc/self/mountinfo").run();
    let places: Vec<&str> =
        outcome.output.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let expected = ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"];
    assert_eq!(places[..expected.len()], expected, "{}", outcome.output);
    let hidden = ["/proc/", "/sys/firmware"];
    for place in &places[expected.len()..] {
        assert!(hidden.iter().any(|prefix| place.starts_with(prefix)), "{place}");
    }
}

#[test]
fn the_usual_devices_are_there() {
    require_containers!();
    let script = "ls -l /dev; echo x >/dev/null; head -c 3 /dev/zero | wc -c; \
                  head -c 4 /dev/urandom | wc -c; readlink /dev/stdout; readlink /dev/ptmx";
    let outcome = Bundle::new(script).run();
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let line = outcome.output.lines().find(|line| line.ends_with(&format!(" {device}")));
        assert!(line.is_some_and(|line| line.starts_with("crw-rw-rw-")), "{}", outcome.output);
    }
    assert!(outcome.output.ends_with("3\n4\n/proc/self/fd/1\npts/ptmx\n"), "{}", outcome.output);
}

#[test]
fn configured_devices_are_made() {
    require_containers!();
    let mut bundle = Bundle::new("stat -c '%a %u %g %t %T' /dev/mine /dev/sub/pipe");
    bundle.spec["linux"]["devices"] = json!([
        {"path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640,
         "uid": 7, "gid": 8},
        {"path": "/dev/sub/pipe", "type": "p", "major": 0, "minor": 0},
    ]);
    assert_eq!(bundle.run().output, "640 7 8 a e5\n666 0 0 0 0\n");
}

#[test]
fn a_working_directory_is_made() {
    require_containers!();
    let mut bundle = Bundle::new("pwd");
    bundle.spec["process"]["cwd"] = "/made/for/this".into();
    assert_eq!(bundle.run().output, "/made/for/this\n");
}

#[test]
fn names_are_its_own() {
    require_containers!();
    let mut bundle = Bundle::new("hostname; cat /proc/sys/kernel/domainname");
    bundle.spec["hostname"] = "web".into();
    bundle.spec["domainname"] = "example.test".into();
    assert_eq!(bundle.run().output, "web\nexample.test\n");
}

#[test]
fn kernel_parameters_are_its_own() {
    require_containers!();
    let mut bundle = Bundle::new(
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max",
    );
    bundle.spec["linux"]["sysctl"] = json!({
        "net.ipv4.ip_forward": "1", "kernel.shmmni": "77", "fs.mqueue.msg_max": "11",
    });
    assert_eq!(bundle.run().output, "1\n77\n11\n");
}

#[test]
fn the_environment_is_the_configured_one_and_home() {
    require_containers!();
    let outcome = Bundle::new("exec env").run();
    let mut lines: Vec<&str> = outcome
        .output
        .lines()
        .filter(|line| {
            !line.starts_with("PWD=") && !line.starts_with("SHLVL=") && !line.starts_with("_=")
        })
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["HOME=/root", "LANG=C", "PATH=/usr/bin:/bin"]);
}

#[test]
fn a_variable_that_is_given_twice_is_there_once() {
    require_containers!();
    let mut bundle = Bundle::new("");
    bundle.spec["process"]["args"] = json!(["env"]);
    bundle.spec["process"]["env"] = json!(["PATH=/bin", "ONE=1", "HOME=/x", "ONE=2", "HOME="]);
    let outcome = bundle.run();
    assert_eq!(outcome.output, "PATH=/bin\nONE=2\nHOME=/root\n");
}

#[test]
fn no_descriptor_of_the_host_is_left() {
    require_containers!();
    let outcome = Bundle::new("ls /proc/self/fd").run();
    // `ls` itself has the folder open.
    assert_eq!(outcome.output, "0\n1\n2\n3\n");
}

#[test]
fn signals_are_at_their_defaults() {
    require_containers!();
    let mut bundle = Bundle::new("");
    // Without a shell, which has signals of its own to ignore.
    bundle.spec["process"]["args"] = json!(["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]);
    let outcome = bundle.run();
    assert_eq!(outcome.output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#[test]
fn one_without_a_process_can_be_created_and_not_started() {
    require_containers!();
    let mut bundle = Bundle::new("");
    bundle.spec.as_object_mut().unwrap().remove("process");
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        let error = container.start().unwrap_err().to_string();
        assert!(error.contains("process: is missing"), "{error}");
        container.delete().unwrap();
    });
}

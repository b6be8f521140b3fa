//! AppArmor's profiles and SELinux's labels. What can be shown depends on the host's kernel.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::host::{Bundle, execute, null_streams};

fn has_apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with('Y'))
}

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

#[test]
fn what_this_host_cannot_enforce_is_refused_by_name() {
    require_containers!();
    if !has_apparmor() {
        let mut bundle = Bundle::new("true");
        bundle.spec["process"]["apparmorProfile"] = "some".into();
        let error = bundle.try_run().unwrap_err();
        assert!(error.starts_with("process.apparmorProfile: apparmor: config provided"), "{error}");
        bundle.spec["process"]["apparmorProfile"] = "unconfined".into();
        assert_eq!(bundle.run().code, 0);
    }
    if !has_selinux() {
        let mut bundle = Bundle::new("true");
        bundle.spec["process"]["selinuxLabel"] = "u:r:t".into();
        let error = bundle.try_run().unwrap_err();
        let start = "process.selinuxLabel: selinux label is specified in config, but";
        assert!(error.starts_with(start), "{error}");
        // What confines nobody is nobody's loss.
        bundle.spec["process"].as_object_mut().unwrap().remove("selinuxLabel");
        bundle.spec["linux"]["mountLabel"] = "u:r:t".into();
        assert_eq!(bundle.run().code, 0);
    }
}

#[test]
fn a_profile_that_is_not_loaded_is_named() {
    require_containers!();
    if !has_apparmor() {
        println!("skipped: this kernel has no AppArmor");
        return;
    }
    let mut bundle = Bundle::new("true");
    bundle.spec["process"]["apparmorProfile"] = "wharf-test-missing".into();
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("process.apparmorProfile: `wharf-test-missing`: "), "{error}");
}

#[test]
fn a_profile_confines_the_program_and_further_ones() {
    require_containers!();
    if !has_apparmor() {
        println!("skipped: this kernel has no AppArmor");
        return;
    }
    // A path is seen from the lowest root, which on some hosts the root was moved away from.
    let profile = "profile wharf-test flags=(attach_disconnected,mediate_deleted) {\n\
                   file,\n capability,\n network,\n umount,\n deny /{,**/}tmp/forbidden w,\n}\n";
    if !load(profile) {
        println!("skipped: `apparmor_parser` is not there to load a profile");
        return;
    }
    let script = "cat /proc/self/attr/current; echo x >/tmp/free && echo x >/tmp/forbidden";
    let mut bundle = Bundle::new(script);
    bundle.spec["process"]["apparmorProfile"] = "wharf-test".into();
    let output = bundle.run().output;
    assert!(output.starts_with("wharf-test (enforce)\n"), "{output}");
    assert!(output.contains("/tmp/forbidden: Permission denied"), "{output}");

    bundle.spec["process"]["args"] = json!(["sleep", "100"]);
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let mut process = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                                 "args": ["cat", "/proc/self/attr/current"]});
        assert_eq!(execute(&container, &process).unwrap().0, "unconfined\n");
        process["apparmorProfile"] = "wharf-test".into();
        assert_eq!(execute(&container, &process).unwrap().0, "wharf-test (enforce)\n");
        container.delete().unwrap();
    });
}

fn load(profile: &str) -> bool {
    let parser = Command::new("apparmor_parser").arg("--replace").stdin(Stdio::piped()).spawn();
    let Ok(mut parser) = parser else { return false };
    parser.stdin.take().unwrap().write_all(profile.as_bytes()).unwrap();
    parser.wait().unwrap().success()
}

/// With a policy whose program type is `container_t` and whose file type is `container_file_t`,
/// as a container host's has them.
#[test]
fn labels_are_given_to_processes_and_files() {
    require_containers!();
    if !has_selinux() {
        println!("skipped: this kernel has no SELinux");
        return;
    }
    let own = fs::read_to_string("/proc/self/attr/current").unwrap();
    let own = own.trim_end_matches('\0').trim();
    let Some((user_and_role, _)) =
        own.rsplit_once("_t").and_then(|(left, _)| left.rsplit_once(':'))
    else {
        println!("skipped: no policy of types is loaded: {own}");
        return;
    };
    let (process, files) =
        (format!("{user_and_role}:container_t"), format!("{user_and_role}:container_file_t"));
    let mut bundle = Bundle::new("");
    bundle.spec["process"]["selinuxLabel"] = process.clone().into();
    bundle.spec["linux"]["mountLabel"] = files.clone().into();
    bundle.spec["process"]["args"] = json!(["sleep", "100"]);
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let folder = format!("/proc/{}", container.pid().as_raw_nonzero());
        let text =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().trim_matches('\0').to_owned();
        assert_eq!(text(&fs::read(format!("{folder}/attr/current")).unwrap()), process);
        for path in ["dev/shm", "dev/pts"] {
            let mut value = vec![0; 200];
            let path = format!("{folder}/root/{path}");
            let length = rustix::fs::getxattr(&path, "security.selinux", &mut value).unwrap();
            assert_eq!(text(&value[..length]), files, "{path}");
        }
        let further = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                             "selinuxLabel": process, "args": ["cat", "/proc/self/attr/current"]});
        let (output, _) = execute(&container, &further).unwrap();
        assert_eq!(text(output.as_bytes()), process);
        container.delete().unwrap();
    });
}

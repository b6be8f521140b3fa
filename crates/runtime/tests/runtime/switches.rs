//! What a caller may want otherwise than usual, beside the configuration.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use runtime::{ChangeRoot, ExecRequest, Keyring};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde_json::json;

use crate::host::{Bundle, null_streams};

#[test]
fn a_root_that_is_moved_instead_of_pivoted_hides_the_host_too() {
    require_containers!();
    let marker = tempfile::NamedTempFile::new().unwrap();
    let script = format!(
        "ls -d {} /bin/true; ls /; grep -c ' / .* - proc ' /proc/self/mountinfo",
        marker.path().display()
    );
    let mut bundle = Bundle::new(&script);
    bundle.change_root = ChangeRoot::Chroot;
    let output = bundle.run().output;
    assert!(output.contains("No such file"), "{output}");
    assert!(output.contains("/bin/true\n"), "{output}");
    // Of the kernel's processes there is the container's view alone.
    assert!(output.ends_with("\n1\n"), "{output}");
}

#[test]
fn a_further_process_finds_a_moved_root() {
    require_containers!();
    let mut bundle = Bundle::new("sleep 100");
    bundle.change_root = ChangeRoot::Chroot;
    bundle.write("here", "");
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let process = json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["test", "-e", "/here"],
            "env": ["PATH=/bin"],
        });
        let process = serde_json::from_value(process).unwrap();
        let process = container.exec(ExecRequest::new(&process, null_streams())).unwrap();
        let pidfd = WaitId::PidFd(std::os::fd::AsFd::as_fd(&process.pidfd));
        let status = waitid(pidfd, WaitIdOptions::EXITED).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(0));
        container.delete().unwrap();
    });
}

#[test]
fn descriptors_can_be_handed_to_the_program() {
    require_containers!();
    let mut bundle = Bundle::new("ls -l /proc/self/fd/3 /proc/self/fd/4; ls /proc/self/fd/5");
    bundle.preserved_descriptors = 2;
    bundle.write("given", "");
    let code = linux::process::in_forked_process(|| {
        linux::process::close_descriptors_from(3, &[]).unwrap();
        let file = File::open(bundle.rootfs().join("given")).unwrap();
        let copy = file.try_clone().unwrap();
        assert_eq!((file.as_raw_fd(), copy.as_raw_fd()), (3, 4));
        let output = bundle.run().output;
        assert_eq!(output.matches("/rootfs/given\n").count(), 2, "{output}");
        assert!(output.contains("/proc/self/fd/5: No such file"), "{output}");
        linux::process::exit(0);
    });
    assert_eq!(code.unwrap(), 0);
}

#[test]
fn a_descriptor_to_hand_over_has_to_be_open() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.preserved_descriptors = 1000;
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("(of 1000) is not open"), "{error}");
}

#[test]
fn the_session_keyring_is_the_containers_own_or_the_callers() {
    require_containers!();
    if std::fs::metadata("/proc/keys").is_err() {
        println!("skipped: this kernel has no keyrings");
        return;
    }
    for (keyring, is_there) in [(Keyring::New, true), (Keyring::Inherited, false)] {
        let mut bundle = Bundle::new("cat /proc/keys");
        bundle.keyring = keyring;
        let output = bundle.run().output;
        assert_eq!(output.contains(&format!("_ses.{}: empty", bundle.id)), is_there, "{output}");
    }
}

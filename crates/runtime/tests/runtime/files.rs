//! The root file system and what is mounted in it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use runtime::{CreateRequest, Root, Stdio};
use serde_json::{Value, json};

use crate::host::{Bundle, exit_code};

fn with_mount(script: &str, mount: Value) -> Bundle {
    let mut bundle = Bundle::new(script);
    bundle.spec["mounts"].as_array_mut().unwrap().push(mount);
    bundle
}

#[test]
fn a_read_only_root_cannot_be_written() {
    require_containers!();
    let mut bundle = Bundle::new("touch /x; touch /tmp/y; touch /dev/shm/z && echo shm");
    bundle.spec["root"]["readonly"] = true.into();
    let outcome = bundle.run();
    assert!(outcome.output.contains("/x: Read-only file system"), "{}", outcome.output);
    assert!(outcome.output.contains("/tmp/y: Read-only file system"), "{}", outcome.output);
    assert!(outcome.output.ends_with("shm\n"), "{}", outcome.output);
}

#[test]
fn a_file_and_a_folder_are_bound() {
    require_containers!();
    let mut bundle = Bundle::new("cat /etc/name; cat /deep/er/file; echo more >/deep/er/new");
    let source = bundle.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "bound\n").unwrap();
    let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/etc/name", "type": "bind", "source": "source/file",
                       "options": ["rbind", "rprivate"]}));
    mounts.push(json!({"destination": "/deep/er", "type": "bind", "source": source,
                       "options": ["rbind"]}));
    assert_eq!(bundle.run().output, "bound\nbound\n");
    assert_eq!(fs::read_to_string(source.join("new")).unwrap(), "more\n");
}

#[test]
fn options_of_a_bind_hold() {
    require_containers!();
    let bundle = with_mount(
        "touch /data/x; grep ' /data ' /proc/self/mountinfo",
        json!({"destination": "/data", "type": "bind", "source": "/var/tmp",
               "options": ["rbind", "ro", "nosuid", "nodev", "noexec", "noatime", "rslave"]}),
    );
    let output = bundle.run().output;
    assert!(output.contains("Read-only file system"), "{output}");
    assert!(output.contains("ro,nosuid,nodev,noexec,noatime"), "{output}");
}

#[test]
fn a_bind_can_be_read_only_all_the_way_down() {
    require_containers!();
    // The container's own tmpfs below a bound folder stands for any mount below it.
    let bundle = with_mount(
        "touch /again/shm/x; touch /again/x",
        json!({"destination": "/again", "type": "bind", "source": "/dev",
               "options": ["rbind", "rro"]}),
    );
    let output = bundle.run().output;
    assert!(output.contains("/again/x: Read-only file system"), "{output}");
    assert!(
        output.lines().all(|line| line.contains("Read-only") || line.contains("No such")),
        "{output}"
    );
}

#[test]
fn a_tmpfs_has_its_size_and_mode() {
    require_containers!();
    let bundle = with_mount(
        "stat -c %a /scratch; dd if=/dev/zero of=/scratch/big bs=64k count=32; ls -l /scratch",
        json!({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs",
               "options": ["size=1m", "mode=1770", "noexec"]}),
    );
    let output = bundle.run().output;
    assert!(output.starts_with("1770\n"), "{output}");
    assert!(output.contains("No space left on device"), "{output}");
    assert!(output.contains("1048576"), "{output}");
}

#[test]
fn a_tmpfs_takes_the_mode_of_what_it_covers() {
    require_containers!();
    let bundle = with_mount(
        "stat -c %a /tmp",
        json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}),
    );
    fs::set_permissions(bundle.rootfs().join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(bundle.run().output, "1777\n");
}

#[test]
fn a_tmpfs_can_copy_what_it_covers() {
    require_containers!();
    let bundle = with_mount(
        "cat /srv/a/file; readlink /srv/link; stat -c '%a %u' /srv/a /srv/a/file; \
         echo changed >/srv/a/file",
        json!({"destination": "/srv", "type": "tmpfs", "source": "tmpfs",
               "options": ["tmpcopyup"]}),
    );
    bundle.write("srv/a/file", "covered\n");
    symlink("a/file", bundle.rootfs().join("srv/link")).unwrap();
    let file = bundle.rootfs().join("srv/a/file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4750)).unwrap();
    std::os::unix::fs::chown(&file, Some(12), None).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4750)).unwrap();
    assert_eq!(bundle.run().output, "covered\na/file\n755 0\n4750 12\n");
    assert_eq!(fs::read_to_string(file).unwrap(), "covered\n");
}

#[test]
fn a_destination_by_symlink_stays_inside() {
    require_containers!();
    let bundle = with_mount(
        "cat /var/tmp/marker/file; ls /out",
        json!({"destination": "/out/marker", "type": "tmpfs", "source": "tmpfs",
               "options": ["mode=755"]}),
    );
    symlink("/var/tmp", bundle.rootfs().join("out")).unwrap();
    let outcome = bundle.run();
    assert!(outcome.output.contains("marker"), "{}", outcome.output);
    assert!(bundle.rootfs().join("var/tmp/marker").is_dir());
    assert!(!std::path::Path::new("/var/tmp/marker").exists());
}

#[test]
fn a_dangling_resolv_conf_gets_its_file() {
    require_containers!();
    let mut bundle = with_mount(
        "cat /etc/resolv.conf",
        json!({"destination": "/etc/resolv.conf", "type": "bind", "source": "resolv",
               "options": ["rbind", "rprivate"]}),
    );
    symlink("../run/systemd/resolve/stub-resolv.conf", bundle.rootfs().join("etc/resolv.conf"))
        .unwrap();
    fs::write(bundle.path().join("resolv"), "nameserver 192.0.2.1\n").unwrap();
    bundle.spec["root"]["readonly"] = true.into();
    assert_eq!(bundle.run().output, "nameserver 192.0.2.1\n");
}

#[test]
fn proc_elsewhere_is_refused() {
    require_containers!();
    let bundle = Bundle::new("true");
    fs::remove_dir(bundle.rootfs().join("proc")).unwrap();
    symlink("/tmp", bundle.rootfs().join("proc")).unwrap();
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("must be mounted on ordinary directory"), "{error}");
}

#[test]
fn kernel_files_are_hidden_or_protected() {
    require_containers!();
    let script = "cat /proc/timer_list | wc -c; ls /sys/kernel | wc -l; stat -c '%t %T' /proc/stat; \
                  echo 1 >/proc/sys/kernel/shmmax";
    let mut bundle = Bundle::new(script);
    bundle.spec["linux"]["maskedPaths"] =
        json!(["/proc/timer_list", "/proc/stat", "/sys/kernel", "/sys/class", "/no/such"]);
    let output = bundle.run().output;
    assert!(output.starts_with("0\n0\n1 3\n"), "{output}");
    assert!(output.contains("/proc/sys/kernel/shmmax: Read-only file system"), "{output}");
}

#[test]
fn an_image_cannot_choose_what_hides_a_file() {
    require_containers!();
    // CVE-2025-31133: a /dev/null that is something else.
    let mut bundle = Bundle::new("cat /proc/timer_list");
    bundle.write("dev/null", "planted");
    bundle.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    let output = bundle.run().output;
    assert!(!output.contains("planted"), "{output}");
    let null = fs::symlink_metadata(bundle.rootfs().join("dev/null")).unwrap();
    assert_eq!(null.rdev(), 0x103);
}

#[test]
fn layers_are_stacked() {
    require_containers!();
    let bundle = Bundle::new("cat /etc/which /etc/low; echo new >/etc/written; ls /etc");
    let folder = |name: &str| {
        let path = bundle.path().join(name);
        fs::create_dir_all(path.join("etc")).unwrap();
        path
    };
    let (top, upper, work) = (folder("top"), folder("upper"), bundle.path().join("work"));
    fs::create_dir(&work).unwrap();
    fs::write(top.join("etc/which"), "top\n").unwrap();
    bundle.write("etc/which", "bottom\n");
    bundle.write("etc/low", "low\n");
    let mut lowers = vec![top];
    // More layers than a page of options has room for.
    for number in 0..120 {
        lowers.push(folder(&format!("a-layer-with-quite-a-long-name-as-they-all-have-{number}")));
    }
    lowers.push(bundle.rootfs());
    let root = Root::Overlay { lowers, upper: upper.clone(), work, volatile: true };

    let output = bundle.path().join("output");
    let code = linux::process::in_forked_process(|| {
        let spec = serde_json::from_value(bundle.spec.clone()).unwrap();
        let null = || fs::File::open("/dev/null").unwrap().into();
        let stdio = Stdio::Descriptors {
            stdin: null(),
            stdout: fs::File::create(&output).unwrap().into(),
            stderr: null(),
        };
        let request = CreateRequest::new(&bundle.id, &spec, bundle.path(), root, stdio);
        let mut container = runtime::create(request).unwrap_or_else(|error| panic!("{error}"));
        container.start().unwrap();
        let code = exit_code(&container);
        container.delete().unwrap();
        code
    });
    assert_eq!(code.unwrap(), 0);
    let output = fs::read_to_string(output).unwrap();
    assert!(output.starts_with("top\nlow\n"), "{output}");
    assert_eq!(fs::read_to_string(upper.join("etc/written")).unwrap(), "new\n");
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains("a-layer-with-quite"));
}

#[test]
fn mounts_of_the_host_can_reach_a_shared_container() {
    require_containers!();
    let mut bundle = with_mount(
        "grep ' /data ' /proc/self/mountinfo",
        json!({"destination": "/data", "type": "bind", "source": "data",
               "options": ["rbind", "rshared"]}),
    );
    fs::create_dir(bundle.path().join("data")).unwrap();
    bundle.spec["linux"]["rootfsPropagation"] = "rshared".into();
    let output = bundle.run().output;
    assert!(output.contains("shared:"), "{output}");
    let outside = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!outside.contains(&bundle.rootfs().display().to_string()), "{outside}");
}

#[test]
fn devices_of_every_type_are_made() {
    require_containers!();
    let script =
        "stat -c '%F %a %u %g' /dev/one /dev/two /dev/deep/three /dev/four; stat -c '%a' /dev/null";
    let mut bundle = Bundle::new(script);
    bundle.spec["linux"]["devices"] = json!([
        {"path": "/dev/one", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/dev/two", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
        {"path": "/dev/deep/three", "type": "p", "fileMode": 0o622},
        {"path": "/dev/four", "type": "u", "major": 1, "minor": 3},
        // One that every container has.
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o606},
    ]);
    let output = bundle.run().output;
    assert_eq!(
        output,
        "character special file 640 3 4\nblock special file 600 0 0\nfifo 622 0 0\n\
         character special file 666 0 0\n606\n"
    );
}

#[test]
fn a_device_does_not_take_a_files_place() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.write("made", "a file");
    let device = json!({"path": "/made", "type": "c", "major": 1, "minor": 3});
    bundle.spec["linux"]["devices"] = json!([device]);
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("/made: a file is there already"), "{error}");
    bundle.spec["linux"]["devices"][0]["type"] = "a".into();
    let error = bundle.try_run().unwrap_err();
    assert_eq!(error, "linux.devices[0].type: `a` is no type of a device to make");
}

#[test]
fn a_path_that_is_masked_twice_is_covered_once() {
    require_containers!();
    let mut bundle = Bundle::new("grep -c /hidden /proc/self/mounts");
    bundle.spec["linux"]["maskedPaths"] = json!(["/hidden", "/hidden"]);
    fs::create_dir(bundle.rootfs().join("hidden")).unwrap();
    assert_eq!(bundle.run().output, "1\n");
}

#[test]
fn the_terminals_multiplexer_is_the_containers_own() {
    require_containers!();
    let mut bundle = Bundle::new("readlink /dev/ptmx");
    bundle.write("dev/ptmx", "");
    bundle.spec["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
    assert_eq!(bundle.run().output, "pts/ptmx\n");
}

#[test]
fn a_default_device_may_be_configured_otherwise() {
    require_containers!();
    let mut bundle = Bundle::new("stat -c '%a %u %g' /dev/null /dev/zero");
    bundle.spec["linux"]["devices"] = json!([{"path": "/dev/null", "type": "c", "major": 1,
        "minor": 3, "fileMode": 0o600, "uid": 7, "gid": 8}]);
    assert_eq!(bundle.run().output, "600 7 8\n666 0 0\n");
}

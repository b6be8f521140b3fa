//! Images and neighbours that mean harm: nothing of the host is reached, and nothing is waited
//! for that does not come.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use serde_json::json;

use crate::exec::{process, running};
use crate::host::{Bundle, execute, is_root_lowest};

/// How often a race is run.
const ROUNDS: usize = 40;

/// Has `one` and `other` change places as fast as they can while `body` runs.
fn exchanging(one: &Path, other: &Path, body: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A container whose `/vol` is a folder that somebody else can change, with a mount below it.
fn with_a_shared_volume(script: &str, mount: &serde_json::Value) -> (Bundle, tempfile::TempDir) {
    let mut bundle = Bundle::new(script);
    let volume = tempfile::tempdir().unwrap();
    let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
    mounts.push(json!({
        "destination": "/vol", "type": "bind", "source": volume.path(), "options": ["bind"],
    }));
    mounts.push(mount.clone());
    (bundle, volume)
}

/// CVE-2019-19921: a volume at a place that the image makes lead to `/proc`.
#[test]
fn a_mount_cannot_cover_the_kernels_files_by_a_symlink() {
    require_containers!();
    for (link, destination) in
        [("/proc", "/data"), ("/proc/self/attr", "/data"), ("../proc", "/var/data/sys")]
    {
        let mut bundle = Bundle::new("true");
        let (at, _) = destination[1..].split_at(destination.find("/data").unwrap() + 4);
        fs::create_dir_all(bundle.rootfs().join(at).parent().unwrap()).unwrap();
        let link = if at.contains('/') { link.replace("../", "../../") } else { link.to_owned() };
        symlink(link, bundle.rootfs().join(at)).unwrap();
        let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
        let error = bundle.try_run().unwrap_err();
        assert!(
            error.contains("cannot be mounted because it is inside /proc"),
            "{destination}: {error}"
        );
    }
}

#[test]
fn a_place_that_changes_under_a_mount_stays_in_the_container() {
    require_containers!();
    let host = tempfile::tempdir().unwrap();
    let mount = json!({"destination": "/vol/sub/place", "type": "tmpfs", "source": "tmpfs"});
    let script = "grep -c ' /vol/sub/place tmpfs ' /proc/mounts; ls /proc/1/status";
    let (bundle, volume) = with_a_shared_volume(script, &mount);
    fs::create_dir(volume.path().join("sub")).unwrap();
    symlink(host.path(), volume.path().join("link")).unwrap();

    let mut made = 0;
    exchanging(&volume.path().join("sub"), &volume.path().join("link"), || {
        for _ in 0..ROUNDS {
            // It may be refused. What counts is where it is made if it is.
            made += usize::from(bundle.try_run().is_ok());
        }
    });

    assert!(made > 0, "no container could be made at all");
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 0, "something was made on the host");
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(host.path().to_str().unwrap()), "{mounts}");
}

/// A device of the configuration's in a folder that somebody else can change.
#[test]
fn a_device_that_changes_places_with_a_symlink_leaves_the_hosts_file_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    require_containers!();
    let host = tempfile::NamedTempFile::new().unwrap();
    let mount = json!({"destination": "/unused", "type": "tmpfs", "source": "tmpfs"});
    let (mut bundle, volume) = with_a_shared_volume("true", &mount);
    let device = volume.path().join("device");
    mknodat(CWD, &device, FileType::CharacterDevice, Mode::RUSR, makedev(1, 3)).unwrap();
    symlink(host.path(), volume.path().join("link")).unwrap();
    bundle.spec["linux"]["devices"] = json!([{"path": "/vol/device", "type": "c", "major": 1,
        "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0}]);
    exchanging(&device, &volume.path().join("link"), || {
        for _ in 0..ROUNDS {
            // It may be refused: what is there is no such device half of the time.
            let _ = bundle.try_run();
        }
    });
    let mode = host.as_file().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the host's file is open to everybody");
}

#[test]
fn a_place_that_changes_under_a_mount_never_covers_proc() {
    require_containers!();
    let mount = json!({"destination": "/vol/sub", "type": "tmpfs", "source": "tmpfs"});
    let (bundle, volume) = with_a_shared_volume("cat /proc/self/comm", &mount);
    fs::create_dir(volume.path().join("sub")).unwrap();
    symlink("/proc", volume.path().join("link")).unwrap();

    let mut refused = 0;
    exchanging(&volume.path().join("sub"), &volume.path().join("link"), || {
        for _ in 0..ROUNDS {
            match bundle.try_run() {
                Ok(outcome) => assert_eq!(outcome.output, "cat\n"),
                Err(error) => {
                    assert!(error.contains("inside /proc"), "{error}");
                    refused += 1;
                }
            }
        }
    });
    println!("{refused} of {ROUNDS} were refused");
}

/// CVE-2025-31133: what hides a file must be the kernel's null device, and stay it.
#[test]
fn hidden_files_stay_hidden_whatever_the_image_has_for_devices() {
    require_containers!();
    let mut bundle = Bundle::new("cat /secret; echo x > /secret; wc -c < /etc/bait");
    bundle.write("secret", "secret");
    bundle.write("etc/bait", "bait");
    symlink("/etc/bait", bundle.rootfs().join("null")).unwrap();
    fs::create_dir_all(bundle.rootfs().join("dev")).unwrap();
    let _ = fs::remove_file(bundle.rootfs().join("dev/null"));
    symlink("/etc/bait", bundle.rootfs().join("dev/null")).unwrap();
    bundle.spec["linux"]["maskedPaths"] = json!(["/secret"]);
    let outcome = bundle.run();
    assert_eq!(outcome.output, "4\n");
}

/// CVE-2025-52565: a console of the image's own must not become somebody else's file.
#[test]
fn a_console_that_is_a_symlink_leads_nowhere() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.write("etc/bait", "bait");
    // Without a file system of its own, `/dev` is the image's.
    let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["destination"] != "/dev");
    mounts.push(json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
        "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}));
    fs::create_dir_all(bundle.rootfs().join("dev")).unwrap();
    symlink("/etc/bait", bundle.rootfs().join("dev/console")).unwrap();
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.with_container(
        || runtime::Stdio::Terminal { size: None, newlines: runtime::Newlines::Translated },
        |container| {
            let error = errors::chain(&container.expect_err("the console is refused"));
            assert!(error.contains("terminal"), "{error}");
        },
    );
    assert_eq!(fs::read_to_string(bundle.rootfs().join("etc/bait")).unwrap(), "bait");
}

/// To open it for good would be to wait for whoever writes to it.
#[test]
fn a_console_that_is_a_fifo_keeps_nobody_waiting() {
    require_containers!();
    let mut bundle = Bundle::new("tty");
    // Without a file system of its own, `/dev` is the image's.
    let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["destination"] != "/dev");
    let fifo = bundle.rootfs().join("dev/console");
    fs::create_dir_all(fifo.parent().unwrap()).unwrap();
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.with_container(
        || runtime::Stdio::Terminal { size: None, newlines: runtime::Newlines::Translated },
        |container| {
            let mut container = container.unwrap_or_else(|error| panic!("{error}"));
            container.start().unwrap();
            container.delete().unwrap();
        },
    );
}

#[test]
fn a_user_database_that_has_no_end_is_refused() {
    require_containers!();
    let node = |bundle: &Bundle, kind, device| {
        let path = bundle.rootfs().join("etc/passwd");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        mknodat(CWD, &path, kind, Mode::from_raw_mode(0o666), device).unwrap();
    };
    let zero: fn(&Bundle) = |bundle| {
        let path = bundle.rootfs().join("etc/passwd");
        let _ = fs::remove_file(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("/dev/zero", path).unwrap();
    };
    let large: fn(&Bundle) = |bundle| {
        bundle.write("etc/passwd", "");
        let path = bundle.rootfs().join("etc/passwd");
        fs::File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
    };
    let preparations: [&dyn Fn(&Bundle); 4] = [
        &|bundle| node(bundle, FileType::Fifo, 0),
        &|bundle| node(bundle, FileType::CharacterDevice, makedev(1, 5)),
        &zero,
        &large,
    ];
    for prepare in preparations {
        let mut bundle = Bundle::new("true");
        prepare(&bundle);
        bundle.user = Some("somebody".to_owned());
        let error = bundle.try_run().unwrap_err();
        assert!(error.contains("/etc/passwd") || error.contains("somebody"), "{error}");
    }
}

/// A parameter's name is a path below `/proc/sys`: one with `..` in it, in either way of writing,
/// led from the container's parameters to the host's.
#[test]
fn a_kernel_parameter_does_not_lead_to_the_hosts() {
    require_containers!();
    let file = "/proc/sys/kernel/core_pattern";
    let before = fs::read_to_string(file).unwrap();
    for name in ["net/../kernel/core_pattern", "net.//.kernel.core_pattern"] {
        let mut bundle = Bundle::new("true");
        // What is written is what is there: should this ever fail, the host stays as it is.
        bundle.spec["linux"]["sysctl"] = json!({name: before.trim()});
        let error = bundle.try_run().unwrap_err();
        assert!(error.contains("is not in a separate kernel namespace"), "{error}");
    }
}

/// A container that watches every process of its pid namespace, as who has CAP_SYS_PTRACE may:
/// none of them shows it the host's files.
#[test]
fn a_process_that_joins_does_not_show_the_hosts_files_to_a_debugger() {
    require_containers!();
    let script = "while true; do for p in /proc/[0-9]*; do \
                  test -e $p/root/MARK && echo root $p >>/seen; \
                  test -e $p/cwd/MARK && echo cwd $p >>/seen; \
                  for f in $p/fd/*; do test -e $f/MARK && echo fd $f >>/seen; \
                  test -e $f/self/root/MARK && echo proc $f >>/seen; done; done; done";
    let host = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    let mark = host.path().display().to_string();
    let script = script.replace("/MARK", &mark);
    let mut bundle = Bundle::new(&script);
    for set in ["bounding", "effective", "permitted"] {
        let set = bundle.spec["process"]["capabilities"][set].as_array_mut().unwrap();
        set.push(json!("CAP_SYS_PTRACE"));
    }
    running(&bundle, |container| {
        for _ in 0..ROUNDS {
            execute(container, &process("true")).unwrap();
        }
    });
    let seen = fs::read_to_string(bundle.rootfs().join("seen")).unwrap_or_default();
    assert_eq!(seen, "");
}

/// Where the first process has gone since is its own business: a further one starts at the
/// container's root.
#[test]
fn the_root_is_the_containers_though_its_first_process_has_left_it() {
    require_containers!();
    if !is_root_lowest() {
        println!("skipped: joining a mount namespace leads elsewhere on this host");
        return;
    }
    let bundle = Bundle::new(
        "mkdir -p /jail/bin && cp /bin/busybox /jail/bin && touch /jail/x && \
                              exec /bin/busybox chroot /jail /bin/busybox sleep 100",
    );
    let spec = serde_json::from_value(bundle.spec.clone()).unwrap();
    running(&bundle, |container| {
        let pid = container.pid();
        let inode = |path: &Path| fs::metadata(path).map(|metadata| metadata.ino()).ok();
        let root = PathBuf::from(format!("/proc/{}/root", pid.as_raw_nonzero()));
        let jail = bundle.rootfs().join("jail");
        let until = Instant::now() + Duration::from_secs(60);
        while inode(&jail).is_none() || inode(&root) != inode(&jail) {
            assert!(Instant::now() < until, "it has not gone to jail");
            std::thread::sleep(Duration::from_millis(1));
        }
        let location = container.cgroup().location();
        let again = runtime::Container::open(&bundle.id, &spec, bundle.path(), pid, location);
        let again = again.unwrap().with_root(container.root());
        let (output, _) = execute(&again, &process("ls -d /jail")).unwrap();
        assert_eq!(output, "/jail\n");
    });
}

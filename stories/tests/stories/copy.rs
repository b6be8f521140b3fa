//! `cp`: files into containers and out of them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stories::{Entry, FileSystem, Host, eventually};

/// How long a container tries to trick a copy.
const ATTACK: Duration = Duration::from_secs(4);

#[test]
fn files_go_in_and_out_of_a_running_container() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let folder = host.folder("in", &[("a", "text a\n"), ("b", "text b\n")]);

    host.docker(&format!("cp {folder}/a web:/tmp/renamed")).succeeds();
    container.exec("cat /tmp/renamed").succeeds().prints("text a\n");
    host.docker(&format!("cp {folder} web:/tmp")).succeeds();
    container.exec("cat /tmp/in/b").succeeds().prints("text b\n");
    host.docker(&format!("cp {folder} web:/tmp/new")).succeeds();
    host.docker(&format!("cp {folder}/. web:/tmp/content")).succeeds();
    container.exec("ls /tmp/new /tmp/content").succeeds().stdout_has("/tmp/content:\na\nb\n");

    let out = host.folder("out", &[]);
    host.docker(&format!("cp web:/var/www {out}")).succeeds();
    assert_eq!(read(&format!("{out}/www/index.html")), "hello from web\n");
    host.docker(&format!("cp web:/var/www/index.html {out}/page")).succeeds();
    assert_eq!(read(&format!("{out}/page")), "hello from web\n");
    host.docker(&format!("cp web:/var/www/. {out}/new")).succeeds();
    assert_eq!(read(&format!("{out}/new/index.html")), "hello from web\n");
}

#[test]
fn a_container_that_does_not_run_can_be_copied_to_and_from() {
    let host = Host::start();
    let folder = host.folder("in", &[("a", "text\n")]);
    let binding = host.folder("bound", &[("of-the-host", "host's\n")]);
    host.create(&format!(
        "--name box --volume data:/data --volume {binding}:/bound busybox cat /data/a /bound/a /tmp/a"
    ));

    for target in ["/data", "/bound/", "/tmp/a"] {
        host.docker(&format!("cp {folder}/a box:{target}")).succeeds();
    }
    host.docker(&format!("cp box:/bound/of-the-host {folder}/back")).succeeds();
    assert_eq!(read(&format!("{folder}/back")), "host's\n");
    assert_eq!(read(&format!("{binding}/a")), "text\n");

    host.docker("start --attach box").succeeds().prints("text\ntext\ntext\n");
    host.docker(&format!("cp box:/data/a {folder}/ended")).succeeds();
    assert_eq!(read(&format!("{folder}/ended")), "text\n");
}

#[test]
fn an_archive_goes_in_by_the_standard_input_and_comes_by_the_standard_output() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let archive = FileSystem::empty()
        .with(Entry::folder("d"))
        .with(Entry::program("d/tool", "#!/bin/sh\necho works\n").mode(0o4755).owned_by(1000, 50))
        .with(Entry::symlink("d/link", "tool"))
        .with(Entry::hardlink("d/hard", "d/tool").mode(0o4755).owned_by(1000, 50))
        .with(Entry::device("d/null", 1, 3))
        .with(Entry::fifo("d/pipe"))
        .tar();
    host.docker_with_input("cp - web:/tmp", &archive).succeeds();

    container.exec("/tmp/d/link").succeeds().prints("works\n");
    let facts = container.exec("stat -c '%a %u %g %h %Y' /tmp/d/tool").succeeds();
    assert_eq!(facts.text(), "4755 1000 50 2 1700000000");
    container.exec("sh -c 'test -c /tmp/d/null && test -p /tmp/d/pipe'").succeeds();

    let out = host.docker("cp web:/tmp/d -").succeeds();
    for name in ["d/tool", "d/link", "d/hard", "d/null", "d/pipe"] {
        assert!(out.stdout.contains(name), "no {name} in the archive");
    }
    host.docker_with_input("cp - web:/tmp/d/tool", &archive)
        .fails_with(1)
        .stderr_has("destination \"web:/tmp/d/tool\" must be a directory");
}

#[test]
fn symlinks_are_copied_as_such_or_followed_on_demand() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    container.exec("sh -c 'ln -s /var/www/index.html /page; ln -s /var/www /site'").succeeds();
    let out = host.folder("out", &[("file", "mine\n")]);

    host.docker(&format!("cp web:/page {out}/link")).succeeds();
    assert_eq!(fs::read_link(format!("{out}/link")).unwrap(), Path::new("/var/www/index.html"));
    host.docker(&format!("cp --follow-link web:/page {out}/followed")).succeeds();
    assert_eq!(read(&format!("{out}/followed")), "hello from web\n");
    host.docker(&format!("cp web:/site/ {out}")).succeeds();
    assert_eq!(read(&format!("{out}/site/index.html")), "hello from web\n");

    // Into where a symlink leads.
    host.docker(&format!("cp {out}/file web:/page")).succeeds();
    container.exec("cat /var/www/index.html").succeeds().prints("mine\n");
    host.docker(&format!("cp {out}/file web:/site")).succeeds();
    container.exec("cat /var/www/file").succeeds().prints("mine\n");

    symlink("file", format!("{out}/pointer")).unwrap();
    host.docker(&format!("cp {out}/pointer web:/tmp/pointer")).succeeds();
    container.exec("readlink /tmp/pointer").succeeds().prints("file\n");
    host.docker(&format!("cp -L {out}/pointer web:/tmp/content")).succeeds();
    container.exec("cat /tmp/content").succeeds().prints("mine\n");
}

#[test]
fn what_cannot_be_copied_is_refused_in_dockers_words() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    container.exec("mkdir /tmp/folder").succeeds();
    let folder = host.folder("in", &[("file", "x\n"), ("folder", "x\n")]);
    let refused = |line: &str, words: &str| {
        host.docker(line).fails_with(1).stderr_has(words);
    };
    let missing = "Could not find the file /nope in container web";
    refused(&format!("cp web:/nope {folder}"), missing);
    refused(&format!("cp {folder} web:/nope/deeper/x"), "Could not find the file /nope/deeper");
    refused(&format!("cp {folder}/nope web:/tmp"), "no such file or directory");
    refused(&format!("cp web:/etc/passwd/x {folder}"), "not a directory");
    refused(&format!("cp {folder} web:/etc/passwd"), "cannot copy directory");
    refused(&format!("cp {folder}/file web:/tmp/new/"), "no such directory");
    refused(&format!("cp web:/etc/passwd {folder}/none/"), "no such directory");
    refused(&format!("cp web:/etc {folder}/none/x"), "invalid output path: directory");
    refused(&format!("cp web:/etc {folder}/file"), "cannot copy directory");
    let over = "cannot overwrite directory";
    refused(&format!("cp {folder}/folder web:/tmp"), over);
    refused("cp web:/etc/passwd web:/tmp", "copying between containers is not supported");
    refused("cp here there", "must specify at least one container source");
    refused("cp web: there", "bad parameter: path");
    refused(&format!("cp {folder} nobody:/tmp"), "No such container: nobody");
}

#[test]
fn the_engine_answers_with_dockers_status_codes() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    let status = |method: &str, path: &str| {
        host.api(method, &format!("/v1.51/containers/web/archive{path}"), Some("")).status
    };
    assert_eq!(status("HEAD", "?path=/etc/passwd"), 200);
    assert_eq!(status("GET", "?path=/nope"), 404);
    assert_eq!(status("HEAD", "?path=/nope"), 404);
    assert_eq!(status("GET", "?path="), 400);
    assert_eq!(status("GET", "?path=/etc/passwd/"), 500);
    assert_eq!(status("PUT", "?path=/etc/passwd"), 400);
    assert_eq!(status("PUT", "?path=/nope"), 404);
    assert_eq!(status("PUT", "?path=/tmp"), 200, "an empty archive is one");
    let answer = host.api("HEAD", "/v1.51/containers/web/archive?path=/var/www/", None);
    // The base 64 of `{"name":"www","size":`.
    let header = "X-Docker-Container-Path-Stat: eyJuYW1lIjoid3d3Iiwic2l6ZSI6";
    assert!(answer.head.contains(header), "{}", answer.head);
}

#[test]
fn what_is_read_only_in_the_container_is_so_for_copies() {
    let host = Host::start();
    let folder = host.folder("in", &[("file", "x\n")]);
    host.run(&format!("--name bound --volume {folder}:/bound:ro busybox sleep 1000"));
    host.run("--name rigid --read-only --volume data:/data busybox sleep 1000");
    host.create("--name still --read-only busybox true");

    let volume = "mounted volume is marked read-only";
    host.docker(&format!("cp {folder}/file bound:/bound/new")).fails_with(1).stderr_has(volume);
    let root = "container rootfs is marked read-only";
    for name in ["rigid", "still"] {
        host.docker(&format!("cp {folder}/file {name}:/tmp")).fails_with(1).stderr_has(root);
    }
    host.docker(&format!("cp {folder}/file rigid:/data")).succeeds();
    host.docker(&format!("cp rigid:/data/file {folder}/back")).succeeds();
    assert_eq!(read(&format!("{folder}/back")), "x\n");
}

#[test]
fn a_tmpfs_of_a_running_container_can_be_copied_to_and_from() {
    if !Host::is_wharf_or_skips("dockerd looks at a container's files without its tmpfs") {
        return;
    }
    let host = Host::start();
    let container = host.run("--name box --read-only --tmpfs /scratch busybox sleep 1000");
    let folder = host.folder("in", &[("file", "x\n")]);
    host.docker(&format!("cp {folder}/file box:/scratch")).succeeds();
    container.exec("cat /scratch/file").succeeds().prints("x\n");
    container.exec("sh -c 'echo shared >/dev/shm/y'").succeeds();
    host.docker(&format!("cp box:/dev/shm/y {folder}")).succeeds();
    assert_eq!(read(&format!("{folder}/y")), "shared\n");
    // What the kernel makes up is nobody's to copy.
    host.docker(&format!("cp box:/proc/version {folder}")).fails_with(1);
    host.docker(&format!("cp {folder}/file box:/proc/")).fails_with(1);
}

#[test]
fn a_copy_keeps_what_a_file_is() {
    let host = Host::start();
    let container = host.run("--name box busybox sleep 1000");
    let folder = host.folder("in", &[]);
    let path = Path::new(&folder).join("sparse \u{e4}");
    let file = fs::File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    (&file).write_all(b"begins").unwrap();
    std::os::unix::fs::chown(&path, Some(4_000_000), Some(77)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o2751)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_600_000_000)).unwrap();

    host.docker_words(&["cp", path.to_str().unwrap(), "box:/tmp/copy"]).succeeds();
    let facts = container.exec("stat -c '%a %u %g %s %Y' /tmp/copy").succeeds();
    assert_eq!(facts.text(), "2751 4000000 77 67108864 1600000000");

    host.docker(&format!("cp box:/tmp/copy {folder}/back")).succeeds();
    let back = fs::metadata(format!("{folder}/back")).unwrap();
    assert_eq!((back.len(), back.mode() & 0o7777), (64 << 20, 0o2751));
    assert_eq!(back.mtime(), 1_600_000_000);
    let is_ours = std::env::var_os("CLIENT").is_none_or(|client| client != "docker");
    if is_ours && Host::is_wharf_or_skips("dockerd and its client fill holes") {
        assert!(back.blocks() < 1000, "the copy is as sparse: {} blocks", back.blocks());
    }
}

#[test]
fn a_copy_in_archive_mode_becomes_the_containers_users() {
    let host = Host::start();
    let folder = host.folder("in", &[("file", "x\n")]);
    let container = host.run("--name box --user anna busybox sleep 1000");
    host.docker(&format!("cp --archive {folder}/file box:/home/anna")).succeeds();
    container.exec("stat -c '%U %u:%g' /home/anna/file").succeeds().prints("anna 1000:1000\n");
}

#[test]
fn names_that_are_not_text_are_copied() {
    let host = Host::start();
    let container = host.run("--name box busybox sleep 1000");
    container.exec("sh -c 'mkdir /tmp/d; echo x >/tmp/d/$(printf \"\\\\377odd\")'").succeeds();
    let folder = host.folder("out", &[]);
    host.docker(&format!("cp box:/tmp/d {folder}")).succeeds();
    let entry = fs::read_dir(format!("{folder}/d")).unwrap().next().unwrap().unwrap();
    assert_eq!(entry.file_name().as_encoded_bytes(), b"\xffodd");
    host.docker(&format!("cp {folder}/d box:/tmp/back")).succeeds();
    container.exec("sh -c 'cat /tmp/back/*odd'").succeeds().prints("x\n");
}

#[test]
fn a_copy_does_not_tear_a_mount_of_the_container_down() {
    let host = Host::start();
    let folder = host.folder("in", &[("hosts", "mine\n"), ("data", "x\n")]);
    let container = host.run("--name box --volume data:/data busybox sleep 1000");
    container.exec("touch /data/kept").succeeds();
    host.docker(&format!("cp {folder}/hosts box:/etc/hosts")).fails_with(1).stderr_has("busy");
    host.docker(&format!("cp {folder}/data box:/")).fails_with(1);
    let archive = fs::read(format!("{folder}/data")).unwrap();
    let archive = FileSystem::empty().with(Entry::file("data", archive)).tar();
    // Without the client's care for kinds.
    put(&host, "box", "/", &archive);
    container.exec("sh -c 'grep -q localhost /etc/hosts && test -d /data'").succeeds();
    if Host::is_wharf_or_skips("dockerd removes what is in the volume before it notices") {
        container.exec("test -e /data/kept").succeeds();
    }
}

#[test]
fn copies_are_told_as_events() {
    let host = Host::start();
    host.run("--name box busybox sleep 1000");
    let folder = host.folder("in", &[("file", "x\n")]);
    host.docker(&format!("cp {folder}/file box:/tmp")).succeeds();
    host.docker(&format!("cp box:/tmp/file {folder}/back")).succeeds();
    let events = host.events("--filter container=box --format '{{.Action}}'");
    assert!(events.contains("extract-to-dir\n"), "{events}");
    assert!(events.contains("archive-path"), "{events}");
}

/// A container swaps a part of a path for a symlink to the host's root, over and over, while
/// files are copied along that path in both directions.
#[test]
fn a_hostile_container_cannot_lead_a_copy_out_of_itself() {
    let host = Host::start();
    let secret = host.folder("secret", &[("file", "the host's secret\n")]);
    let own = host.folder("own", &[("file", "for the container\n")]);
    // In the container, at the same path as on the host: what belongs to the container.
    let container = host.run("--name evil busybox sleep 1000");
    container.exec(&format!("mkdir -p {secret} /a/b")).succeeds();
    container
        .exec(&format!("sh -c 'echo its own > {secret}/file; echo its own > /a/b/file'"))
        .succeeds();
    let swap = format!(
        "while :; do mv /a/b /a/c; ln -s {secret} /a/b; rm /a/b; ln -s ../../../../../..{secret} \
         /a/b; rm /a/b; mv /a/c /a/b; done"
    );
    host.docker_words(&["exec", "--detach", "evil", "sh", "-c", &swap]).succeeds();

    let out = host.folder("out", &[]);
    let begin = Instant::now();
    let mut copied = 0;
    while begin.elapsed() < ATTACK {
        // Each may fail: the path is not there half of the time.
        if host.docker(&format!("cp evil:/a/b/file {out}/file")).status == 0 {
            copied += 1;
            assert_eq!(
                read(&format!("{out}/file")).replace("for the container", "its own"),
                "its own\n"
            );
        }
        host.docker(&format!("cp {own}/file evil:/a/b/file"));
        host.docker(&format!("cp {own} evil:/a/b"));
        assert_eq!(read(&format!("{secret}/file")), "the host's secret\n");
        let names = fs::read_dir(&secret).unwrap().count();
        assert_eq!(names, 1, "something was made on the host");
    }
    assert!(copied > 0, "nothing was tried");
}

/// An archive from a container may hold a symlink and then a file "behind" it.
#[test]
fn a_hostile_container_cannot_lead_the_client_out_of_its_folder() {
    let host = Host::start();
    let container = host.run("--name evil busybox sleep 1000");
    let outside = host.folder("outside", &[]);
    let out = host.folder("out", &[]);
    container.exec("mkdir -p /tmp/d/link").succeeds();
    container.exec("sh -c 'echo stolen >/tmp/d/link/file'").succeeds();
    // What an earlier copy left on this host.
    fs::create_dir(format!("{out}/d")).unwrap();
    symlink(&outside, format!("{out}/d/link")).unwrap();
    host.docker(&format!("cp evil:/tmp/d {out}")).fails();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "a file was made outside");
}

#[test]
fn a_start_waits_for_a_copy_and_works() {
    let host = Host::start();
    let folder = host.folder("in", &[("file", "x\n")]);
    let container = host.create("--name box busybox sh -c 'cat /tmp/*/file | wc -l; sleep 1000'");
    let done = AtomicBool::new(false);
    let socket = host.socket();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20 {
                let archive = FileSystem::empty()
                    .with(Entry::folder(&format!("{number}")))
                    .with(Entry::file(&format!("{number}/file"), "x\n"));
                put_to(&socket, "box", "/tmp", &archive.tar());
            }
            done.store(true, Ordering::SeqCst);
        });
        host.docker("start box").succeeds();
        eventually("the copies", || done.load(Ordering::SeqCst).then_some(()));
    });
    assert_eq!(container.status(), "running");
    container.exec("sh -c 'cat /tmp/*/file | wc -l'").succeeds().prints("20\n");
    assert_eq!(read(&format!("{folder}/file")), "x\n");
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_copy_leaves_nothing() {
    if !Host::is_wharf_or_skips("dockerd mounts containers' file systems below its data root") {
        return;
    }
    let host = Host::start();
    host.create("--name still --volume data:/data busybox true");
    for name in ["still", "live"] {
        if name == "live" {
            host.run("--name live busybox sleep 1000");
        }
        // An archive that does not end, so that the copy is under way when the daemon dies.
        let mut client = std::os::unix::net::UnixStream::connect(host.socket()).unwrap();
        let path = format!("/v1.51/containers/{name}/archive?path=/tmp");
        write!(client, "PUT {path} HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000\r\n\r\n")
            .unwrap();
        let archive = FileSystem::empty().with(Entry::file("begun", vec![1; 4 << 20])).tar();
        client.write_all(&archive[..archive.len() - 100_000]).unwrap();
        // Also in the other direction, to a client that does not read.
        let mut reader = std::os::unix::net::UnixStream::connect(host.socket()).unwrap();
        let path = "/v1.51/containers/still/archive?path=/bin";
        write!(reader, "GET {path} HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
        // Nothing is mounted on the host while they go on, either.
        assert_eq!(mounts_below(&host), 0);
        host.kill_daemon();
        host.start_daemon();
        assert_eq!(mounts_below(&host), 0);
        host.docker(&format!("cp {name}:/bin/busybox {}", host.folder("out", &[]))).succeeds();
    }
    host.docker("start --attach still").succeeds();
    host.docker("rm still").succeeds();
}

fn mounts_below(host: &Host) -> usize {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel lists mounts");
    let folder = host.path("").display().to_string();
    table.lines().filter(|line| line.contains(&folder)).count()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Unpacks an archive in a container without a client in between. Whatever comes of it.
fn put(host: &Host, container: &str, path: &str, archive: &[u8]) {
    put_to(&host.socket(), container, path, archive);
}

fn put_to(socket: &Path, container: &str, path: &str, archive: &[u8]) {
    let mut client = std::os::unix::net::UnixStream::connect(socket).expect("the daemon runs");
    let path = format!("/v1.51/containers/{container}/archive?path={path}");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        archive.len()
    );
    client.write_all(head.as_bytes()).expect("the daemon reads");
    client.write_all(archive).expect("the daemon reads");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut client, &mut answer).expect("the daemon answers");
}

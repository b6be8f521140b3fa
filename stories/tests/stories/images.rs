//! Images: brought in, listed, named, taken apart, saved and removed.

use serde_json::{Value, json};
use stories::{Entry, FileSystem, Host, ImageArchive, digest_of, gzip, zstd};

fn shell_image(name: &str) -> ImageArchive {
    let config = json!({"Cmd": ["sh"], "Env": ["PATH=/bin", "FROM=image"], "WorkingDir": "/tmp"});
    ImageArchive::new(name, config).layer(&FileSystem::with_shell())
}

const OCI_TAR: &str = "application/vnd.oci.image.layer.v1.tar";

#[test]
fn load_takes_what_save_wrote_of_old() {
    let host = Host::builder().bare().start();
    let image = shell_image("web:1");

    host.load(&image.docker_archive()).succeeds().prints("Loaded image: web:1\n");

    host.docker("run --rm web:1 sh -c 'echo $FROM; pwd'").succeeds().prints("image\n/tmp\n");
    host.docker("images --quiet --no-trunc")
        .succeeds()
        .prints(&format!("{}\n", digest_of(&image.document())));
}

#[test]
fn load_takes_what_save_writes_today_however_packed() {
    let host = Host::builder().bare().start();
    let plain = |tar: &[u8]| tar.to_vec();
    let archives = [
        shell_image("plain:1").docker_layout(OCI_TAR, plain),
        shell_image("gzip:1").docker_layout(&format!("{OCI_TAR}+gzip"), gzip),
        shell_image("zstd:1").docker_layout(&format!("{OCI_TAR}+zstd"), zstd),
    ];

    for (archive, name) in archives.iter().zip(["plain", "gzip", "zstd"]) {
        host.load(archive).succeeds().prints(&format!("Loaded image: {name}:1\n"));
        host.docker(&format!("run --rm {name}:1 echo {name}"))
            .succeeds()
            .prints(&format!("{name}\n"));
    }
}

#[test]
fn load_takes_oci_layouts_of_other_tools() {
    if !Host::is_wharf_or_skips("dockerd's classic image store wants a manifest.json") {
        return;
    }
    let host = Host::builder().bare().start();
    let plain = |tar: &[u8]| tar.to_vec();
    let archives = [
        shell_image("plain:1").oci_layout(OCI_TAR, plain),
        shell_image("gzip:1").oci_layout(&format!("{OCI_TAR}+gzip"), gzip),
        shell_image("zstd:1").oci_layout(&format!("{OCI_TAR}+zstd"), zstd),
    ];

    for (archive, name) in archives.iter().zip(["plain", "gzip", "zstd"]) {
        host.load(archive).succeeds().prints(&format!("Loaded image: {name}:1\n"));
        host.docker(&format!("run --rm {name}:1 echo {name}"))
            .succeeds()
            .prints(&format!("{name}\n"));
    }
}

#[test]
fn a_whole_archive_may_be_packed() {
    let host = Host::builder().bare().start();
    let archive = shell_image("web:1").docker_archive();

    host.load(&gzip(&archive)).succeeds().prints("Loaded image: web:1\n");

    let file = host.path("image.tar.zst");
    std::fs::write(&file, zstd(&archive)).unwrap();
    host.docker(&format!("load --quiet --input {}", file.display()))
        .succeeds()
        .prints("Loaded image: web:1\n");
}

#[test]
fn what_save_writes_can_be_loaded() {
    let host = Host::start();
    host.docker("tag busybox other:2").succeeds();
    let file = host.path("saved.tar");

    host.docker(&format!("save --output {} busybox other:2", file.display())).succeeds();
    let id = host.answer("images --quiet --no-trunc busybox");
    host.docker("rmi busybox other:2").succeeds();
    host.docker(&format!("load --input {}", file.display()))
        .succeeds()
        .stdout_has("Loaded image: busybox:latest\n")
        .stdout_has("Loaded image: other:2\n");

    assert_eq!(host.answer("images --quiet --no-trunc busybox"), id);
    host.docker("run --rm other:2 echo back").succeeds().prints("back\n");
}

#[test]
fn import_makes_an_image_of_a_file_system() {
    let host = Host::builder().bare().start();
    let file = host.path("root.tar");
    std::fs::write(&file, FileSystem::with_shell().tar()).unwrap();

    let id = host.answer(&format!(
        "import --message 'from a file' --change 'ENV A=b' --change 'CMD [\"env\"]' \
         --change 'WORKDIR /tmp' --change 'EXPOSE 80' {} web",
        file.display()
    ));

    let image = host.inspect("image inspect web");
    assert_eq!(image["Id"], id.as_str());
    assert_eq!(image["Comment"], "from a file");
    assert_eq!(image["Config"]["Env"], json!(["A=b"]));
    assert_eq!(image["Config"]["Cmd"], json!(["env"]));
    assert_eq!(image["Config"]["WorkingDir"], "/tmp");
    assert_eq!(image["Config"]["ExposedPorts"], json!({"80/tcp": {}}));
    host.docker("run --rm web").succeeds().stdout_has("A=b\n");
}

#[test]
fn the_table_has_docker_s_columns() {
    let host = Host::start();

    let outcome = host.docker("images").succeeds();

    let header: Vec<_> = outcome.lines()[0].split_whitespace().collect();
    assert_eq!(header, ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
    let row: Vec<_> = outcome.lines()[1].split_whitespace().collect();
    assert_eq!(row[..2], ["busybox", "latest"]);
    assert_eq!(row[2].len(), 12);
}

#[test]
fn listing_can_be_narrowed_and_shaped() {
    let host = Host::start();
    host.docker("tag busybox registry.example:5000/team/app:v1").succeeds();
    host.docker("tag busybox busybox:old").succeeds();
    let listed = |arguments: &str| {
        let text =
            host.answer(&format!("images --format {{{{.Repository}}}}:{{{{.Tag}}}} {arguments}"));
        let mut names: Vec<_> = text.lines().map(str::to_owned).collect();
        names.sort_unstable();
        names.join(" ")
    };

    assert_eq!(listed(""), "busybox:latest busybox:old registry.example:5000/team/app:v1");
    assert_eq!(listed("busybox"), "busybox:latest busybox:old");
    assert_eq!(listed("busybox:old"), "busybox:old");
    assert_eq!(listed("--filter reference=*/team/*"), "registry.example:5000/team/app:v1");
    assert_eq!(listed("--filter dangling=true"), "");
    assert_eq!(listed("--filter label=none"), "");
}

#[test]
fn inspect_tells_what_the_image_is() {
    let host = Host::builder().bare().start();
    let image = shell_image("web:1");
    host.load(&image.docker_archive()).succeeds();

    let told = host.inspect("image inspect web:1");

    assert_eq!(told["Id"], digest_of(&image.document()));
    assert_eq!(told["RepoTags"], json!(["web:1"]));
    assert_eq!(told["Config"]["Cmd"], json!(["sh"]));
    assert_eq!(told["Os"], "linux");
    assert_eq!(told["RootFS"]["Type"], "layers");
    assert_eq!(told["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    assert!(told["Size"].as_u64().unwrap() > 100_000);
    host.docker("image inspect nope")
        .fails_with(1)
        .prints("[]\n")
        .stderr_says("no such image: nope");
}

#[test]
fn history_tells_the_steps_newest_first() {
    let host = Host::builder().bare().start();
    let image = shell_image("web:1").layer(&FileSystem::empty().with(Entry::file("a", "a")));
    host.load(&image.docker_archive()).succeeds();

    let steps = host.answer("history --no-trunc --format {{.CreatedBy}} web:1");
    assert_eq!(steps, "/bin/sh -c step 1\n/bin/sh -c step 0");
    let outcome = host.docker("history web:1").succeeds();
    let header: Vec<_> = outcome.lines()[0].split_whitespace().collect();
    assert_eq!(header, ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]);
}

#[test]
fn a_tag_moves_and_the_image_it_left_dangles() {
    let host = Host::builder().bare().start();
    let one = shell_image("web:1");
    let two = shell_image("web:1").layer(&FileSystem::empty().with(Entry::file("two", "2")));

    host.load(&one.docker_archive()).succeeds();
    host.load(&two.docker_archive()).succeeds();

    assert_eq!(host.answer("images --quiet --no-trunc web:1"), digest_of(&two.document()));
    assert_eq!(
        host.answer("images --quiet --no-trunc --filter dangling=true"),
        digest_of(&one.document())
    );
    host.docker("image prune --force").succeeds().stdout_has(&digest_of(&one.document()));
    host.docker("run --rm web:1 cat /two").succeeds().prints("2");
}

#[test]
fn removing_a_name_leaves_the_other() {
    let host = Host::start();
    host.docker("tag busybox other").succeeds().prints("");

    host.docker("rmi other").succeeds().prints("Untagged: other:latest\n");

    let outcome = host.docker("rmi busybox").succeeds();
    outcome.stdout_has("Untagged: busybox:latest\n").stdout_has("Deleted: sha256:");
    host.docker("images --quiet").succeeds().prints("");
}

#[test]
fn an_image_in_use_is_kept_by_docker_s_rules() {
    let host = Host::start();
    let id = host.answer("images --quiet busybox");
    host.run("--name user busybox true").wait();

    host.docker("rmi busybox")
        .fails_with(1)
        .stderr_has("conflict: unable to remove repository reference \"busybox\" (must force)");
    host.docker(&format!("rmi {id}"))
        .fails_with(1)
        .stderr_has("(must be forced)")
        .stderr_has("image is being used by stopped container");
    host.run("--name runner busybox sleep 1000");
    host.docker(&format!("rmi --force {id}"))
        .fails_with(1)
        .stderr_has("(cannot be forced)")
        .stderr_has("image is being used by running container");
    host.docker("rmi --force busybox").succeeds().prints("Untagged: busybox:latest\n");
    host.docker("rmi nope").fails_with(1).stderr_has("No such image: nope:latest");
}

#[test]
fn an_image_with_two_names_is_removed_by_id_only_by_force() {
    let host = Host::start();
    host.docker("tag busybox second/name").succeeds();
    let id = host.answer("images --quiet busybox");

    host.docker(&format!("rmi {id}"))
        .fails_with(1)
        .stderr_has("image is referenced in multiple repositories");

    host.docker(&format!("rmi --force {id}"))
        .succeeds()
        .stdout_has("Untagged: busybox:latest\n")
        .stdout_has("Untagged: second/name:latest\n")
        .stdout_has("Deleted: sha256:");
}

#[test]
fn prune_removes_what_nothing_uses() {
    let host = Host::start();
    host.load(&shell_image("web:1").docker_archive()).succeeds();
    host.create("busybox");

    host.docker("image prune --force").succeeds().prints("Total reclaimed space: 0B\n");
    host.docker("image prune --all --force")
        .succeeds()
        .stdout_has("untagged: web:1\n")
        .stdout_lacks("busybox");

    assert_eq!(host.answer("images --format {{.Repository}}"), "busybox");
}

#[test]
fn layers_are_laid_over_each_other() {
    let host = Host::builder().bare().start();
    let base = FileSystem::with_shell()
        .with(Entry::folder("data"))
        .with(Entry::file("data/gone", "gone"))
        .with(Entry::file("data/changed", "old"))
        .with(Entry::folder("data/opaque"))
        .with(Entry::file("data/opaque/hidden", "hidden"));
    let top = FileSystem::empty()
        .with(Entry::folder("data"))
        .with(Entry::file("data/.wh.gone", ""))
        .with(Entry::file("data/changed", "new"))
        .with(Entry::folder("data/opaque"))
        .with(Entry::file("data/opaque/.wh..wh..opq", ""))
        .with(Entry::file("data/opaque/shown", "shown"));
    let image = ImageArchive::new("layered:1", json!({})).layer(&base).layer(&top);

    host.load(&image.docker_archive()).succeeds();

    host.docker("run --rm layered:1 sh -c 'cd /data; find . -type f | sort; cat changed'")
        .succeeds()
        .prints("./changed\n./opaque/shown\nnew");
}

#[test]
fn files_keep_what_they_are() {
    let host = Host::builder().bare().start();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let system = FileSystem::with_shell()
        .with(Entry::file("owned", "x").mode(0o640).owned_by(1234, 5678))
        .with(Entry::program("setuid", "x").mode(0o4755))
        .with(Entry::hardlink("linked", "owned").mode(0o640).owned_by(1234, 5678))
        .with(Entry::symlink("pointing", "owned"))
        .with(Entry::device("null", 1, 3))
        .with(Entry::fifo("pipe"))
        .with(Entry::file("precise", "x").record("mtime", "1700000000.123456789"))
        .with(Entry::folder(&"d".repeat(120)))
        .with(Entry::file(&long, "long"));
    host.load(&ImageArchive::new("kept:1", json!({})).layer(&system).docker_archive()).succeeds();
    let told = |command: &str| host.answer(&format!("run --rm kept:1 {command}"));

    assert_eq!(told("stat -c '%a %u %g' /owned"), "640 1234 5678");
    assert_eq!(told("stat -c %a /setuid"), "4755");
    assert_eq!(told("sh -c '[ /owned -ef /linked ] && echo same'"), "same");
    assert_eq!(told("readlink /pointing"), "owned");
    assert_eq!(told("stat -c '%F %t %T' /null"), "character special file 1 3");
    assert_eq!(told("stat -c %F /pipe"), "fifo");
    assert!(told("stat -c %y /precise").contains(":20.123456789"), "{}", told("stat /precise"));
    assert_eq!(told(&format!("cat /{long}")), "long");
}

#[test]
fn a_file_s_capabilities_work() {
    let host = Host::builder().bare().start();
    // Version 2, effective, cap_net_bind_service permitted.
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let system = FileSystem::with_shell().with(Entry::folder("cap")).with(
        Entry::program("cap/busybox", busybox)
            .record("SCHILY.xattr.security.capability", capability.as_slice()),
    );
    host.load(&ImageArchive::new("cap:1", json!({})).layer(&system).docker_archive()).succeeds();

    host.docker("run --rm --user 1000 cap:1 /cap/busybox grep CapEff /proc/self/status")
        .succeeds()
        .prints("CapEff:\t0000000000000400\n");
}

#[test]
fn many_layers_are_no_problem() {
    let host = Host::builder().bare().start();
    let mut image = shell_image("deep:1");
    for n in 1..120 {
        let layer = FileSystem::empty().with(Entry::file(&format!("layer{n}"), n.to_string()));
        image = image.layer(&layer);
    }

    host.load(&image.docker_archive()).succeeds();

    host.docker("run --rm deep:1 sh -c 'ls /layer* | wc -l; cat /layer1 /layer119'")
        .succeeds()
        .prints("119\n1119");
}

#[test]
fn a_layer_that_tries_to_leave_its_root_is_refused() {
    let host = Host::builder().bare().start();
    let outside = host.path("outside");
    let escapes = [
        FileSystem::empty().with(Entry::file("../../../../../escape", "x")),
        FileSystem::empty()
            .with(Entry::symlink("out", host.path("").to_str().unwrap()))
            .with(Entry::file("out/outside", "x")),
        FileSystem::empty().with(Entry::hardlink("passwd", "../../../../../../etc/passwd")),
    ];

    for (n, escape) in escapes.iter().enumerate() {
        let image = ImageArchive::new(&format!("evil{n}:1"), json!({})).layer(escape);
        // The symlink is followed inside of the root, which is as good as a refusal.
        let outcome = host.load(&image.docker_archive());
        assert!(outcome.status != 0 || n == 1, "{outcome}");
        assert!(!outside.exists() && !std::path::Path::new("/escape").exists());
    }
}

#[test]
fn a_damaged_archive_is_refused_and_leaves_nothing() {
    let host = Host::builder().bare().start();
    let image = shell_image("web:1");
    let whole = image.docker_layout(&format!("{OCI_TAR}+gzip"), gzip);

    host.load(&whole[..whole.len() / 2]).fails_with(1);
    host.load(b"this is no archive").fails_with(1);
    host.load(b"").fails_with(1);

    host.docker("images --all --quiet").succeeds().prints("");
    host.load(&whole).succeeds();
}

#[test]
fn content_that_does_not_match_its_digest_is_refused() {
    let host = Host::builder().bare().start();
    let image = shell_image("web:1");
    let mut archive = image.docker_archive();
    // One letter of a file inside the layer.
    let page = b"hello from web";
    let at = archive.windows(page.len()).position(|part| part == page).unwrap();
    archive[at] = b'j';

    host.load(&archive).fails_with(1);

    host.docker("images --all --quiet").succeeds().prints("");
}

#[test]
fn names_are_checked() {
    let host = Host::start();

    host.docker("tag busybox Bad").fails_with(1).stderr_says("must be lowercase");
    host.docker("tag busybox a:b:c").fails_with(1).stderr_says("invalid reference format");
    host.docker("tag nope x").fails_with(1).stderr_has("No such image: nope:latest");
    host.docker("image inspect docker.io/library/busybox:latest").succeeds();
}

#[test]
fn events_tell_of_images() {
    let host = Host::start();
    host.docker("tag busybox other").succeeds();
    host.docker("rmi other").succeeds();

    let text = host.events("--filter type=image --format json");

    let actions: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["Action"].clone())
        .collect();
    // An import gives its name first.
    assert_eq!(actions, ["tag", "import", "tag", "untag"]);
}

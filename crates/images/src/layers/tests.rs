//! Archives become the trees that they describe, whatever is in them.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use archive::builder::{Builder, Fields};

use crate::folders::Folders;
use crate::layers::ArchiveError;
use crate::layers::apply::tree_size;
use crate::layers::assemble::assemble;
use crate::layers::unpack::{Unpacked, unpack};
use crate::testing::{TestStore, docker_archive, gzip, layer, zstd};

/// A data root to unpack in.
struct Place {
    folder: tempfile::TempDir,
    folders: Folders,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::open(folder.path()).unwrap();
        Self { folder, folders }
    }

    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, ArchiveError> {
        unpack(&self.folders, archive)
    }

    fn unfinished(&self) -> usize {
        fs::read_dir(self.folder.path().join("unfinished")).unwrap().count()
    }
}

/// Unpacks an archive, and checks that it can be given back to the byte.
#[track_caller]
fn check(archive: &[u8], look: impl FnOnce(&Path)) {
    let place = Place::new();
    let unpacked =
        place.unpack(archive).unwrap_or_else(|error| panic!("{}", errors::chain(&error)));
    let root = unpacked.draft.path().join("fs");
    let counted = tree_size(File::open(&root).unwrap().as_fd()).unwrap();
    assert_eq!(unpacked.size, counted, "the size is that of the files");

    look(&root);

    let mut again = Vec::new();
    let digest = assemble(unpacked.draft.path(), &mut again).unwrap();
    assert!(again == archive, "the archive is given back as it came");
    assert_eq!(digest, unpacked.diff_id);
    assert_eq!(unpacked.archive_size, archive.len() as u64);
    drop(unpacked);
    assert_eq!(place.unfinished(), 0);
}

/// Checks that an archive is refused with these words, and that nothing is left of it.
#[track_caller]
fn check_refused(archive: &[u8], message: &str) {
    let place = Place::new();
    let error = place.unpack(archive).unwrap_err();
    assert_eq!(errors::chain(&error), message);
    assert_eq!(place.unfinished(), 0);
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1000];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

fn is_whiteout(path: PathBuf) -> bool {
    let metadata = fs::symlink_metadata(path).unwrap();
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

#[test]
fn files_have_their_content_owner_mode_and_time() {
    let fields = Fields {
        path: "bin/su",
        mode: 0o4755,
        uid: 4_000_000,
        gid: 4_000_000_001,
        ..Fields::default()
    };
    let archive = Builder::default()
        .folder("bin/")
        .pax(&[("mtime", b"1700000000.123456789")])
        .entry(&fields, b"program")
        .finish();
    check(&archive, |root| {
        assert_eq!(read(root, "bin/su"), "program");
        let metadata = fs::metadata(root.join("bin/su")).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o4755);
        assert_eq!((metadata.uid(), metadata.gid()), (4_000_000, 4_000_000_001));
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_700_000_000, 123_456_789));
    });
}

#[test]
fn a_folder_keeps_its_time_and_mode_though_files_are_made_in_it() {
    let fields = Fields { path: "tmp", kind: b'5', mode: 0o1777, modified: 5, ..Fields::default() };
    let archive = Builder::default()
        .entry(
            &Fields { path: "./", kind: b'5', mode: 0o750, modified: 6, ..Fields::default() },
            b"",
        )
        .entry(&fields, b"")
        .file("tmp/a", b"a")
        .file("tmp/b/c", b"c")
        .finish();
    check(&archive, |root| {
        let metadata = fs::metadata(root.join("tmp")).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o1777, 5));
        let metadata = fs::metadata(root).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o750, 6));
        assert_eq!(fs::metadata(root.join("tmp/b")).unwrap().mode() & 0o7777, 0o755);
    });
}

#[test]
fn devices_and_fifos_are_what_they_say() {
    let node = |path, kind, mode| Fields { path, kind, mode, device: (1, 3), ..Fields::default() };
    let archive = Builder::default()
        .entry(&node("null", b'3', 0o666), b"")
        .entry(&node("disk", b'4', 0o660), b"")
        .entry(&node("pipe", b'6', 0o600), b"")
        .finish();
    check(&archive, |root| {
        let metadata = |path: &str| fs::symlink_metadata(root.join(path)).unwrap();
        assert!(metadata("null").file_type().is_char_device());
        assert_eq!(metadata("null").rdev(), rustix::fs::makedev(1, 3));
        assert_eq!(metadata("null").mode() & 0o7777, 0o666);
        assert!(metadata("disk").file_type().is_block_device());
        assert!(metadata("pipe").file_type().is_fifo());
    });
}

#[test]
fn links_are_made_as_they_are_written() {
    let archive = Builder::default()
        .file("a", b"shared")
        .hard_link("d/b", "a")
        .hard_link("c", "./d/b")
        .symlink("s", "/nowhere/at/all")
        .hard_link("t", "s")
        .finish();
    check(&archive, |root| {
        let inode = |path: &str| fs::symlink_metadata(root.join(path)).unwrap().ino();
        assert_eq!(inode("a"), inode("d/b"));
        assert_eq!(inode("a"), inode("c"));
        assert_eq!(fs::read_link(root.join("s")).unwrap(), Path::new("/nowhere/at/all"));
        assert_eq!(inode("s"), inode("t"));
    });
}

#[test]
fn whiteouts_become_what_overlayfs_understands() {
    let archive = Builder::default()
        .folder("etc/")
        .file("etc/.wh.gone", b"")
        .file("var/.wh..wh..opq", b"")
        .file("var/new", b"new")
        .file(".wh..wh.plnk/12.34", b"a note of AUFS")
        .file(".wh..wh.aufs", b"")
        .finish();
    check(&archive, |root| {
        assert!(is_whiteout(root.join("etc/gone")));
        assert_eq!(xattr(&root.join("var"), "trusted.overlay.opaque").unwrap(), b"y");
        assert_eq!(read(root, "var/new"), "new");
        let mut names: Vec<_> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["etc", "var"]);
    });
}

#[test]
fn a_whiteout_hides_only_what_is_below() {
    let archive = Builder::default()
        .file("before", b"kept")
        .file(".wh.before", b"")
        .file(".wh.after", b"")
        .file("after", b"kept")
        .folder("folder")
        .file("folder/f", b"kept")
        .file(".wh.folder", b"")
        .file(".wh.later", b"")
        .folder("later")
        .file("later/f", b"kept")
        .finish();
    check(&archive, |root| {
        for path in ["before", "after", "folder/f", "later/f"] {
            assert_eq!(read(root, path), "kept", "{path}");
        }
        for path in ["folder", "later"] {
            assert_eq!(xattr(&root.join(path), "trusted.overlay.opaque").unwrap(), b"y", "{path}");
        }
    });
}

#[test]
fn extended_attributes_are_kept_on_everything() {
    // `cap_net_raw+ep`, as the kernel stores it.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let records = |value: &'static [u8]| -> Vec<(&'static str, &'static [u8])> {
        vec![("SCHILY.xattr.security.capability", value), ("SCHILY.xattr.trusted.x", b"y\0z")]
    };
    let trusted: [(&str, &[u8]); 2] =
        [("SCHILY.xattr.trusted.t", b"1"), ("SCHILY.xattr.trusted.overlay.redirect", b"/etc")];
    let archive = Builder::default()
        .pax(&records(capability))
        .entry(&Fields { path: "ping", mode: 0o755, uid: 5, ..Fields::default() }, b"x")
        .entry(
            &Fields {
                path: "ping6",
                link: "ping",
                kind: b'1',
                mode: 0o755,
                uid: 5,
                ..Fields::default()
            },
            b"",
        )
        .pax(&trusted)
        .folder("folder")
        .pax(&trusted)
        .symlink("link", "ping")
        .pax(&trusted)
        .entry(&Fields { path: "pipe", kind: b'6', ..Fields::default() }, b"")
        .finish();
    check(&archive, |root| {
        assert_eq!(xattr(&root.join("ping"), "security.capability").unwrap(), capability);
        assert_eq!(xattr(&root.join("ping"), "trusted.x").unwrap(), b"y\0z");
        assert_eq!(fs::metadata(root.join("ping6")).unwrap().uid(), 5);
        for path in ["folder", "link", "pipe"] {
            assert_eq!(xattr(&root.join(path), "trusted.t").unwrap(), b"1", "{path}");
            assert_eq!(xattr(&root.join(path), "trusted.overlay.redirect"), None, "{path}");
        }
    });
}

#[test]
fn sparse_files_keep_their_holes() {
    let records: [(&str, &[u8]); 3] = [
        ("GNU.sparse.size", b"10000000"),
        ("GNU.sparse.map", b"0,4,9000000,4"),
        ("GNU.sparse.name", b"d/real"),
    ];
    let archive = Builder::default().pax(&records).file("GNUSparseFile.0/x", b"HEADtail").finish();
    check(&archive, |root| {
        let file = File::open(root.join("d/real")).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 10_000_000);
        assert!(metadata.blocks() * 512 < 100_000);
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 8_999_998).unwrap();
        assert_eq!(&bytes, b"\0\0tail\0\0");
    });
}

#[test]
fn long_names_are_kept() {
    let path = format!("{}/{}", ["x"; 100].join("/"), "n".repeat(255));
    let archive =
        Builder::default().pax(&[("path", path.as_bytes())]).file("short", b"deep").finish();
    check(&archive, |root| assert_eq!(read(root, &path), "deep"));
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one() {
    let archive = Builder::default()
        .file("f", b"first")
        .hard_link("g", "f")
        .file("f", b"second, and longer")
        .folder("d")
        .file("d/inner", b"gone")
        .file("d", b"now a file")
        .folder("d")
        .file("d/inner", b"back")
        .symlink("s", "f")
        .file("s", b"no link any more")
        .file("f", b"third")
        .hard_link("g", "f")
        .finish();
    check(&archive, |root| {
        assert_eq!(read(root, "f"), "third");
        assert_eq!(read(root, "g"), "third");
        assert_eq!(read(root, "d/inner"), "back");
        assert_eq!(read(root, "s"), "no link any more");
    });
}

#[test]
fn files_reached_through_symlinks_are_where_they_lead() {
    let archive = Builder::default()
        .folder("usr/lib")
        .symlink("lib", "usr/lib")
        .file("lib/one", b"1")
        .symlink("var/run", "/run")
        .folder("run")
        .file("var/run/two", b"2")
        .file("usr/lib/one", b"replaced")
        .finish();
    check(&archive, |root| {
        assert_eq!(read(root, "usr/lib/one"), "replaced");
        assert_eq!(read(root, "run/two"), "2");
    });
}

#[test]
fn nothing_is_made_outside_of_the_root() {
    let outside = |what: &str| format!("{what} would be outside of the layer's root");
    let secret = tempfile::tempdir().unwrap();
    let target = secret.path().to_str().unwrap();
    let file = |path: &str| Builder::default().file(path, b"evil").finish();
    check_refused(&file("../evil"), &outside("../evil"));
    check_refused(&file("a/../../evil"), &outside("a/../../evil"));
    check_refused(&file("a/.wh..."), &outside("a/.wh..."));
    let link = Builder::default().hard_link("a", "../../etc/passwd").finish();
    check_refused(&link, &outside("a -> ../../etc/passwd"));
    let climbing = "../".repeat(20) + target;
    let through = Builder::default().symlink("door", &climbing).file("door/evil", b"x").finish();
    check_refused(&through, &outside("door/evil"));
    let through = Builder::default().symlink("door", &climbing).hard_link("a", "door/x").finish();
    check_refused(&through, &outside("a -> door/x"));

    // An absolute path is one from the image's own root, through a symlink as well.
    let archive = Builder::default()
        .file("/etc/inner", b"inside")
        .symlink("door", target)
        .folder(target.trim_start_matches('/'))
        .file("door/evil", b"inside")
        .finish();
    check(&archive, |root| {
        assert_eq!(read(root, "etc/inner"), "inside");
        assert_eq!(read(root, &format!("{}/evil", target.trim_start_matches('/'))), "inside");
    });
    assert_eq!(fs::read_dir(secret.path()).unwrap().count(), 0);
}

#[test]
fn a_symlink_in_a_files_place_is_not_written_through() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "untouched").unwrap();
    let archive = Builder::default()
        .symlink("f", secret.path().to_str().unwrap())
        .file("f", b"evil")
        .finish();
    check(&archive, |root| assert_eq!(read(root, "f"), "evil"));
    assert_eq!(fs::read_to_string(secret.path()).unwrap(), "untouched");
}

#[test]
fn a_broken_archive_is_refused_and_leaves_nothing() {
    let archive = Builder::default().folder("d").file("d/f", &[b'x'; 100_000]).finish();
    let cut = &archive[..50_000];
    check_refused(cut, "unexpected EOF: the archive is cut off at byte 50000");
    let compressed = gzip(&archive);
    let place = Place::new();
    for cut in [&compressed[..compressed.len() / 2], &zstd(&archive)[..100]] {
        assert!(matches!(place.unpack(cut), Err(ArchiveError::Decompress(_))));
    }
    let mut damaged = compressed.clone();
    let last = damaged.len() - 5;
    damaged[last] ^= 0xff;
    assert!(matches!(place.unpack(&damaged), Err(ArchiveError::Decompress(_))));
    let mut damaged = archive.clone();
    damaged[512] ^= 0xff;
    assert!(matches!(place.unpack(&damaged), Err(ArchiveError::Malformed(_))));
    check_refused(b"BZh91AY&SY", "bzip2 archives are not supported");
    assert_eq!(place.unfinished(), 0);
}

#[test]
fn compressed_archives_are_given_back_uncompressed() {
    let archive = Builder::default().file("f", &[b'x'; 1_000_000]).finish();
    for compressed in [gzip(&archive), zstd(&archive)] {
        let place = Place::new();
        let unpacked = place.unpack(&compressed).unwrap();
        let mut again = Vec::new();
        assemble(unpacked.draft.path(), &mut again).unwrap();
        assert!(again == archive);
    }
}

#[test]
fn an_archive_of_nothing_is_a_layer_of_nothing() {
    check(&Builder::default().finish(), |root| {
        assert_eq!(fs::read_dir(root).unwrap().count(), 0);
    });
    check(b"", |root| assert_eq!(fs::read_dir(root).unwrap().count(), 0));
}

#[test]
fn a_folder_that_no_entry_describes_is_like_the_one_below() {
    let store = TestStore::new();
    let fields = Fields {
        path: "var/mail",
        kind: b'5',
        mode: 0o2775,
        gid: 8,
        modified: 7,
        ..Fields::default()
    };
    let bottom =
        Builder::default().pax(&[("SCHILY.xattr.trusted.note", b"n")]).entry(&fields, b"").finish();
    let top = layer("var/mail/root", "a letter");
    let image = store.load_one(&docker_archive(&[bottom, top], &[]));
    let path = store.tree(&image, 1).join("var/mail");
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.gid(), metadata.mtime()), (0o2775, 8, 7));
    assert_eq!(xattr(&path, "trusted.note").unwrap(), b"n");
}

#[test]
fn a_hard_link_to_a_lower_layers_file_brings_it_along() {
    let store = TestStore::new();
    let bottom = Builder::default()
        .entry(&Fields { path: "bin/tool", mode: 0o4711, uid: 9, ..Fields::default() }, b"tool")
        .finish();
    let middle = layer("other", "x");
    let top = Builder::default().hard_link("sbin/alias", "bin/tool").finish();
    let archive = docker_archive(&[bottom, middle, top.clone()], &[]);
    let image = store.load_one(&archive);
    let tree = store.tree(&image, 2);
    let (one, two) = (
        fs::metadata(tree.join("sbin/alias")).unwrap(),
        fs::metadata(tree.join("bin/tool")).unwrap(),
    );
    assert_eq!(one.ino(), two.ino());
    assert_eq!((one.mode() & 0o7777, one.uid()), (0o4711, 9));
    assert_eq!(read(&tree, "sbin/alias"), "tool");
    // It is still the archive that it was.
    let mut again = Vec::new();
    assemble(tree.parent().unwrap(), &mut again).unwrap();
    assert!(again == top);
}

#[test]
fn a_hard_link_to_nothing_is_refused() {
    let hidden = Builder::default().file(".wh.f", b"").finish();
    let opaque = Builder::default().file("d/.wh..wh..opq", b"").finish();
    let bottom = Builder::default().file("f", b"").file("d/f", b"").finish();
    let cases = [(vec![], "f"), (vec![bottom.clone(), hidden], "f"), (vec![bottom, opaque], "d/f")];
    for (mut layers, target) in cases {
        layers.push(Builder::default().hard_link("alias", target).finish());
        let store = TestStore::new();
        let error = store.load(&docker_archive(&layers, &[])).unwrap_err();
        let message = format!("alias is a hard link to {target}, which is not there");
        assert!(errors::chain(&error).ends_with(&message), "{}", errors::chain(&error));
        store.assert_tidy();
    }
}

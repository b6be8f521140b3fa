//! What is told of changes made through a real overlay.

use std::fs;
use std::path::Path;
use std::process::Command;

use archive::entry::Kind;
use archive::reader::{NoTape, Reader};

use super::walk::{self, Found, Visitor};
use super::{ChangeKind, list, write_layer};
use crate::snapshots::Snapshot;

/// Three folders for an overlay, and somebody to change it.
struct Stage {
    _root: tempfile::TempDir,
    snapshot: Snapshot,
}

impl Stage {
    /// With what `script` makes in the image's one layer.
    fn new(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let snapshot =
            Snapshot { lowers: vec![path("lower")], upper: path("upper"), work: path("work") };
        for folder in [&snapshot.lowers[0], &snapshot.upper, &snapshot.work] {
            fs::create_dir(folder).unwrap();
        }
        shell(&snapshot.lowers[0], script);
        Self { _root: root, snapshot }
    }

    /// Changes files as a container does; `options` are the overlay's.
    fn change(&self, options: &str, script: &str) -> &Self {
        let Snapshot { lowers, upper, work } = &self.snapshot;
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{options}",
            lowers[0].display(),
            upper.display(),
            work.display()
        );
        let place = tempfile::tempdir().unwrap();
        let done = Command::new("unshare")
            .args(["--mount", "sh", "-ec"])
            .arg(format!("mount -t overlay overlay -o \"$1\" \"$2\"; cd \"$2\"; {script}"))
            .args(["sh", &options])
            .arg(place.path())
            .status();
        assert!(done.unwrap().success(), "{script}");
        self
    }

    fn listed(&self) -> Vec<String> {
        let letter = |kind| match kind {
            ChangeKind::Modified => "C",
            ChangeKind::Added => "A",
            ChangeKind::Deleted => "D",
        };
        let changes = list(&self.snapshot).unwrap();
        let line = |change: &super::FileChange| {
            format!("{} /{}", letter(change.kind), String::from_utf8_lossy(&change.path))
        };
        changes.iter().map(line).collect()
    }

    fn layer(&self) -> Vec<u8> {
        let mut layer = Vec::new();
        write_layer(&self.snapshot, &mut layer).unwrap();
        layer
    }

    /// The layer's entries: paths, hard links with their target, and files with their content.
    fn written(&self) -> Vec<String> {
        let layer = self.layer();
        let mut reader = Reader::new(&layer[..], NoTape);
        let mut lines = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let text = String::from_utf8_lossy(reader.content().unwrap()).into_owned();
            lines.push(match &entry.kind {
                Kind::HardLink { target } => {
                    format!("{} = {}", entry.display(), String::from_utf8_lossy(target))
                }
                Kind::File { .. } if !text.is_empty() => format!("{}: {text}", entry.display()),
                _ => entry.display(),
            });
        }
        lines
    }
}

fn shell(folder: &Path, script: &str) {
    let done = Command::new("sh").args(["-ec", script]).current_dir(folder).status();
    assert!(done.unwrap().success(), "{script}");
}

const IMAGE: &str = "mkdir -p etc keep/sub gone old; printf a >etc/a; printf b >etc/b; \
                     printf k >keep/sub/k; printf g >gone/g; printf o >old/o; printf t >text";

#[test]
fn what_was_added_changed_and_deleted_is_told() {
    let stage = Stage::new(IMAGE);
    stage.change(
        "",
        "printf new >etc/a; rm etc/b; rm -r gone; mkdir -p new/deep; printf n >new/deep/n; \
         chmod 700 keep; rm -r old; mkdir old; printf x >old/x; rm text; mkdir text",
    );
    let expected = [
        "C /etc",
        "C /etc/a",
        "D /etc/b",
        "D /gone",
        "C /keep",
        "A /new",
        "A /new/deep",
        "A /new/deep/n",
        "C /old",
        "D /old/o",
        "A /old/x",
        "C /text",
    ];
    assert_eq!(stage.listed(), expected);
    let expected = [
        "etc/",
        "etc/a: new",
        "etc/.wh.b",
        ".wh.gone",
        "keep/",
        "new/",
        "new/deep/",
        "new/deep/n: n",
        "old/",
        "old/.wh..wh..opq",
        "old/x: x",
        "text/",
    ];
    assert_eq!(stage.written(), expected);
}

#[test]
fn what_was_not_changed_is_not_told() {
    let stage = Stage::new(IMAGE);
    assert!(stage.listed().is_empty());
    assert_eq!(stage.layer(), [0; 1024]);
    // Opened to be written, made and unmade, looked at.
    stage.change("", ": >>etc/a; touch etc/new; rm etc/new; cat keep/sub/k >/dev/null");
    assert!(stage.listed().is_empty());
    // What the engine makes in an image that lacks it.
    stage.change("", "mkdir -p dev/pts proc sys; : >etc/hosts; : >etc/resolv.conf; : >dev/console; : >.dockerenv");
    assert!(stage.listed().is_empty());
    stage.change("", "printf x >etc/hosts; : >dev/own");
    assert_eq!(stage.listed(), ["A /dev", "A /dev/own", "C /etc", "A /etc/hosts"]);
}

#[test]
fn the_same_changes_make_the_same_layer() {
    let changes = "mkdir d; printf x >d/b; printf x >d/a; ln d/a d/link; rm -r gone; printf y >etc/a; \
                   find . -newer text -exec touch -hd @1700000000 {} +; touch -d @1700000000 etc d";
    let image = format!("{IMAGE}; find . -exec touch -hd @1600000000 {{}} +");
    let layers =
        [Stage::new(&image), Stage::new(&image)].map(|stage| stage.change("", changes).layer());
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn hard_links_and_capabilities_are_in_the_layer() {
    let stage = Stage::new(IMAGE);
    stage.change("", "printf x >one; ln one two; setfattr -n user.note -v hello one || true");
    assert_eq!(stage.written(), ["one: x", "two = one"]);
}

/// A kernel may be told to note that a folder was renamed, and that only the attributes of a
/// file were changed, instead of copying what is in them.
#[test]
fn renamed_folders_and_files_without_content_are_whole_in_the_layer() {
    let stage = Stage::new(IMAGE);
    stage.change(",redirect_dir=on,metacopy=on", "mv keep moved; chmod 600 text; chown 7 etc/a");
    let expected =
        ["etc/", "etc/a: a", ".wh.keep", "moved/", "moved/sub/", "moved/sub/k: k", "text: t"];
    assert_eq!(stage.written(), expected);
    let expected =
        ["C /etc", "C /etc/a", "D /keep", "A /moved", "A /moved/sub", "A /moved/sub/k", "C /text"];
    assert_eq!(stage.listed(), expected);
}

#[test]
fn deep_folders_take_few_descriptors() {
    struct Counting {
        seen: usize,
        open_max: usize,
    }
    impl Visitor for Counting {
        fn visit(&mut self, _: &[u8], _: &Found<'_>) -> Result<(), archive::tree::TreeError> {
            self.seen += 1;
            self.open_max = self.open_max.max(open_descriptors());
            Ok(())
        }

        fn leave(&mut self) {}
    }
    fn open_descriptors() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }
    let deep = "for n in $(seq 500); do mkdir x; echo >x/z; cd -P x; done";
    // The same in the layers below, so that both are walked through.
    let stage = Stage::new(deep);
    shell(&stage.snapshot.upper, deep);
    let before = open_descriptors();
    let mut counting = Counting { seen: 0, open_max: 0 };
    walk::walk(&stage.snapshot, &mut counting).unwrap();
    assert_eq!(counting.seen, 1000);
    let most = 2 * archive::descent::OPEN_FOLDERS_MAX + 10;
    assert!(counting.open_max < before + most, "{} after {before}", counting.open_max);
}

#[test]
fn a_path_that_nobody_can_name_is_refused() {
    let nest = |depth: usize| {
        let stage = Stage::new("true");
        let name = "x".repeat(255);
        // Each folder is entered before the next is made, for the whole path is too long.
        let script = format!("for n in $(seq {depth}); do mkdir {name}; cd -P {name}; done");
        shell(&stage.snapshot.upper, &script);
        list(&stage.snapshot).map(|changes| changes.len())
    };
    assert_eq!(nest(15).unwrap(), 15);
    let refused = nest(17).unwrap_err();
    assert!(errors::chain(&refused).contains("is too deep"), "{refused}");
}

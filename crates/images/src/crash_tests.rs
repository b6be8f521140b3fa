//! `kill -9` at any moment leaves a store that opens, with whole images and nothing else.
//!
//! This test binary runs itself as the process that is killed. That one works as fast as it
//! can and writes a letter after each step; it is killed after some letters, which is in the
//! midst of some later step.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use redb::Database;

use crate::import::ImportOptions;
use crate::store::Store;
use crate::testing::{TestStore, docker_archive, gzip, layer};

/// Where the process that is killed has its store.
const ROOT: &str = "WHARF_TEST_CRASH_ROOT";

/// Its test, by the name that the test binary knows.
const VICTIM: &str = "crash_tests::works_until_it_is_killed";

/// Kills. Each takes the time of as many steps as its number says.
const KILLS: usize = 25;

#[test]
fn works_until_it_is_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = Path::new(&root);
    let database = Database::create(root.join("metadata.redb")).unwrap();
    let store = Store::open(root, Arc::new(database)).unwrap();
    let did = |_| std::io::stderr().write_all(b".").unwrap();
    for round in 0.. {
        let own = layer("own", &format!("{round}").repeat(10_000));
        let tag = format!("round:{}", round % 3);
        let archive = gzip(&docker_archive(&[layer("base", "b"), own.clone()], &[&tag]));
        let loaded = store.load(&mut &archive[..], None, &mut |_| {}).unwrap();
        did(loaded.len());
        let name = format!("container{}", round % 5);
        store.discard(&name).unwrap();
        store.prepare(&name, &loaded[0].image).unwrap();
        did(1);
        let options =
            ImportOptions { reference: Some("imported".parse().unwrap()), ..Default::default() };
        store.import(&mut &own[..], options).unwrap();
        did(1);
        if round % 2 == 1 {
            for image in store.images().iter().filter(|image| image.is_dangling()) {
                store.delete(&image.id).unwrap();
                did(1);
            }
        }
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_store_that_opens() {
    let mut store = TestStore::new();
    for kill in 0..KILLS {
        store = store.while_closed(|root| work_and_die(root, kill * 3 % 20 + 1));
        store.assert_tidy();
        let names: Vec<String> =
            store.store.images().iter().map(|image| image.id.to_string()).collect();
        // Each image is whole: its layers still have the digests that they should.
        store.store.save(&names, &mut std::io::sink()).unwrap();
        for name in store.store.snapshots().unwrap() {
            let snapshot = store.store.snapshot(&name).unwrap();
            let folders = snapshot.lowers.iter().chain([&snapshot.upper, &snapshot.work]);
            folders.for_each(|folder| assert!(folder.is_dir(), "{}", folder.display()));
        }
    }
}

/// Runs the other test on this root, and kills it after so many letters.
fn work_and_die(root: &Path, letters: usize) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", VICTIM, "--nocapture", "--test-threads=1"])
        .env(ROOT, root)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = victim.stderr.take().unwrap();
    let mut buffer = vec![0; letters];
    let read = output.read_exact(&mut buffer);
    victim.kill().unwrap();
    victim.wait().unwrap();
    let mut rest = String::new();
    let _ = output.read_to_string(&mut rest);
    let text = String::from_utf8_lossy(&buffer);
    assert!(read.is_ok() && text.bytes().all(|letter| letter == b'.'), "{text}{rest}");
}

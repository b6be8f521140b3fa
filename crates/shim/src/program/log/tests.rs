//! What every driver that writes files must do, and what is special about each.

use std::fs::File;
use std::io;
use std::path::Path;

use proptest::prelude::*;
use shim::local_log::{
    BLOCK_BYTES, BlockHeader, Decoded, FOOTER_BYTES, Footer, HEADER_BYTES, RawEntry,
};
use shim::protocol::{LogFiles, LogSettings};

use super::pack::{Packing, pack};
use super::*;

/// A driver that writes files, and how its files are read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    JsonFile,
    Local,
}

const KINDS: [Kind; 2] = [Kind::JsonFile, Kind::Local];

/// The name of the live file.
const NAME: &str = "log";

impl Kind {
    fn open(self, folder: &Path, size_max: Option<u64>, files_max: u32) -> Log {
        let path = folder.join(NAME);
        let settings = match self {
            Self::JsonFile => LogSettings::JsonFile {
                path,
                size_max,
                files_max,
                compress: false,
                attributes: vec![("tag".to_owned(), "a&b".to_owned())],
            },
            Self::Local => {
                LogSettings::Local(LogFiles { path, size_max, files_max, compress: false })
            }
        };
        Log::open(&settings, &EventLoop::new().unwrap()).unwrap().unwrap()
    }

    /// The texts in a file, with `!` before those of stderr.
    fn read(self, path: &Path) -> Vec<String> {
        let bytes = std::fs::read(path).unwrap();
        match self {
            Self::JsonFile => read_json(&bytes),
            Self::Local => read_local(&bytes).into_iter().map(|(text, _)| text).collect(),
        }
    }
}

fn read_json(bytes: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    let values = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    values
        .map(|value| {
            let mark = if value["stream"] == "stderr" { "!" } else { "" };
            format!("{mark}{}", value["log"].as_str().unwrap())
        })
        .collect()
}

/// Texts and times. Checks every header against the entries before it.
fn read_local(bytes: &[u8]) -> Vec<(String, i64)> {
    let mut stream = Vec::new();
    let mut starts = Vec::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        let header = BlockHeader::decode(block).unwrap();
        let first = stream.len() + header.first_entry as usize - HEADER_BYTES;
        starts.push((first, header));
        stream.extend_from_slice(&block[HEADER_BYTES..]);
    }
    let (mut entries, mut at, mut time) = (Vec::new(), 0, 0);
    let mut starts = starts.into_iter().peekable();
    while at < stream.len() {
        if let Some((_, header)) = starts.next_if(|(first, _)| *first == at) {
            assert_eq!(header.entries_before, entries.len() as u64);
            if !entries.is_empty() {
                assert_eq!(header.last_time, time);
            }
            time = header.last_time;
        }
        let Decoded::Entry(entry, length) = RawEntry::decode(&stream[at..]) else {
            panic!("no entry at {at}");
        };
        time += entry.time_delta;
        let mark = if entry.is_stderr { "!" } else { "" };
        let end = if entry.goes_on { "" } else { "\n" };
        let text = String::from_utf8_lossy(entry.text);
        entries.push((format!("{mark}{text}{end}"), time));
        at += length;
    }
    entries
}

fn on_each_kind(check: impl Fn(Kind, &Path)) {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        check(kind, folder.path());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn both_streams_are_logged_line_by_line() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, None, 1);
        log.write(Source::Stdout, b"one\ntw");
        log.write(Source::Stderr, b"err\n");
        log.write(Source::Stdout, b"o\n\nrest");
        log.finish();
        let expected = ["one\n", "!err\n", "two\n", "\n", "rest"];
        assert_eq!(kind.read(&folder.join(NAME)), expected, "{kind:?}");
    });
}

#[test]
fn a_full_file_moves_on_and_the_oldest_goes() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, Some(1), 3);
        log.write(Source::Stdout, b"1\n2\n3\n4\n");
        let read = |name: &str| kind.read(&folder.join(name)).concat();
        assert_eq!([read("log"), read("log.1"), read("log.2")], ["4\n", "3\n", "2\n"]);
        assert_eq!(names(folder), ["log", "log.1", "log.2"], "{kind:?}");
    });
}

#[test]
fn with_one_file_it_starts_anew() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, Some(1), 1);
        log.write(Source::Stdout, b"1\n2\n");
        assert_eq!(kind.read(&folder.join(NAME)), ["2\n"], "{kind:?}");
        assert_eq!(names(folder), [NAME]);
    });
}

/// As when there are too many open files. Each test is a process of its own.
fn without_descriptors(work: impl FnOnce()) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
    work();
    setrlimit(Resource::Nofile, before).unwrap();
}

#[test]
fn a_rotation_that_fails_loses_nothing_and_is_made_up_for() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, Some(1), 3);
        log.write(Source::Stdout, b"1\n2\n3\n");
        without_descriptors(|| log.write(Source::Stdout, b"4\n5\n6\n"));
        let read = |name: &str| kind.read(&folder.join(name)).concat();
        assert_eq!([read("log"), read("log.1"), read("log.2")], ["3\n4\n5\n6\n", "2\n", "1\n"]);
        log.write(Source::Stdout, b"7\n");
        assert_eq!([read("log"), read("log.1"), read("log.2")], ["7\n", "3\n4\n5\n6\n", "2\n"]);
        assert_eq!(
            (names(folder), log.lost()),
            (["log", "log.1", "log.2"].map(Into::into).into(), 0)
        );
    });
}

#[test]
fn the_only_file_outlives_a_rotation_that_fails() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, Some(1), 1);
        log.write(Source::Stdout, b"1\n");
        without_descriptors(|| log.write(Source::Stdout, b"2\n3\n"));
        assert_eq!(kind.read(&folder.join(NAME)), ["1\n", "2\n", "3\n"], "{kind:?}");
        log.write(Source::Stdout, b"4\n");
        assert_eq!(kind.read(&folder.join(NAME)), ["4\n"], "{kind:?}");
        assert_eq!(names(folder), [NAME]);
    });
}

#[test]
fn a_rotation_that_failed_half_way_goes_on_where_it_was() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, Some(1), 5);
        log.write(Source::Stdout, b"1\n2\n3\n4\n5\n");
        // As it left them: 4 and 3 have moved up, 2 has not.
        std::fs::remove_file(folder.join("log.4")).unwrap();
        std::fs::rename(folder.join("log.3"), folder.join("log.4")).unwrap();
        log.write(Source::Stdout, b"6\n");
        let read = |number| kind.read(&folder.join(format!("log.{number}"))).concat();
        assert_eq!([1, 2, 3, 4].map(read), ["5\n", "4\n", "3\n", "2\n"], "{kind:?}");
    });
}

#[test]
fn a_live_file_that_somebody_removed_comes_back() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, Some(1), 3);
        log.write(Source::Stdout, b"1\n2\n");
        std::fs::remove_file(folder.join(NAME)).unwrap();
        log.write(Source::Stdout, b"3\n");
        let read = |name: &str| kind.read(&folder.join(name)).concat();
        assert_eq!([read("log"), read("log.1")], ["3\n", "1\n"], "{kind:?}");
        assert_eq!(names(folder), ["log", "log.1"], "{kind:?}");
    });
}

#[test]
fn a_later_shim_appends() {
    on_each_kind(|kind, folder| {
        for _ in 0..2 {
            kind.open(folder, None, 1).write(Source::Stdout, b"again\n");
        }
        assert_eq!(kind.read(&folder.join(NAME)), ["again\n", "again\n"], "{kind:?}");
    });
}

#[test]
fn what_a_crash_cut_off_is_no_harm_to_what_follows() {
    on_each_kind(|kind, folder| {
        let path = folder.join(NAME);
        kind.open(folder, None, 1).write(Source::Stdout, b"first\nsecond\n");
        let whole = std::fs::read(&path).unwrap();
        let one = whole.len() - if kind == Kind::Local { 9 } else { 1 };
        for length in one..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            kind.open(folder, None, 1).write(Source::Stdout, b"third\n");
            assert_eq!(kind.read(&path), ["first\n", "third\n"], "{kind:?} cut at {length}");
        }
        // As after a power failure: the size is right, and the end was never written.
        std::fs::write(&path, [&whole[..], &[0; 500]].concat()).unwrap();
        kind.open(folder, None, 1).write(Source::Stdout, b"third\n");
        assert_eq!(kind.read(&path), ["first\n", "second\n", "third\n"], "{kind:?}");
    });
}

#[test]
fn times_are_later_in_later_files() {
    on_each_kind(|kind, folder| {
        let mut log = kind.open(folder, Some(1), 9);
        log.write(Source::Stdout, b"1\n2\n3\n4\n5\n");
        drop(log);
        let time = |number: u32| {
            let path = match number {
                0 => folder.join(NAME),
                _ => folder.join(format!("log.{number}")),
            };
            let file = File::open(&path).unwrap();
            let size = file.metadata().unwrap().len();
            match kind {
                Kind::JsonFile => json_file::last_time(&file, size).unwrap().unwrap(),
                Kind::Local => read_local(&std::fs::read(path).unwrap())[0].1,
            }
        };
        let times: Vec<_> = (0..5).rev().map(time).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{kind:?}: {times:?}");
    });
}

#[test]
fn docker_s_lines_are_written_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    Kind::JsonFile.open(folder.path(), None, 1).write(Source::Stdout, b"one\n");
    let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
    let beginning =
        "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"a\\u0026b\"},\"time\":\"2";
    assert!(text.starts_with(beginning) && text.ends_with("Z\"}\n"), "{text}");
}

#[test]
fn a_rotated_file_is_packed_beside_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.1");
    let to = folder.path().join("packed");
    Kind::JsonFile.open(folder.path(), None, 1).write(Source::Stdout, b"one\ntwo\n");
    std::fs::rename(folder.path().join(NAME), &path).unwrap();
    pack(Packing::Gzip, File::open(&path).unwrap(), &to).unwrap();

    let mut decoder = flate2::read::GzDecoder::new(File::open(&to).unwrap());
    let text = io::read_to_string(&mut decoder).unwrap();
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
    let extra = String::from_utf8(decoder.header().unwrap().extra().unwrap().to_vec()).unwrap();
    assert!(extra.starts_with("{\"lastTime\":\"20") && extra.ends_with("Z\"}"), "{extra}");
}

#[test]
fn packed_blocks_are_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..40_000).map(|number| format!("line {number}\n")).collect();
    Kind::Local.open(folder.path(), None, 1).write(Source::Stdout, lines.as_bytes());
    let from = folder.path().join(NAME);
    let to = folder.path().join("packed");
    pack(Packing::Blocks, File::open(&from).unwrap(), &to).unwrap();

    let (plain, packed) = (std::fs::read(from).unwrap(), std::fs::read(to).unwrap());
    assert!(packed.len() < plain.len() / 2, "{} of {}", packed.len(), plain.len());
    let footer = packed.last_chunk::<FOOTER_BYTES>().unwrap();
    let footer = Footer::decode(footer).unwrap();
    assert_eq!(footer.entries, 40_000);
    assert_eq!(footer.blocks, plain.len().div_ceil(BLOCK_BYTES) as u64);
    let (mut rest, mut unpacked) = (&packed[..], Vec::new());
    for _ in 0..footer.blocks {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let block = flate2::read::DeflateDecoder::new(&rest[4..4 + length]);
        unpacked.extend(io::Read::bytes(block).map(Result::unwrap));
        rest = &rest[4 + length..];
    }
    assert!(unpacked == plain);
}

#[test]
fn a_clock_that_is_set_back_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let line = "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2222-01-01T00:00:00Z\"}\n";
    std::fs::write(&path, line).unwrap();
    let mut log = Kind::JsonFile.open(folder.path(), None, 1);
    log.write(Source::Stdout, b"one\ntwo\n");
    let noted = std::fs::read_to_string(folder.path().join("log.jumps")).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    let first = 7_952_342_400_000_000_000_i64;
    assert_eq!(noted, format!("{inode} {} {first}\n", line.len()));
}

#[test]
fn what_was_noted_goes_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, notes) = (folder.path().join(NAME), folder.path().join("log.jumps"));
    let mut log = Kind::JsonFile.open(folder.path(), Some(1), 3);
    log.write(Source::Stdout, b"one\n");
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    std::fs::write(&notes, format!("1 9\n{inode} 5 7\n")).unwrap();
    // Each line fills a file: the first is now the second of three, and then the third.
    for line in ["two\n", "three\n"] {
        log.write(Source::Stdout, line.as_bytes());
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), format!("{inode} 5 7\n"));
    }
    log.write(Source::Stdout, b"four\n");
    assert!(!notes.exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever lengths entries have, and wherever the file is broken off.
    #[test]
    fn a_local_log_is_whole_up_to_where_it_was_broken_off(
        lengths in prop::collection::vec(0_usize..16_000, 1..40),
        cut in 0.0..1.0_f64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut log = Kind::Local.open(folder.path(), None, 1);
        let line = |length: usize| "x".repeat(length) + "\n";
        for length in &lengths {
            log.write(Source::Stdout, line(*length).as_bytes());
        }
        drop(log);
        let expected: Vec<_> = lengths.iter().map(|length| line(*length)).collect();
        prop_assert_eq!(&Kind::Local.read(&path), &expected);

        let size = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len((size as f64 * cut) as u64).unwrap();
        Kind::Local.open(folder.path(), None, 1).write(Source::Stderr, b"after\n");
        let mut found = Kind::Local.read(&path);
        prop_assert_eq!(found.pop().unwrap(), "!after\n");
        prop_assert_eq!(&found[..], &expected[..found.len()]);
    }
}

//! Every format finds the same entries, wherever they are: in one file, in several, packed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use proptest::prelude::*;
use shim::local_log::{BLOCK_BYTES, BlockHeader, Footer, HEADER_BYTES, IndexEntry, RawEntry};

use super::*;
use crate::logs::entry::NEVER;

const FORMATS: [Format; 2] = [Format::JsonFile, Format::Local];

/// The beginning of all times in these tests, for JSON's text has to be made of them.
const EPOCH: i64 = 1_795_228_657_000_000_000;

const SECOND: i64 = 1_000_000_000;

/// Entries that are `(seconds after the epoch, text)`.
type Entries<'a> = &'a [(i64, String)];

/// Writes a log's files, the oldest first.
struct Writer {
    folder: tempfile::TempDir,
    format: Format,
    latest_time: i64,
}

impl Writer {
    fn new(format: Format) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), format, latest_time: NEVER }
    }

    fn log(&self) -> LogFiles {
        LogFiles { format: self.format, path: self.folder.path().join("log") }
    }

    fn write(&mut self, number: u32, is_packed: bool, entries: Entries<'_>) {
        let (plain, extension) = match self.format {
            Format::JsonFile => (json(entries), ".gz"),
            Format::Local => (self.local(entries), PACKED_EXTENSION),
        };
        let path = numbered(&self.log().path, number, if is_packed { extension } else { "" });
        let bytes = match (is_packed, self.format) {
            (false, _) => plain,
            (true, Format::JsonFile) => gzip(&plain),
            (true, Format::Local) => self.pack(&plain, entries.len()),
        };
        std::fs::write(path, bytes).unwrap();
    }

    fn local(&mut self, entries: Entries<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut last_time = 0;
        for (index, (second, text)) in entries.iter().enumerate() {
            let time = EPOCH + second * SECOND;
            let mut header = BlockHeader {
                first_entry: HEADER_BYTES as u32,
                entries_before: index as u64,
                last_time,
                latest_time: self.latest_time,
            };
            if bytes.len() % BLOCK_BYTES == 0 {
                bytes.extend_from_slice(&header.encode());
            }
            let text = text.as_bytes();
            let entry =
                RawEntry { is_stderr: false, goes_on: false, time_delta: time - last_time, text };
            let mut encoded = Vec::new();
            entry.encode(&mut encoded);
            last_time = time;
            self.latest_time = self.latest_time.max(time);
            let room = BLOCK_BYTES - bytes.len() % BLOCK_BYTES;
            if encoded.len() > room {
                bytes.extend_from_slice(&encoded[..room]);
                let rest = &encoded[room..];
                header.first_entry = (HEADER_BYTES + rest.len()) as u32;
                header.entries_before += 1;
                header.last_time = last_time;
                header.latest_time = self.latest_time;
                bytes.extend_from_slice(&header.encode());
                bytes.extend_from_slice(rest);
            } else {
                bytes.extend_from_slice(&encoded);
            }
        }
        bytes
    }

    fn pack(&self, plain: &[u8], entries: usize) -> Vec<u8> {
        let (mut bytes, mut index) = (Vec::new(), Vec::new());
        for block in plain.chunks(BLOCK_BYTES) {
            let header = BlockHeader::decode(block).unwrap();
            index.push(IndexEntry {
                position: bytes.len() as u64,
                entries_before: header.entries_before,
                latest_time: header.latest_time,
            });
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(block).unwrap();
            let packed = encoder.finish().unwrap();
            bytes.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&packed);
        }
        let (blocks, entries) = (index.len() as u64, entries as u64);
        index.iter().for_each(|entry| bytes.extend_from_slice(&entry.encode()));
        let footer = Footer { blocks, entries, latest_time: self.latest_time };
        bytes.extend_from_slice(&footer.encode());
        bytes
    }

    /// What is found from `beginning` on, less what is before `since` but had to be read.
    fn read(&self, tail: Option<u64>, since: Option<i64>) -> Vec<String> {
        let since = since.map(|second| EPOCH + second * SECOND);
        let files = self.log().open(Beginning { tail, since }).unwrap();
        let mut entries = Vec::new();
        for mut found in files {
            while found.file.read(&mut entries).unwrap() {}
        }
        let is_wanted =
            |at: jiff::Timestamp| since.is_none_or(|since| at.as_nanosecond() >= i128::from(since));
        let wanted = entries.into_iter().filter(|entry| is_wanted(entry.at));
        wanted.map(|entry| String::from_utf8(entry.text).unwrap().trim().to_owned()).collect()
    }
}

fn json(entries: Entries<'_>) -> Vec<u8> {
    let lines = entries.iter().map(|(second, text)| {
        let at = jiff::Timestamp::from_nanosecond(i128::from(EPOCH + second * SECOND)).unwrap();
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"{at}\"}}\n")
    });
    lines.collect::<String>().into_bytes()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn entries(seconds: impl Iterator<Item = i64>) -> Vec<(i64, String)> {
    seconds.map(|second| (second, second.to_string())).collect()
}

fn texts(seconds: impl Iterator<Item = i64>) -> Vec<String> {
    seconds.map(|second| second.to_string()).collect()
}

/// Three files of a thousand entries each, one a second, the older ones packed or not.
fn three_files(format: Format, is_packed: bool) -> Writer {
    let mut writer = Writer::new(format);
    writer.write(2, is_packed, &entries(0..1000));
    writer.write(1, is_packed, &entries(1000..2000));
    writer.write(0, false, &entries(2000..3000));
    writer
}

#[test]
fn the_tail_reaches_into_rotated_files() {
    for (format, is_packed) in FORMATS.iter().flat_map(|format| [(*format, false), (*format, true)])
    {
        let writer = three_files(format, is_packed);
        for wanted in [0, 1, 999, 1000, 1001, 2500, 3000, 9999] {
            let expected = texts((3000 - wanted).max(0)..3000);
            let found = writer.read(Some(wanted as u64), None);
            assert_eq!(found, expected, "{format:?} packed: {is_packed}, tail {wanted}");
        }
        assert_eq!(writer.read(None, None).len(), 3000);
    }
}

#[test]
fn a_time_is_found_in_whichever_file_it_is() {
    for (format, is_packed) in FORMATS.iter().flat_map(|format| [(*format, false), (*format, true)])
    {
        let writer = three_files(format, is_packed);
        for since in [-5, 0, 1, 999, 1000, 1001, 2500, 2999, 3000, 9999] {
            let found = writer.read(None, Some(since));
            let expected = texts(since.clamp(0, 3000)..3000);
            assert_eq!(found, expected, "{format:?} packed: {is_packed}, since {since}");
        }
    }
}

#[test]
fn nothing_was_written_yet() {
    for format in FORMATS {
        let mut writer = Writer::new(format);
        assert!(writer.read(Some(5), None).is_empty());
        writer.write(0, false, &[]);
        assert!(writer.read(Some(5), None).is_empty());
        assert!(writer.read(None, Some(5)).is_empty());
    }
}

#[test]
fn a_recent_time_is_found_without_reading_what_is_before() {
    for format in FORMATS {
        let mut writer = Writer::new(format);
        writer.write(0, false, &entries(0..200_000));
        let since = Some(EPOCH + 199_990 * SECOND);
        let mut files = writer.log().open(Beginning { tail: None, since }).unwrap();
        let mut found = Vec::new();
        while files[0].file.read(&mut found).unwrap() {}
        assert!((10..12_000).contains(&found.len()), "{format:?}: {} entries", found.len());
    }
}

#[test]
fn a_clock_that_was_set_back_hides_nothing() {
    let before = entries(0..2000);
    let after = entries(500..2500);
    let both = [&before[..], &after[..]].concat();
    for format in FORMATS {
        let mut writer = Writer::new(format);
        writer.write(0, false, &both);
        if format == Format::JsonFile {
            let path = writer.log().path;
            let inode = inode(&File::open(&path).unwrap()).unwrap();
            let note = format!("7 9\n{inode} {}\n", json(&before).len());
            std::fs::write(path.with_extension("jumps"), note).unwrap();
        }
        for since in [0, 400, 500, 1500, 1999, 2000, 2400, 2600] {
            let expected: Vec<_> = both
                .iter()
                .filter(|(second, _)| *second >= since)
                .map(|(_, text)| text.clone())
                .collect();
            let found = writer.read(None, Some(since));
            // Later entries that are too early are for the query to drop; none is missing.
            let is_missing = expected.iter().any(|text| !found.contains(text));
            assert!(!is_missing, "{format:?} since {since}");
            assert_eq!(found.len(), expected.len(), "{format:?} since {since}");
        }
    }
}

#[test]
fn a_number_without_a_file_is_a_hole_only_before_one_that_has_one() {
    for format in FORMATS {
        let writer = Writer::new(format);
        let log = writer.log();
        let packed = format.packed_extension();
        let check = |present: &[&str], absent: &[&str], expected: bool| {
            for extension in present {
                File::create(format!("{}{extension}", log.path.display())).unwrap();
            }
            for extension in absent {
                std::fs::remove_file(format!("{}{extension}", log.path.display())).unwrap();
            }
            assert_eq!(log.has_hole(), expected, "{format:?}: {present:?} and not {absent:?}");
        };
        check(&[], &[], false);
        check(&["", ".1"], &[], false);
        // The first is being renamed, and has been packed.
        check(&[".2"], &[".1"], true);
        check(&[&format!(".1{packed}")], &[], false);
        check(&[".4"], &[], true);
        check(&[".3"], &[], false);
    }
}

#[test]
fn what_comes_after_a_file_is_found_by_its_inode_or_its_time() {
    for format in FORMATS {
        let writer = three_files(format, true);
        let live = inode(&File::open(writer.log().path).unwrap()).unwrap();
        let count = |inode: u64, second: i64| {
            writer.log().after(inode, EPOCH + second * SECOND).unwrap().len()
        };
        assert_eq!(count(live, 0), 0, "{format:?}");
        assert_eq!(count(0, 2999), 0, "{format:?}");
        assert_eq!(count(0, 1999), 1, "{format:?}");
        assert_eq!(count(0, 999), 2, "{format:?}");
        assert_eq!(writer.log().after(0, NEVER).unwrap().len(), 3, "{format:?}");
    }
}

#[test]
fn a_file_may_grow_and_lose_half_an_entry() {
    for format in FORMATS {
        let mut writer = Writer::new(format);
        let all = entries(0..20_000);
        writer.write(0, false, &all);
        let path = writer.log().path;
        let whole = std::fs::read(&path).unwrap();
        let part = whole.len() - 20;
        std::fs::write(&path, &whole[..part]).unwrap();

        let mut files = writer.log().open(Beginning { tail: None, since: None }).unwrap();
        let mut found = Vec::new();
        while files[0].file.read(&mut found).unwrap() {}
        let known = found.len();
        assert!((19_990..20_000).contains(&known), "{format:?}: {known}");
        // The writer dies, and the next one cuts off what it had not finished.
        let rest = |known: usize| -> Vec<u8> {
            let mut writer = Writer::new(format);
            match format {
                Format::JsonFile => json(&all[known..]),
                Format::Local => writer.local(&all)[writer.local(&all[..known]).len()..].to_vec(),
            }
        };
        let kept = whole.len() - rest(known).len();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(kept as u64).unwrap();
        while files[0].file.read(&mut found).unwrap() {}
        File::options().append(true).open(&path).unwrap().write_all(&rest(known)).unwrap();
        while files[0].file.read(&mut found).unwrap() {}
        let texts = found.iter().map(|entry| String::from_utf8_lossy(&entry.text));
        let texts: Vec<_> = texts.map(|text| text.trim().to_owned()).collect();
        assert!(
            texts == all.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(),
            "{format:?}"
        );
    }
}

#[test]
fn a_damaged_block_costs_no_more_than_itself() {
    let mut writer = Writer::new(Format::Local);
    writer.write(0, false, &entries(0..60_000));
    let path = writer.log().path;
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 5 * BLOCK_BYTES);
    bytes[2 * BLOCK_BYTES..3 * BLOCK_BYTES].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let found = writer.read(None, None);
    assert!(found.contains(&"0".to_owned()) && found.contains(&"59999".to_owned()));
    assert!((40_000..60_000).contains(&found.len()), "{}", found.len());
}

#[test]
fn a_log_that_begins_with_nothing_is_read_from_where_it_can_be() {
    let mut writer = Writer::new(Format::Local);
    writer.write(0, false, &entries(0..20_000));
    let path = writer.log().path;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..BLOCK_BYTES].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let found = writer.read(Some(19_990), None);
    assert_eq!(found.last().unwrap(), "19999");
    assert_eq!(writer.read(Some(10), None), texts(19_990..20_000));
    std::fs::write(&path, [0; 3 * BLOCK_BYTES]).unwrap();
    assert!(writer.read(Some(5), None).is_empty());
}

#[test]
fn a_damaged_packed_file_is_left_out() {
    for format in FORMATS {
        let writer = three_files(format, true);
        let extension = if format == Format::Local { PACKED_EXTENSION } else { ".gz" };
        let path = numbered(&writer.log().path, 1, extension);
        let size = std::fs::metadata(&path).unwrap().len() as usize;
        let expected = [texts(0..1000), texts(2000..3000)].concat();
        std::fs::write(&path, vec![0; size]).unwrap();
        assert_eq!(writer.read(None, None), expected, "{format:?}");
        assert_eq!(writer.read(Some(1001), None), expected[999..], "{format:?}");
        assert_eq!(writer.read(None, Some(500)), expected[500..], "{format:?}");
        assert_eq!(writer.log().after(0, NEVER).unwrap().len(), 3, "{format:?}");
    }
}

#[test]
fn a_damaged_packed_block_costs_no_more_than_itself() {
    let mut writer = Writer::new(Format::Local);
    writer.write(1, true, &entries(0..60_000));
    writer.write(0, false, &entries(60_000..60_010));
    let path = numbered(&writer.log().path, 1, PACKED_EXTENSION);
    let mut bytes = std::fs::read(&path).unwrap();
    // The length of the first block.
    bytes[..4].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let found = writer.read(None, None);
    assert_eq!(found.last().unwrap(), "60009");
    assert!((40_000..60_000).contains(&found.len()), "{}", found.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn whatever_lengths_entries_have(
        lengths in prop::collection::vec(1_usize..16_000, 1..60),
        tail in 0_u64..70,
        since in 0_i64..70,
    ) {
        let text = |(second, length): (usize, &usize)| {
            (second as i64, format!("{second}{}", "x".repeat(*length)))
        };
        let all: Vec<_> = lengths.iter().enumerate().map(text).collect();
        for format in FORMATS {
            let mut writer = Writer::new(format);
            writer.write(0, false, &all);
            let texts: Vec<_> = all.iter().map(|(_, text)| text.clone()).collect();
            let from = texts.len().saturating_sub(tail as usize);
            prop_assert_eq!(&writer.read(Some(tail), None)[..], &texts[from..]);
            let from = (since as usize).min(texts.len());
            prop_assert_eq!(&writer.read(None, Some(since))[..], &texts[from..]);
        }
    }
}

#[test]
fn files_that_are_renamed_meanwhile_are_all_found() {
    const FILES: u32 = 60;
    const ROTATIONS: u32 = 30;
    let mut writer = Writer::new(Format::JsonFile);
    for age in 0..FILES {
        writer.write(age, false, &[(i64::from(FILES - age), "line\n".to_owned())]);
    }
    let log = writer.log();
    let path = log.path.clone();
    let rotating = std::thread::spawn(move || {
        for oldest in FILES - 1..FILES - 1 + ROTATIONS {
            for number in (0..=oldest).rev() {
                let (from, to) = (numbered(&path, number, ""), numbered(&path, number + 1, ""));
                std::fs::rename(from, to).unwrap();
            }
            std::fs::write(&path, "").unwrap();
            // Whoever looks needs a moment in which nothing moves.
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    while !rotating.is_finished() {
        let found = log.open(Beginning { tail: None, since: None }).unwrap();
        assert!(found.len() >= FILES as usize, "{} files of {FILES}", found.len());
    }
    rotating.join().unwrap();
}

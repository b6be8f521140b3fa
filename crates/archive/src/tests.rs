//! What the reader makes of archives in every dialect, whole and broken.

use proptest::prelude::*;

use crate::TarError;
use crate::builder::{Builder, Fields, header, seal};
use crate::entry::{Entry, Kind, Time};
use crate::reader::{End, NoTape, Reader, Tape};
use crate::sparse::Fragment;
use crate::writer::Writer;

/// Everything that is not content, and the content where it was read.
#[derive(Debug, Default)]
struct Copy(Vec<u8>);

impl Tape for Copy {
    fn literal(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Entries with their content, the archive put together again, and how it ended.
type Archive = (Vec<(Entry, Vec<u8>)>, Vec<u8>, End);

/// Reads all entries and the content of files, and puts the archive together again.
fn read(archive: &[u8]) -> Result<Archive, TarError> {
    let mut reader = Reader::new(archive, Copy::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        while let piece @ [_, ..] = reader.content()? {
            let length = piece.len();
            content.extend_from_slice(piece);
            reader.consume(length);
        }
        reader.tape().literal(&content).unwrap();
        entries.push((entry, content));
    }
    let end = reader.end();
    Ok((entries, reader.into_tape().0, end))
}

#[track_caller]
fn read_one(archive: &[u8]) -> (Entry, Vec<u8>) {
    let (entries, copy, end) = read(archive).unwrap();
    assert_eq!(copy, archive);
    assert_eq!(end, End::Marked);
    let [entry] = <[_; 1]>::try_from(entries).unwrap();
    entry
}

#[test]
fn a_plain_file_is_read_with_its_attributes() {
    let fields = Fields { path: "a/b", mode: 0o4755, uid: 3, gid: 4, ..Fields::default() };
    let (entry, content) = read_one(&Builder::default().entry(&fields, b"text").finish());
    assert_eq!(content, b"text");
    assert_eq!(entry.path, b"a/b");
    assert_eq!((entry.mode, entry.uid, entry.gid), (0o4755, 3, 4));
    assert_eq!(entry.modified, Time { seconds: 1_700_000_000, nanoseconds: 0 });
    assert_eq!(entry.kind, Kind::File { size: 4, fragments: None });
}

#[test]
fn owners_beyond_octal_come_in_base_256_and_in_pax() {
    let fields = Fields { path: "a", uid: 4_000_000_000, gid: 1 << 21, ..Fields::default() };
    let (entry, _) = read_one(&Builder::default().entry(&fields, b"").finish());
    assert_eq!((entry.uid, entry.gid), (4_000_000_000, 1 << 21));

    let records: [(&str, &[u8]); 2] = [("uid", b"4000000000"), ("gid", b"3000000")];
    let (entry, _) = read_one(&Builder::default().pax(&records).file("a", b"").finish());
    assert_eq!((entry.uid, entry.gid), (4_000_000_000, 3_000_000));

    let nobody = Builder::default().pax(&[("uid", b"4294967295")]).file("a", b"").finish();
    assert!(matches!(read(&nobody), Err(TarError::Header { .. })));
}

#[test]
fn long_names_are_read_in_each_dialect() {
    let path = "d/".repeat(150) + "file";
    let target = "t".repeat(300);
    let gnu = |kind| Fields { path: "././@LongLink", kind, is_gnu: true, ..Fields::default() };
    let with_nul = |text: &str| [text.as_bytes(), b"\0"].concat();
    let archive = Builder::default()
        .entry(&gnu(b'K'), &with_nul(&target))
        .entry(&gnu(b'L'), &with_nul(&path))
        .symlink("short", "short")
        .finish();
    let (entry, _) = read_one(&archive);
    assert_eq!(entry.path, path.as_bytes());
    assert_eq!(entry.kind, Kind::Symlink { target: target.clone().into_bytes() });

    let records = [("path", path.as_bytes()), ("linkpath", target.as_bytes())];
    let (entry, _) = read_one(&Builder::default().pax(&records).symlink("s", "s").finish());
    assert_eq!(entry.path, path.as_bytes());
    assert_eq!(entry.kind, Kind::Symlink { target: target.into_bytes() });

    let mut block = header(&Fields { path: "name", ..Fields::default() }, 0);
    block[345..351].copy_from_slice(b"prefix");
    seal(&mut block);
    let (entry, _) = read_one(&Builder::default().raw(&block).finish());
    assert_eq!(entry.path, b"prefix/name");
}

#[test]
fn pax_says_times_to_the_nanosecond_and_extended_attributes() {
    let records: [(&str, &[u8]); 4] = [
        ("mtime", b"1700000000.123456789"),
        ("atime", b"1700000001.5"),
        ("SCHILY.xattr.user.a", b"one=\n\0two"),
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02"),
    ];
    let (entry, _) = read_one(&Builder::default().pax(&records).folder("d/").finish());
    assert_eq!(entry.modified, Time { seconds: 1_700_000_000, nanoseconds: 123_456_789 });
    assert_eq!(entry.accessed, Some(Time { seconds: 1_700_000_001, nanoseconds: 500_000_000 }));
    assert_eq!(entry.xattrs[0], (b"user.a".to_vec(), b"one=\n\0two".to_vec()));
    assert_eq!(entry.xattrs[1].0, b"security.capability");
}

#[test]
fn every_kind_is_told_apart() {
    let device = |path, kind| Fields { path, kind, device: (8, 17), ..Fields::default() };
    let archive = Builder::default()
        .entry(&device("c", b'3'), b"")
        .entry(&device("b", b'4'), b"")
        .entry(&device("p", b'6'), b"")
        .hard_link("h", "c")
        .entry(&Fields { path: "old/", kind: 0, ..Fields::default() }, b"")
        .finish();
    let (entries, copy, _) = read(&archive).unwrap();
    assert_eq!(copy, archive);
    let kinds: Vec<_> = entries.into_iter().map(|(entry, _)| entry.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::CharacterDevice { major: 8, minor: 17 },
            Kind::BlockDevice { major: 8, minor: 17 },
            Kind::Fifo,
            Kind::HardLink { target: b"c".to_vec() },
            Kind::Directory,
        ]
    );
    let unknown = Builder::default().entry(&device("u", b'V'), b"").finish();
    assert!(matches!(read(&unknown), Err(TarError::Header { .. })));
}

#[track_caller]
fn check_sparse(archive: &[u8], path: &str) {
    let (entry, content) = read_one(archive);
    assert_eq!(entry.path, path.as_bytes());
    assert_eq!(content, b"HEADtail");
    let fragments = vec![Fragment { offset: 0, length: 4 }, Fragment { offset: 9000, length: 4 }];
    assert_eq!(entry.kind, Kind::File { size: 10_000, fragments: Some(fragments) });
}

#[test]
fn sparse_files_are_read_in_all_four_ways() {
    // GNU's old way: in the header. The map's second part is in a block of its own.
    let mut block = header(&Fields { path: "f", kind: b'S', is_gnu: true, ..Fields::default() }, 8);
    block[386..410].copy_from_slice(b"00000000000\x0000000000004\0");
    block[410..434].copy_from_slice(format!("{:011o}\0{:011o}\0", 4, 0).as_bytes());
    block[482] = 1;
    block[483..495].copy_from_slice(format!("{:011o}\0", 10_000).as_bytes());
    seal(&mut block);
    let mut more = [0; 512];
    more[..24].copy_from_slice(format!("{:011o}\0{:011o}\0", 9000, 4).as_bytes());
    let archive = Builder::default().raw(&block).raw(&more).content(b"HEADtail").finish();
    let (entry, content) = read_one(&archive);
    assert_eq!(content, b"HEADtail");
    let Kind::File { size: 10_000, fragments: Some(fragments) } = entry.kind else { panic!() };
    assert_eq!(fragments.last(), Some(&Fragment { offset: 9000, length: 4 }));

    // PAX 0.0, 0.1 and 1.0.
    let records: [(&str, &[u8]); 6] = [
        ("GNU.sparse.size", b"10000"),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"0"),
        ("GNU.sparse.numbytes", b"4"),
        ("GNU.sparse.offset", b"9000"),
        ("GNU.sparse.numbytes", b"4"),
    ];
    check_sparse(&Builder::default().pax(&records).file("f", b"HEADtail").finish(), "f");
    let records: [(&str, &[u8]); 3] = [
        ("GNU.sparse.size", b"10000"),
        ("GNU.sparse.map", b"0,4,9000,4"),
        ("GNU.sparse.name", b"real"),
    ];
    let archive = Builder::default().pax(&records).file("GNUSparseFile.1/real", b"HEADtail");
    check_sparse(&archive.finish(), "real");
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"10000"),
        ("GNU.sparse.name", b"real"),
    ];
    let mut stored = b"2\n0\n4\n9000\n4\n".to_vec();
    stored.resize(512, 0);
    stored.extend_from_slice(b"HEADtail");
    check_sparse(
        &Builder::default().pax(&records).file("GNUSparseFile.1/x", &stored).finish(),
        "real",
    );
}

#[test]
fn a_size_that_no_file_can_have_is_refused() {
    for size in ["18446744073709551615", "9223372036854775808"] {
        let archive = Builder::default().pax(&[("size", size.as_bytes())]).file("a", b"").finish();
        assert!(matches!(read(&archive), Err(TarError::Header { .. })), "{size}");
    }
    let size = i64::MAX.to_string();
    let archive = Builder::default().pax(&[("size", size.as_bytes())]).file("a", b"").finish();
    assert!(matches!(read(&archive), Err(TarError::Truncated { .. })));
}

#[test]
fn a_broken_sparse_map_is_refused() {
    for map in ["0,4,2,4", "0,4", "0,8,x,1", "9999,8", "0", "0,18446744073709551615,1,1"] {
        let records: [(&str, &[u8]); 2] =
            [("GNU.sparse.size", b"10000"), ("GNU.sparse.map", map.as_bytes())];
        let archive = Builder::default().pax(&records).file("f", b"HEADtail").finish();
        assert!(matches!(read(&archive), Err(TarError::Header { .. })), "{map}");
    }
}

#[test]
fn an_archive_that_is_cut_off_is_refused_wherever_it_is_cut() {
    let archive = Builder::default().folder("d/").file("d/f", &[b'x'; 700]).finish();
    for length in 1..archive.len() {
        match read(&archive[..length]) {
            Err(TarError::Truncated { .. }) => {}
            // Between entries a cut is not seen, but the missing end mark tells.
            Ok((_, _, end)) => {
                let is_one_empty_block = length == archive.len() - 512;
                assert_eq!(end, if is_one_empty_block { End::Marked } else { End::Unmarked });
            }
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
}

#[test]
fn a_header_with_a_wrong_checksum_is_refused() {
    let mut archive = Builder::default().file("f", b"x").finish();
    archive[0] ^= 1;
    let error = read(&archive).unwrap_err();
    assert_eq!(
        error.to_string(),
        "archive/tar: invalid tar header at byte 0: its checksum is wrong"
    );
}

#[test]
fn what_follows_the_end_belongs_to_the_archive() {
    let mut archive = Builder::default().file("f", b"x").finish();
    archive.extend_from_slice(&[0; 8192]);
    archive.extend_from_slice(b"and more");
    let (_, copy, end) = read(&archive).unwrap();
    assert_eq!(copy, archive);
    assert_eq!(end, End::Marked);
}

#[test]
fn what_the_writer_writes_is_read() {
    let mut writer = Writer::new(Vec::new());
    writer.folder("blobs", 5).unwrap();
    writer.file("blobs/x", 6, b"content").unwrap();
    let archive = writer.finish().unwrap();
    let (entries, _, _) = read(&archive).unwrap();
    assert_eq!(entries[0].0.path, b"blobs/");
    assert_eq!(entries[1].1, b"content");
    assert_eq!(entries[1].0.modified.seconds, 6);
    assert_eq!(Writer::new(Vec::new()).finish().unwrap(), [0; 1024]);
}

#[test]
fn a_size_that_lies_is_found_out() {
    let mut block = header(&Fields { path: "f", ..Fields::default() }, 0);
    block[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    seal(&mut block);
    let archive = Builder::default().raw(&block).finish();
    assert!(matches!(read(&archive), Err(TarError::Truncated { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = read(&bytes);
    }

    /// Damage behind a checksum that is right, so that the fields themselves are reached.
    #[test]
    fn any_damage_is_read_or_refused(
        damage in proptest::collection::vec((0..512_usize, any::<u8>()), 1..12),
        kind in proptest::sample::select(b"0123456SxgLK".to_vec()),
        content in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let mut block = header(&Fields { path: "f", kind, is_gnu: true, ..Fields::default() }, content.len() as u64);
        damage.iter().for_each(|&(at, byte)| block[at] = byte);
        seal(&mut block);
        let archive = Builder::default().raw(&block).content(&content).file("g", b"").finish();
        if let Ok((_, copy, _)) = read(&archive) {
            prop_assert_eq!(copy, archive);
        }
    }

    #[test]
    fn any_pax_records_are_read_or_refused(
        key in proptest::sample::select(vec![
            "path", "size", "mtime", "uid", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.offset",
        ]),
        value in proptest::collection::vec(any::<u8>(), 0..30),
    ) {
        let records = [("GNU.sparse.size", &b"100"[..]), (key, &value[..])];
        let archive = Builder::default().pax(&records).file("f", b"content").finish();
        if let Ok((_, copy, _)) = read(&archive) {
            prop_assert_eq!(copy, archive);
        }
    }

    #[test]
    fn an_untaped_reader_sees_the_same(content in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let archive = Builder::default().file("f", &content).file("g", b"x").finish();
        let mut reader = Reader::new(&archive[..], NoTape);
        let mut paths = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            paths.push(entry.path);
        }
        prop_assert_eq!(paths, [b"f", b"g"]);
    }
}

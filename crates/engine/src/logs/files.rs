//! A log's files, from the oldest to the live one, and where the last lines begin.
//!
//! Rotation renames `x.log` to `x.log.1`, that to `x.log.2` and so on.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Rotated files that are looked for. Docker allows as many as one likes; whoever wants more
/// history than this wants another driver.
const ROTATED_MAX: u32 = 1000;

/// Bytes read at once when looking for lines from the end.
const CHUNK_BYTES: u64 = 64 << 10;

/// The files to read, in order, each positioned where reading begins. The live one is last.
pub(super) fn open(path: &Path, tail: Option<u64>) -> io::Result<VecDeque<File>> {
    let mut files = VecDeque::new();
    let mut left = tail;
    for number in 0..=ROTATED_MAX {
        let mut file = match File::open(rotated(path, number)) {
            Ok(file) => file,
            // Nothing was written yet, or that was the oldest.
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        if let Some(wanted) = &mut left {
            // The live file belongs to the list even when nothing of it is wanted: it is
            // where following goes on.
            if *wanted == 0 && number > 0 {
                break;
            }
            let found = seek_to_last_lines(&mut file, *wanted)?;
            *wanted -= found;
        }
        files.push_front(file);
    }
    Ok(files)
}

fn rotated(path: &Path, number: u32) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            name.into()
        }
    }
}

/// Positions a file before its last `wanted` lines; says how many there are, if fewer.
fn seek_to_last_lines(file: &mut File, wanted: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if wanted == 0 {
        return Ok(0);
    }
    let (mut position, mut found) = (end, 0);
    let mut chunk = vec![0; CHUNK_BYTES as usize];
    while position > 0 {
        let length = position.min(CHUNK_BYTES);
        position -= length;
        file.seek(SeekFrom::Start(position))?;
        let bytes = &mut chunk[..usize::try_from(length).expect("a chunk fits")];
        file.read_exact(bytes)?;
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = position + index as u64 + 1;
            // The last line feed ends the last line, and begins none.
            if after == end {
                continue;
            }
            found += 1;
            if found == wanted {
                file.seek(SeekFrom::Start(after))?;
                return Ok(wanted);
            }
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(if end == 0 { 0 } else { found + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(contents: &[&str], tail: Option<u64>, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        for (number, content) in contents.iter().rev().enumerate() {
            std::fs::write(rotated(&path, u32::try_from(number).unwrap()), content).unwrap();
        }
        let mut all = String::new();
        for mut file in open(&path, tail).unwrap() {
            file.read_to_string(&mut all).unwrap();
        }
        assert_eq!(all, expected);
    }

    #[test]
    fn the_tail_reaches_into_rotated_files() {
        check(&["a\nb\n", "c\nd\n"], None, "a\nb\nc\nd\n");
        check(&["a\nb\n", "c\nd\n"], Some(3), "b\nc\nd\n");
        check(&["a\nb\n", "c\nd\n"], Some(2), "c\nd\n");
        check(&["a\nb\n", "c\nd\n"], Some(9), "a\nb\nc\nd\n");
        check(&["a\n", ""], Some(1), "a\n");
    }

    #[test]
    fn no_line_may_be_wanted() {
        check(&["a\n", "b\n"], Some(0), "");
        check(&[], Some(5), "");
    }

    #[test]
    fn lines_longer_than_a_chunk_are_one() {
        let long = "x".repeat(3 * CHUNK_BYTES as usize) + "\n";
        check(&[&format!("a\n{long}b\n")], Some(2), &format!("{long}b\n"));
    }
}

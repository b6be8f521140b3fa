//! What a copy is called where it goes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::failure::{Failure, go_message};
use crate::output::quote::quote;

/// Symlinks that are followed to a destination.
const SYMLINKS_MAX: usize = 10;

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// Cleaned, but for a slash or `/.` at its end.
    pub(super) path: Vec<u8>,
    pub(super) exists: bool,
    pub(super) is_folder: bool,
}

/// Without `.`, `..` and needless slashes; a slash or `/.` at the end stays.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut cleaned = clean_lexically(path);
    if last(path) == b"." && last(&cleaned) != b"." {
        if !cleaned.ends_with(b"/") {
            cleaned.push(b'/');
        }
        cleaned.push(b'.');
    }
    if path.ends_with(b"/") && !cleaned.ends_with(b"/") {
        cleaned.push(b'/');
    }
    cleaned
}

/// As Go's `filepath.Clean`.
fn clean_lexically(path: &[u8]) -> Vec<u8> {
    let is_absolute = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
            b".." if is_absolute => {}
            name => parts.push(name),
        }
    }
    let joined = parts.join(&b'/');
    match (is_absolute, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// As Go's `filepath.Base`.
fn last(path: &[u8]) -> &[u8] {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    match trimmed.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => &trimmed[slash + 1..],
        None if trimmed.is_empty() && !path.is_empty() => b"/",
        None if trimmed.is_empty() => b".",
        None => trimmed,
    }
}

/// The folder of a path, and the name in it. A `.` at the end is the name.
pub(super) fn split(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut cleaned = clean_lexically(path);
    if last(path) == b"." {
        cleaned.extend_from_slice(b"/.");
    }
    let name = last(&cleaned).to_vec();
    let folder = match cleaned.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => clean_lexically(&cleaned[..=slash]),
        None => b".".to_vec(),
    };
    (folder, name)
}

/// Where a relative symlink leads, or a path itself.
pub(super) fn beside(path: &[u8], target: &[u8]) -> Vec<u8> {
    if target.starts_with(b"/") {
        return target.to_vec();
    }
    clean_lexically(&[&split(path).0, b"/".as_slice(), target].concat())
}

/// What a link's target is asked for as: with the same end as the link was. And the name that
/// the copy has nevertheless, if that is another than the target's.
pub(super) fn renamed(path: &[u8], target: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut target = target.to_vec();
    if last(path) == b"." && last(&target) != b"." {
        target.extend_from_slice(b"/.");
    }
    if path.ends_with(b"/") && !target.ends_with(b"/") {
        target.push(b'/');
    }
    let name = (last(path) != last(&target)).then(|| last(path).to_vec());
    (target, name)
}

/// The folder that the archive is unpacked in, and the name of its top there; no name, if it
/// keeps its own.
pub(super) fn place(
    source_is_folder: bool,
    destination: &End,
) -> Result<(Vec<u8>, Option<Vec<u8>>), Failure> {
    if destination.exists && destination.is_folder {
        return Ok((destination.path.clone(), None));
    }
    if destination.exists && source_is_folder {
        return Err(Failure::new("cannot copy directory"));
    }
    let asserts_folder = destination.path.ends_with(b"/") || last(&destination.path) == b".";
    if !source_is_folder && !destination.exists && asserts_folder {
        return Err(Failure::new("no such directory"));
    }
    let (folder, name) = split(&destination.path);
    Ok((folder, Some(name)))
}

/// Puts another top in the place of an archive's own.
pub(super) fn rename_top(path: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    if old == b"/" {
        return [new, path.as_slice()].concat();
    }
    match path.strip_prefix(old) {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => [new, rest].concat(),
        _ => path,
    }
}

/// A path of this host's, from its root.
pub(super) fn absolute(path: &str) -> Result<Vec<u8>, Failure> {
    if path.starts_with('/') {
        return Ok(clean(path.as_bytes()));
    }
    let here = std::env::current_dir()?;
    Ok(clean(&[here.as_os_str().as_bytes(), b"/", path.as_bytes()].concat()))
}

pub(super) fn host_path(path: &[u8]) -> PathBuf {
    OsString::from_vec(path.to_vec()).into()
}

/// Refuses a destination that nothing can be written to.
pub(super) fn check_output(path: &[u8]) -> Result<(), Failure> {
    let (folder, _) = split(&clean_lexically(path));
    let folder = host_path(&folder);
    if fs::metadata(&folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        let folder = quote(&folder.to_string_lossy());
        let reason = format!("invalid output path: directory {folder} does not exist");
        return Err(Failure::new(reason));
    }
    let shown = quote(&String::from_utf8_lossy(path));
    match fs::metadata(host_path(path)) {
        Ok(metadata) if is_device(&metadata) => Err(Failure::new(format!(
            "invalid output path: {shown} must be a directory or a regular file: got a device"
        ))),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let path = String::from_utf8_lossy(path);
            Err(Failure::new(format!("stat {path}: {}", go_message(&error))))
        }
        _ => Ok(()),
    }
}

fn is_device(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    kind.is_char_device() || kind.is_block_device()
}

/// What is at a destination on this host. A symlink there is followed, also to where nothing
/// is yet.
pub(super) fn look_at_destination(path: &[u8]) -> Result<End, Failure> {
    let fail = |what: &str, path: &[u8], error: &io::Error| {
        let path = String::from_utf8_lossy(path);
        Failure::new(format!("{what} {path}: {}", go_message(error)))
    };
    let mut here = path.to_vec();
    for _ in 0..=SYMLINKS_MAX {
        match fs::symlink_metadata(host_path(&here)) {
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::read_link(host_path(&here));
                let target = target.map_err(|error| fail("readlink", &here, &error))?;
                here = beside(&here, target.as_os_str().as_bytes());
            }
            Ok(metadata) => {
                return Ok(End { path: here, exists: true, is_folder: metadata.is_dir() });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (folder, _) = split(&here);
                let parent = fs::metadata(host_path(&folder));
                let parent = parent.map_err(|error| fail("stat", &folder, &error))?;
                if !parent.is_dir() {
                    return Err(Failure::new("not a directory"));
                }
                return Ok(End { path: here, exists: false, is_folder: false });
            }
            Err(error) => return Err(fail("lstat", &here, &error)),
        }
    }
    Err(Failure::new(format!("too many symlinks in {}", String::from_utf8_lossy(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn ends_that_mean_something_stay() {
        let check = |path: &str, expected: &str| {
            assert_eq!(text(&clean(path.as_bytes())), expected, "{path}");
        };
        check("/a//b/../c", "/a/c");
        check("/a/", "/a/");
        check("/a/./.", "/a/.");
        check("/", "/");
        check("a/..", ".");
        check("../x", "../x");
    }

    #[test]
    fn a_path_is_a_folder_and_a_name() {
        let check = |path: &str, folder: &str, name: &str| {
            let (found, found_name) = split(path.as_bytes());
            assert_eq!((text(&found), text(&found_name)), (folder.into(), name.into()), "{path}");
        };
        check("/a/b", "/a", "b");
        check("/a/b/", "/a", "b");
        check("/a/b/.", "/a/b", ".");
        check("/a", "/", "a");
        check("a", ".", "a");
        check("/", "/", "/");
    }

    #[test]
    fn a_copy_goes_where_cp_would_put_it() {
        let end = |path: &str, exists, is_folder| End { path: path.into(), exists, is_folder };
        let found = |is_folder, end: &End| {
            let (folder, name) = place(is_folder, end).map_err(|failure| failure.message)?;
            Ok::<_, String>((text(&folder), name.map(|name| text(&name))))
        };
        let into =
            |folder: &str, name: Option<&str>| Ok((folder.to_owned(), name.map(str::to_owned)));
        assert_eq!(found(false, &end("/to", true, true)), into("/to", None));
        assert_eq!(found(true, &end("/to", true, true)), into("/to", None));
        assert_eq!(found(false, &end("/to/new", false, false)), into("/to", Some("new")));
        assert_eq!(found(false, &end("/to/old", true, false)), into("/to", Some("old")));
        assert_eq!(found(true, &end("/to/new/", false, false)), into("/to", Some("new")));
        assert_eq!(found(true, &end("/f", true, false)), Err("cannot copy directory".into()));
        assert_eq!(found(false, &end("/n/", false, false)), Err("no such directory".into()));
    }

    #[test]
    fn the_top_of_an_archive_is_renamed_and_nothing_else() {
        let check = |path: &str, old: &str, new: &str, expected: &str| {
            let renamed = rename_top(path.into(), old.as_bytes(), new.as_bytes());
            assert_eq!(text(&renamed), expected);
        };
        check("etc/", "etc", "new", "new/");
        check("etc/a/etc", "etc", "new", "new/a/etc");
        check("etcetera", "etc", "new", "etcetera");
        check("./a", ".", "new", "new/a");
        check("/a", "/", "new", "new/a");
    }
}

//! What file systems are called.

use std::path::Path;

/// The kernel's magic numbers (`statfs(2)`), and what Docker calls what they stand for.
const NAMES: [(i64, &str); 10] = [
    (0xef53, "extfs"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlayfs"),
    (0x2fc1_2fc1, "zfs"),
    (0x6969, "nfs"),
    (0xf2f5_2010, "f2fs"),
    (0x6573_5546, "fuse"),
    (0x8584_58f6, "ramfs"),
];

/// What the file system below a path is called.
pub(crate) fn name(path: &Path) -> &'static str {
    let magic = rustix::fs::statfs(path).map(|found| found.f_type).ok();
    let known = NAMES.iter().find(|(number, _)| magic == Some(*number));
    known.map_or("<unknown>", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::name;

    #[test]
    fn what_is_not_known_is_said_to_be_so() {
        assert_eq!(name(Path::new("/proc")), "<unknown>");
        assert_eq!(name(Path::new("/nowhere")), "<unknown>");
        assert_ne!(name(Path::new("/")), "<unknown>");
    }
}

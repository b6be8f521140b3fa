//! The options of a mount, from the configuration's words to what the kernel is told.
//!
//! [`TABLE`] is the one list of words; a word that is not in it is the file system's own
//! business (`size=64m`) and handed to it as it is.

use linux::mounts::{Attributes, Change, Depth, Propagation};

/// What the options of one mount say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    pub(crate) bind: Option<Depth>,
    /// Change the mount that is there instead of making one.
    pub(crate) remount: bool,
    pub(crate) attributes: AttributeChange,
    /// The same for the mounts below it as well (`rro` and its kin).
    pub(crate) recursive_attributes: AttributeChange,
    /// In order: a mount can be made a slave and then shared.
    pub(crate) propagation: Vec<(Propagation, Depth)>,
    /// Show the files' owners through a mapping.
    pub(crate) maps_ids: Option<Depth>,
    /// Copy what the mount will hide into it.
    pub(crate) copies_up: bool,
    /// Flags of the file system itself, such as `sync`.
    pub(crate) file_system_flags: Vec<&'static str>,
    /// What only the file system understands.
    pub(crate) data: Vec<String>,
}

/// Attributes to set and to clear. The last word on each wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AttributeChange {
    pub(crate) set: Attributes,
    pub(crate) clear: Attributes,
}

/// What one word means.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Set(Attributes),
    Clear(Attributes),
    /// How access times are kept: one value takes the place of another.
    AccessTime(Attributes),
    SetBelow(Attributes),
    ClearBelow(Attributes),
    AccessTimeBelow(Attributes),
    Bind(Depth),
    Propagate(Propagation, Depth),
    FileSystem(&'static str),
    CopyUp,
    MapIds(Depth),
    Remount,
    /// What is so in any case.
    Nothing,
}

use Meaning::{
    AccessTime, AccessTimeBelow, Bind, Clear, ClearBelow, CopyUp, FileSystem, MapIds, Nothing,
    Propagate, Remount, Set, SetBelow,
};

const RELATIME: Attributes = Attributes::empty();

const TABLE: &[(&str, Meaning)] = &[
    ("async", FileSystem("async")),
    ("atime", Clear(Attributes::NOATIME)),
    ("bind", Bind(Depth::One)),
    ("defaults", Nothing),
    ("dev", Clear(Attributes::NODEV)),
    ("diratime", Clear(Attributes::NODIRATIME)),
    ("dirsync", FileSystem("dirsync")),
    ("exec", Clear(Attributes::NOEXEC)),
    ("idmap", MapIds(Depth::One)),
    ("iversion", FileSystem("iversion")),
    ("lazytime", FileSystem("lazytime")),
    ("loud", Nothing),
    ("mand", FileSystem("mand")),
    ("noatime", AccessTime(Attributes::NOATIME)),
    ("nodev", Set(Attributes::NODEV)),
    ("nodiratime", Set(Attributes::NODIRATIME)),
    ("noexec", Set(Attributes::NOEXEC)),
    ("noiversion", Nothing),
    ("nolazytime", FileSystem("nolazytime")),
    ("nomand", Nothing),
    ("norelatime", AccessTime(RELATIME)),
    ("nostrictatime", AccessTime(RELATIME)),
    ("nosuid", Set(Attributes::NOSUID)),
    ("nosymfollow", Set(Attributes::NOSYMFOLLOW)),
    ("private", Propagate(Propagation::Private, Depth::One)),
    ("ratime", ClearBelow(Attributes::NOATIME)),
    ("rbind", Bind(Depth::Recursive)),
    ("rdev", ClearBelow(Attributes::NODEV)),
    ("rdiratime", ClearBelow(Attributes::NODIRATIME)),
    ("relatime", AccessTime(RELATIME)),
    ("remount", Remount),
    ("rexec", ClearBelow(Attributes::NOEXEC)),
    ("ridmap", MapIds(Depth::Recursive)),
    ("rnoatime", AccessTimeBelow(Attributes::NOATIME)),
    ("rnodev", SetBelow(Attributes::NODEV)),
    ("rnodiratime", SetBelow(Attributes::NODIRATIME)),
    ("rnoexec", SetBelow(Attributes::NOEXEC)),
    ("rnorelatime", AccessTimeBelow(RELATIME)),
    ("rnostrictatime", AccessTimeBelow(RELATIME)),
    ("rnosuid", SetBelow(Attributes::NOSUID)),
    ("rnosymfollow", SetBelow(Attributes::NOSYMFOLLOW)),
    ("ro", Set(Attributes::RDONLY)),
    ("rprivate", Propagate(Propagation::Private, Depth::Recursive)),
    ("rrelatime", AccessTimeBelow(RELATIME)),
    ("rro", SetBelow(Attributes::RDONLY)),
    ("rrw", ClearBelow(Attributes::RDONLY)),
    ("rshared", Propagate(Propagation::Shared, Depth::Recursive)),
    ("rslave", Propagate(Propagation::Slave, Depth::Recursive)),
    ("rstrictatime", AccessTimeBelow(Attributes::STRICTATIME)),
    ("rsuid", ClearBelow(Attributes::NOSUID)),
    ("rsymfollow", ClearBelow(Attributes::NOSYMFOLLOW)),
    ("runbindable", Propagate(Propagation::Unbindable, Depth::Recursive)),
    ("rw", Clear(Attributes::RDONLY)),
    ("shared", Propagate(Propagation::Shared, Depth::One)),
    ("silent", FileSystem("silent")),
    ("slave", Propagate(Propagation::Slave, Depth::One)),
    ("strictatime", AccessTime(Attributes::STRICTATIME)),
    ("suid", Clear(Attributes::NOSUID)),
    ("symfollow", Clear(Attributes::NOSYMFOLLOW)),
    ("sync", FileSystem("sync")),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagate(Propagation::Unbindable, Depth::One)),
];

impl MountOptions {
    /// Reads the words of one mount.
    pub(crate) fn parse(words: &[String]) -> Self {
        let mut options = Self::default();
        for word in words.iter().filter(|word| !word.is_empty()) {
            match TABLE.binary_search_by_key(&word.as_str(), |(name, _)| name) {
                Ok(at) => options.add(TABLE[at].1),
                Err(_) => options.data.push(word.clone()),
            }
        }
        options
    }

    fn add(&mut self, meaning: Meaning) {
        match meaning {
            Set(attributes) => self.attributes.set(attributes),
            Clear(attributes) => self.attributes.clear(attributes),
            AccessTime(value) => self.attributes.set_access_time(value),
            SetBelow(attributes) => self.recursive_attributes.set(attributes),
            ClearBelow(attributes) => self.recursive_attributes.clear(attributes),
            AccessTimeBelow(value) => self.recursive_attributes.set_access_time(value),
            Bind(depth) => self.bind = Some(depth),
            Propagate(propagation, depth) => self.propagation.push((propagation, depth)),
            FileSystem(flag) => self.file_system_flags.push(flag),
            CopyUp => self.copies_up = true,
            MapIds(depth) => self.maps_ids = Some(depth),
            Remount => self.remount = true,
            Nothing => {}
        }
    }
}

impl AttributeChange {
    fn set(&mut self, attributes: Attributes) {
        self.set |= attributes;
        self.clear -= attributes;
    }

    fn clear(&mut self, attributes: Attributes) {
        self.set -= attributes;
        self.clear |= attributes;
    }

    fn set_access_time(&mut self, value: Attributes) {
        self.set = (self.set - Attributes::ATIME) | value;
        self.clear |= Attributes::ATIME;
    }

    /// What to tell the kernel; `None` if nothing.
    pub(crate) fn change(self) -> Option<Change> {
        let mut clear = self.clear;
        // The kernel takes the bits of the access time only as a whole.
        if (self.set | clear).intersects(Attributes::ATIME) {
            clear |= Attributes::ATIME;
        }
        if self.set.is_empty() && clear.is_empty() {
            return None;
        }
        Some(Change { set: self.set, clear, propagation: None })
    }
}

/// Every word that means something, whatever the file system.
pub fn mount_option_names() -> Vec<&'static str> {
    TABLE.iter().map(|(name, _)| *name).collect()
}

/// The words of `linux.rootfsPropagation`.
pub(crate) fn parse_propagation(word: &str) -> Option<(Propagation, Depth)> {
    let at = TABLE.binary_search_by_key(&word, |(name, _)| name).ok()?;
    match TABLE[at].1 {
        Propagate(propagation, depth) => Some((propagation, depth)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> MountOptions {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        MountOptions::parse(&words)
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(parse(&["ro", "rw"]).attributes.set, Attributes::empty());
        assert_eq!(parse(&["rw", "ro"]).attributes.set, Attributes::RDONLY);
        let options = parse(&["noatime", "strictatime"]);
        assert_eq!(options.attributes.set, Attributes::STRICTATIME);
    }

    #[test]
    fn other_words_are_the_file_systems() {
        let options = parse(&["nosuid", "size=65536k", "newinstance"]);
        assert_eq!(options.data, ["size=65536k", "newinstance"]);
        assert_eq!(options.attributes.set, Attributes::NOSUID);
    }

    #[test]
    fn clearing_an_access_time_clears_all_of_it() {
        let change = parse(&["atime"]).attributes.change().unwrap();
        assert_eq!(change.clear, Attributes::ATIME);
    }
}

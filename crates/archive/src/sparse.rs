//! Files with holes: which parts of a file stand in its archive.
//!
//! GNU tar has written the map of these parts in four ways over the years: in the header and
//! blocks after it, as repeated PAX records (0.0), as one PAX record (0.1), and before the
//! content (1.0). All four come down to a list of [`Fragment`]s.

use crate::header;
use crate::pax::{self, Records};

/// More parts than this are taken for an attack: it is a map of 16 MiB.
pub const FRAGMENTS_MAX: usize = 1 << 20;

/// A part of a file that is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    pub offset: u64,
    pub length: u64,
}

/// A map and the size that the file has with its holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    pub size: u64,
    pub fragments: Vec<Fragment>,
}

impl Map {
    /// Checks that the parts follow each other, end within the file, and add up to what the
    /// archive has of it.
    pub fn check(self, stored: u64) -> Result<Self, &'static str> {
        let mut end = 0_u64;
        let mut total = 0_u64;
        for fragment in &self.fragments {
            if fragment.offset < end {
                return Err("its sparse map is out of order");
            }
            end = fragment.offset.checked_add(fragment.length).ok_or("its sparse map overflows")?;
            total += fragment.length;
        }
        if end > self.size {
            return Err("its sparse map is longer than the file");
        }
        if total != stored {
            return Err("its sparse map does not agree with its content");
        }
        Ok(self)
    }
}

/// Adds the entries of a GNU header, or of a block that goes on with it.
pub fn extend_from_gnu(fragments: &mut Vec<Fragment>, entries: &[u8]) -> Result<(), &'static str> {
    for entry in entries.chunks_exact(24) {
        // The list ends at the first empty entry.
        if entry[12] == 0 {
            break;
        }
        let part = |field: &[u8]| header::number(field).and_then(|part| u64::try_from(part).ok());
        let (Some(offset), Some(length)) = (part(&entry[..12]), part(&entry[12..])) else {
            return Err("its sparse map is not made of numbers");
        };
        push(fragments, Fragment { offset, length })?;
    }
    Ok(())
}

fn push(fragments: &mut Vec<Fragment>, fragment: Fragment) -> Result<(), &'static str> {
    if fragments.len() >= FRAGMENTS_MAX {
        return Err("its sparse map is too long");
    }
    fragments.push(fragment);
    Ok(())
}

/// What PAX records say of holes.
#[derive(Debug, PartialEq, Eq)]
pub enum InRecords {
    None,
    /// Versions 0.0 and 0.1: all of it.
    Map(Map),
    /// Version 1.0: the map is at the beginning of the content.
    BeforeContent {
        size: u64,
    },
}

/// Finds a map, or the sign of one, in PAX records.
pub fn in_records(records: &Records) -> Result<InRecords, &'static str> {
    let version = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor"));
    if version == (Some(b"1"), Some(b"0")) {
        let size = records.number("GNU.sparse.realsize")?.ok_or("its sparse map has no size")?;
        return Ok(InRecords::BeforeContent { size });
    }
    let Some(size) = records.number("GNU.sparse.size")? else { return Ok(InRecords::None) };
    let mut numbers: Vec<u64> = Vec::new();
    if let Some(map) = records.get("GNU.sparse.map") {
        for part in map.split(|byte| *byte == b',') {
            numbers.push(pax::number(part)?);
        }
    } else {
        for (key, value) in records.iter() {
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                numbers.push(pax::number(value)?);
            }
        }
    }
    Ok(InRecords::Map(Map { size, fragments: pairs(&numbers)? }))
}

/// Offsets and lengths in turn.
pub fn pairs(numbers: &[u64]) -> Result<Vec<Fragment>, &'static str> {
    if !numbers.len().is_multiple_of(2) {
        return Err("its sparse map is incomplete");
    }
    if numbers.len() / 2 > FRAGMENTS_MAX {
        return Err("its sparse map is too long");
    }
    let pairs = numbers.chunks_exact(2);
    Ok(pairs.map(|pair| Fragment { offset: pair[0], length: pair[1] }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(size: u64, parts: &[(u64, u64)]) -> Map {
        let fragments = parts.iter().map(|&(offset, length)| Fragment { offset, length }).collect();
        Map { size, fragments }
    }

    #[test]
    fn a_map_must_make_sense() {
        assert!(map(100, &[(0, 10), (50, 10), (100, 0)]).check(20).is_ok());
        assert!(map(100, &[]).check(0).is_ok());
        assert!(map(100, &[(50, 10), (0, 10)]).check(20).is_err());
        assert!(map(100, &[(0, 10), (5, 10)]).check(20).is_err());
        assert!(map(100, &[(95, 10)]).check(10).is_err());
        assert!(map(100, &[(0, 10)]).check(11).is_err());
        assert!(map(100, &[(u64::MAX, 10)]).check(10).is_err());
    }

    #[test]
    fn both_early_pax_versions_are_read() {
        let expected = map(100, &[(0, 10), (50, 10)]);
        let old = Records::parse(
            b"23 GNU.sparse.size=100\n23 GNU.sparse.offset=0\n26 GNU.sparse.numbytes=10\n\
              24 GNU.sparse.offset=50\n26 GNU.sparse.numbytes=10\n",
        );
        let new = Records::parse(b"23 GNU.sparse.size=100\n29 GNU.sparse.map=0,10,50,10\n");
        for records in [old, new] {
            assert_eq!(in_records(&records.unwrap()), Ok(InRecords::Map(expected.clone())));
        }
    }
}

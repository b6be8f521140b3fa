//! Lists of processors and memory nodes, as in `0-2,4`.

use std::collections::BTreeSet;

/// Larger numbers are mistakes: no machine has so many, and a range up to one would be long.
const NUMBER_MAX: u32 = 8191;

/// The numbers in a list, or `None` if it is none.
pub(super) fn parse(list: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > NUMBER_MAX {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_numbers() {
        let numbers = |list| parse(list).map(Vec::from_iter);
        assert_eq!(numbers("0-2,4"), Some(vec![0, 1, 2, 4]));
        assert_eq!(numbers(""), Some(vec![]));
        for wrong in ["x", "2-1", "0-99999", "-1"] {
            assert_eq!(numbers(wrong), None, "{wrong}");
        }
    }
}

//! The order of names with numbers in them: `a2` before `a10`.

use std::cmp::Ordering;

/// Compares two texts, numbers in them by their value.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(first), Some(second)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let ((number, rest_a), (other, rest_b)) = (split_number(a), split_number(b));
            let (value, other_value) =
                (number.trim_start_matches('0'), other.trim_start_matches('0'));
            let order = value
                .len()
                .cmp(&other_value.len())
                .then_with(|| value.cmp(other_value))
                .then_with(|| number.len().cmp(&other.len()));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest_a, rest_b);
            continue;
        }
        if first != second {
            return first.cmp(&second);
        }
        (a, b) = (&a[first.len_utf8()..], &b[second.len_utf8()..]);
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_count_by_their_value() {
        let mut names = ["a10", "a2", "a", "b1", "a02", "a2b"];
        names.sort_by(|a, b| super::compare(a, b));
        assert_eq!(names, ["a", "a2", "a2b", "a02", "a10", "b1"]);
    }
}

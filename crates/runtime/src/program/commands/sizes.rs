//! Sizes on the command line, as Docker and runc read them.

/// Bytes of a text such as `50M`, `1.5 GiB` or `1024`. `-1` is no limit.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    let invalid = || format!("invalid size: '{text}'");
    let last = text.rfind(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == ' ');
    let (number, unit) = text.split_at(last.ok_or_else(invalid)? + 1);
    // One blank may stand in between.
    let number = number.strip_suffix(' ').unwrap_or(number);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    if number < 0.0 || !number.is_finite() {
        return Err(invalid());
    }
    let factor = factor(unit).ok_or_else(|| format!("invalid suffix: '{unit}'"))?;
    // What is beyond 2^53 is rounded, as it is with Docker.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let bytes = (number * factor as f64) as i64;
    Ok(bytes)
}

/// `k`, `kb` and `kib` are the same, in any case.
fn factor(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    let (letter, rest) = match unit.chars().next() {
        None => return Some(1),
        Some(letter) => (letter, &unit[letter.len_utf8()..]),
    };
    if letter == 'b' {
        return rest.is_empty().then_some(1);
    }
    let power = "kmgtp".find(letter)?;
    ["", "b", "ib"].contains(&rest).then(|| 1024_u64.pow(u32::try_from(power).unwrap_or(0) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let sizes = [
            ("1024", 1024),
            ("50M", 50 << 20),
            ("50mb", 50 << 20),
            ("1.5GiB", 3 << 29),
            ("2 k", 2048),
            ("7b", 7),
            ("-1", -1),
        ];
        for (text, bytes) in sizes {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "M", "-2", "5X", "5kk", "5bib", "1..2M", "5 i", "inf"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

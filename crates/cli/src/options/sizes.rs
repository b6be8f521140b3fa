//! Sizes of memory: `512m`, `1.5g`, `64 MiB`.

/// Bytes, in powers of 1024, as Docker's client reads them.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.rfind(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == ' ');
    let end = end.ok_or_else(invalid)?;
    let number = if text.as_bytes()[end] == b' ' { &text[..end] } else { &text[..=end] };
    let suffix = text[end + 1..].to_lowercase();
    let size: f64 = number.parse().map_err(|_| {
        format!(
            "strconv.ParseFloat: parsing {}: invalid syntax",
            crate::output::quote::quote(number)
        )
    })?;
    if size < 0.0 {
        return Err(invalid());
    }
    Ok((size * multiplier(&suffix).ok_or_else(|| format!("invalid suffix: '{suffix}'"))?) as i64)
}

fn multiplier(suffix: &str) -> Option<f64> {
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => return Some(1.0),
        Some('b') => return letters.next().is_none().then_some(1.0),
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return None,
    };
    matches!(letters.as_str(), "" | "b" | "ib").then(|| 1024_f64.powi(power))
}

/// A size, checked as a flag's value.
pub(crate) fn check(text: &str) -> Result<String, String> {
    parse(text).map(|bytes| bytes.to_string())
}

/// A size, or `-1` for no limit.
pub(crate) fn check_swap(text: &str) -> Result<String, String> {
    if text == "-1" { Ok(text.to_owned()) } else { check(text) }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("100", 100),
            ("100b", 100),
            ("4k", 4096),
            ("4KB", 4096),
            ("1.5g", 1_610_612_736),
            ("64 MiB", 67_108_864),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for (text, error) in [
            ("x", "invalid size: 'x'"),
            ("", "invalid size: ''"),
            ("-1", "invalid size: '-1'"),
            ("1q", "invalid suffix: 'q'"),
            ("1bb", "invalid suffix: 'bb'"),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }
}

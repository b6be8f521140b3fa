//! Whole numbers in what clients send, refused in the words of Go's library: Docker passes them
//! on.

/// Reads a number as Go's `function` does.
pub(crate) fn parse(function: &str, text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.{function}: parsing {text:?}: {}", fault(text)))
}

/// What is wrong with a number that does not fit.
pub(crate) fn fault(text: &str) -> &'static str {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { "value out of range" } else { "invalid syntax" }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_refused_in_gos_words() {
        assert_eq!(parse("Atoi", "-7"), Ok(-7));
        for (text, reason) in [
            ("x", "invalid syntax"),
            ("", "invalid syntax"),
            ("1.5", "invalid syntax"),
            ("99999999999999999999", "value out of range"),
            ("-99999999999999999999", "value out of range"),
        ] {
            let words = format!("strconv.Atoi: parsing {text:?}: {reason}");
            assert_eq!(parse("Atoi", text), Err(words));
        }
    }
}

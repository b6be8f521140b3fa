//! `true` and `false`, in the spellings that Go knows.

use crate::output::quote::quote;

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub(crate) fn parse(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(value))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_gos_spellings_are_booleans() {
        assert_eq!(super::parse("T"), Ok(true));
        assert_eq!(super::parse("0"), Ok(false));
        assert_eq!(
            super::parse("yes"),
            Err("strconv.ParseBool: parsing \"yes\": invalid syntax".to_owned())
        );
    }
}

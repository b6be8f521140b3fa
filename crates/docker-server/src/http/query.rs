//! What follows the question mark, read as Docker reads it.

use super::{ApiError, parse_number};

/// The parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_form(name), decode_form(value))
        });
        Self(pairs.collect())
    }

    /// The first value of that name; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Anything but nothing, 0, no, none and false is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let value = self.text(name).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    pub(crate) fn flag_or(&self, name: &str, default: bool) -> bool {
        if self.has(name) { self.flag(name) } else { default }
    }

    /// A whole number, if there is one. Docker has no class for what is none.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        parse_number("Atoi", text).map(Some).map_err(|words| {
            ApiError::internal(words).with_hint(format!("`{name}` takes a whole number"))
        })
    }
}

/// In forms a plus is a space.
fn decode_form(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

/// Undoes `%20` and the like. What is no escape stays as it is, and so does what would not be
/// UTF-8.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| first == b'%').and_then(|digits| {
            let digits = str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        decoded.push(escaped.unwrap_or(first));
        rest = &after[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        let query = Query::parse("filters=%7B%22a%22%3A%5B%22b+c%22%5D%7D&x=1&x=2&flag");
        assert_eq!(query.text("filters"), r#"{"a":["b c"]}"#);
        assert_eq!(query.all("x").collect::<Vec<_>>(), ["1", "2"]);
        assert!(query.has("flag"));
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn flags_are_read_as_docker_reads_them() {
        let query = Query::parse("a=1&b=0&c=True&d=No&e=&f=none&g=yes");
        let is_set = |name| query.flag(name);
        assert_eq!(["a", "c", "g"].map(is_set), [true; 3]);
        assert_eq!(["b", "d", "e", "f", "missing"].map(is_set), [false; 5]);
        assert!(query.flag_or("missing", true));
    }
}

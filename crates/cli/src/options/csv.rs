//! One line of comma-separated values, as in `type=bind,"source=/a,b"`.

/// The fields of `line`, with quotes taken off.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
    if line.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = if rest.starts_with('"') { quoted(rest)? } else { plain(rest)? };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

fn plain(rest: &str) -> Result<(String, Option<&str>), String> {
    let (field, after) = match rest.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (rest, None),
    };
    if field.contains('"') {
        return Err("parse error on line 1: bare \" in non-quoted-field".to_owned());
    }
    Ok((field.to_owned(), after))
}

fn quoted(rest: &str) -> Result<(String, Option<&str>), String> {
    let error = || "parse error on line 1: extraneous or missing \" in quoted-field".to_owned();
    let mut field = String::new();
    let mut rest = &rest[1..];
    loop {
        let (text, after) = rest.split_once('"').ok_or_else(error)?;
        field.push_str(text);
        // A doubled quote stands for one.
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            return Ok((field, Some(after.strip_prefix(',').ok_or_else(error)?)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_protect_commas() {
        assert_eq!(split("a,b").unwrap(), ["a", "b"]);
        assert_eq!(split("a,\"b,c\",d").unwrap(), ["a", "b,c", "d"]);
        assert_eq!(split("\"a\"\"b\",").unwrap(), ["a\"b", ""]);
    }

    #[test]
    fn a_stray_quote_is_an_error() {
        assert!(split("a\"b").is_err());
        assert!(split("\"a").is_err());
        assert!(split("\"a\"b").is_err());
    }
}

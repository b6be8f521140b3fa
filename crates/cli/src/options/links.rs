//! `--link`: another container, and the name to know it by.

/// `NAME` or `NAME:ALIAS`.
pub(crate) fn check(link: &str) -> Result<String, String> {
    if link.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if link.matches(':').count() > 1 {
        return Err(format!("bad format for links: {link}"));
    }
    Ok(link.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_link_has_at_most_one_alias() {
        assert!(super::check("db").is_ok());
        assert!(super::check("db:database").is_ok());
        assert_eq!(super::check("a:b:c"), Err("bad format for links: a:b:c".to_owned()));
    }
}

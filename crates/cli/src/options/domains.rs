//! `--dns-search`: domains in which names are looked up.

/// The longest domain name.
const LENGTH_MAX: usize = 255;

/// A domain without its last dot, or `.` for none.
pub(crate) fn check(text: &str) -> Result<String, String> {
    let domain = text.trim_matches(' ');
    if domain == "." {
        return Ok(domain.to_owned());
    }
    let invalid = || format!("{domain} is not a valid domain");
    if !domain.contains(|letter: char| letter.is_ascii_alphabetic()) {
        return Err(invalid());
    }
    let bare = domain.trim_end();
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let valid = bare.len() < LENGTH_MAX && bare.split('.').all(is_label);
    if valid { Ok(bare.to_owned()) } else { Err(invalid()) }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    #[test]
    fn domains_are_labels_with_dots() {
        assert_eq!(super::check("example.com."), Ok("example.com".to_owned()));
        assert_eq!(super::check(" . "), Ok(".".to_owned()));
        for domain in ["1.2", "-a.com", "a..com", "a b.com"] {
            assert_eq!(super::check(domain), Err(format!("{domain} is not a valid domain")));
        }
    }
}

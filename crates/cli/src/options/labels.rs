//! `-l`: labels.

/// A label has a name without white space.
pub(crate) fn check(label: &str) -> Result<String, String> {
    let name = label.split('=').next().unwrap_or_default();
    let name = name.trim_start_matches([' ', '\t']);
    if name.is_empty() {
        return Err(format!("invalid label '{label}': empty name"));
    }
    if name.contains([' ', '\t']) {
        return Err(format!("label '{name}' contains whitespaces"));
    }
    Ok(label.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_label_needs_a_name_without_white_space() {
        assert!(super::check("a=b c").is_ok());
        assert_eq!(super::check("=x"), Err("invalid label '=x': empty name".to_owned()));
        assert_eq!(super::check("a b=x"), Err("label 'a b' contains whitespaces".to_owned()));
    }
}

//! `-e`: environment variables, with the client's own value where none is given.

/// The variable as it goes to the daemon.
///
/// A name without a value takes the client's own. A name that the client does not have
/// is kept without one, which removes the image's variable.
pub(crate) fn check(variable: &str) -> Result<String, String> {
    with_lookup(variable, |name| std::env::var(name).ok())
}

fn with_lookup(variable: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, has_value) = match variable.split_once('=') {
        Some((name, _)) => (name, true),
        None => (variable, false),
    };
    if name.is_empty() {
        return Err(format!("invalid environment variable: {variable}"));
    }
    if has_value {
        return Ok(variable.to_owned());
    }
    Ok(match lookup(name) {
        Some(value) => format!("{name}={value}"),
        None => variable.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_alone_takes_the_clients_value() {
        let lookup = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let check = |variable| super::with_lookup(variable, lookup);
        assert_eq!(check("A=b=c"), Ok("A=b=c".to_owned()));
        assert_eq!(check("A="), Ok("A=".to_owned()));
        assert_eq!(check("HOME"), Ok("HOME=/root".to_owned()));
        assert_eq!(check("NONE"), Ok("NONE".to_owned()));
        assert_eq!(check("=a"), Err("invalid environment variable: =a".to_owned()));
    }
}

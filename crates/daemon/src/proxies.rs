//! Proxies, as they are shown to clients.

use crate::values::Values;

/// A proxy from the options or the environment, without its password.
pub(crate) fn show(values: &Values, name: &str) -> String {
    let file = values.map("proxies");
    let environment = name.replace('-', "_");
    let from_environment =
        || std::env::var(environment.to_uppercase()).or_else(|_| std::env::var(&environment)).ok();
    let text = values
        .text(name)
        .map(str::to_owned)
        .or_else(|| file.get(name).cloned())
        .or_else(from_environment);
    mask(&text.unwrap_or_default())
}

/// Puts `xxxxx:xxxxx` in the place of a name and password, as Docker does.
fn mask(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://xxxxx:xxxxx@{}", &rest[at + 1..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(super::mask("http://me:secret@proxy:1/x"), "http://xxxxx:xxxxx@proxy:1/x");
        assert_eq!(super::mask("http://proxy:1"), "http://proxy:1");
        assert_eq!(super::mask("localhost,127.0.0.1"), "localhost,127.0.0.1");
    }
}

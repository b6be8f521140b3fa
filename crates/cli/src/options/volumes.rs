//! `-v`: a path of the host, a named volume or an anonymous one in the container.

use super::paths;

/// What one `-v` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Volume {
    /// A new volume at this path.
    Anonymous(String),
    /// A path or a volume with its place and its options, as the API wants it.
    Bind(String),
}

/// Reads `[SOURCE:]TARGET[:OPTIONS]`.
///
/// Only its shape is looked at: what the options mean is the daemon's to say.
pub(crate) fn parse(value: &str) -> Result<Volume, String> {
    if value.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let error = |reason| format!("invalid spec: {value}: {reason}");
    let sections: Vec<_> = value.split(':').collect();
    if value.len() > 2 {
        if sections.iter().any(|section| section.is_empty()) {
            return Err(error("empty section between colons"));
        }
        if sections.len() > 3 {
            return Err(error("too many colons"));
        }
    }
    match value.split_once(':').filter(|_| value.len() > 2) {
        None => Ok(Volume::Anonymous(value.to_owned())),
        Some((source, rest)) => Ok(Volume::Bind(format!("{}:{rest}", paths::from_here(source)))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Volume, parse};

    #[test]
    fn a_target_alone_is_anonymous() {
        assert_eq!(parse("/data"), Ok(Volume::Anonymous("/data".to_owned())));
        assert_eq!(parse("a:/data:ro"), Ok(Volume::Bind("a:/data:ro".to_owned())));
    }

    #[test]
    fn a_dotted_source_is_seen_from_here() {
        let here = std::env::current_dir().unwrap();
        let expected = format!("{}/src:/data", here.display());
        assert_eq!(parse("./src:/data"), Ok(Volume::Bind(expected)));
    }

    #[test]
    fn empty_sections_are_refused() {
        for (value, error) in [
            ("", "invalid empty volume spec"),
            ("/a::/b", "invalid spec: /a::/b: empty section between colons"),
            ("a:b:c:d", "invalid spec: a:b:c:d: too many colons"),
            (":/b", "invalid spec: :/b: empty section between colons"),
        ] {
            assert_eq!(parse(value), Err(error.to_owned()), "{value}");
        }
    }
}

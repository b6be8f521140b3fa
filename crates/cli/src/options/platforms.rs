//! `--platform`: `OS[/ARCHITECTURE[/VARIANT]]`.

use serde::Serialize;

/// A platform as the API wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

const SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
];

/// Reads a platform, in the many names that architectures have.
pub(crate) fn parse(text: &str) -> Result<Platform, String> {
    let lower = text.to_lowercase();
    let parts: Vec<_> = lower.split('/').collect();
    let is_component = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    if let Some(bad) = parts.iter().find(|part| !is_component(part)) {
        return Err(format!(
            "\"{bad}\" is an invalid component of \"{text}\": platform specifier component must \
             match \"^[A-Za-z0-9_.-]+$\": invalid argument"
        ));
    }
    let (os, architecture, variant) = match parts.as_slice() {
        [one] if SYSTEMS.contains(one) => (*one, std::env::consts::ARCH, ""),
        [one] => ("linux", *one, ""),
        [os, architecture] => (*os, *architecture, ""),
        [os, architecture, variant] => (*os, *architecture, *variant),
        _ => return Err(format!("\"{text}\": cannot parse platform specifier: invalid argument")),
    };
    let (architecture, variant) = normalize(architecture, variant);
    Ok(Platform { architecture, os: if os == "macos" { "darwin" } else { os }.to_owned(), variant })
}

/// A platform as a parameter of the API; nothing for no platform.
pub(crate) fn parameter(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let platform = parse(text)?;
    Ok(Some(serde_json::to_string(&platform).map_err(|error| error.to_string())?))
}

fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386" | "i686", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(text: &str, expected: [&str; 3]) {
        let platform = parse(text).unwrap();
        assert_eq!([platform.os, platform.architecture, platform.variant], expected, "{text}");
    }

    #[test]
    fn architectures_have_many_names() {
        check("linux/amd64", ["linux", "amd64", ""]);
        check("Linux/x86_64", ["linux", "amd64", ""]);
        check("linux/arm64/v8", ["linux", "arm64", ""]);
        check("arm", ["linux", "arm", "v7"]);
        check("linux/armhf", ["linux", "arm", "v7"]);
    }

    #[test]
    fn too_many_parts_are_refused() {
        assert!(parse("a/b/c/d").is_err());
        assert!(parse("linux/").is_err());
    }
}

//! Which machine an image is for, as in `linux/arm64/v8`.

use std::fmt;
use std::str::FromStr;

use errors::{Explain, Kind};
use oci::image::ImageConfiguration;

/// A system, a processor and, for some, its variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

/// System, processor, variant.
const PARTS_MAX: usize = 3;

/// A text does not name a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error("{text:?}: wildcards not yet supported: invalid argument")]
    Wildcard { text: String },
    #[error(
        "{part:?} is an invalid component of {text:?}: platform specifier component must match \
         \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Part { part: String, text: String },
    #[error("{text:?}: unknown operating system or architecture: invalid argument")]
    UnknownWord { text: String },
    #[error("{text:?}: cannot parse platform specifier: invalid argument")]
    TooLong { text: String },
}

impl Explain for PlatformError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        Some("a platform looks like `linux/amd64` or `linux/arm64/v8`".to_owned())
    }
}

/// This host's processor, as Go and so OCI call it.
pub(crate) fn architecture() -> &'static str {
    from_machine(std::env::consts::ARCH)
}

/// What Go calls a processor that others call otherwise.
fn from_machine(machine: &str) -> &str {
    match machine {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" | "x86" => "386",
        "armhf" | "armel" => "arm",
        "powerpc64le" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

impl Platform {
    /// This host's.
    pub fn host() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            architecture: architecture().to_owned(),
            variant: None,
        }
    }

    /// The platform that an image's configuration names.
    pub fn of(config: &ImageConfiguration) -> Self {
        Self {
            os: config.os().to_string(),
            architecture: config.architecture().to_string(),
            variant: config.variant().clone().filter(|variant| !variant.is_empty()),
        }
    }

    /// Whether something for `other` is what this one asks for. A variant that one side does
    /// not name is no difference.
    pub fn accepts(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && match (self.significant_variant(), other.significant_variant()) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            }
    }

    /// The variant, less the one that every processor of the family has.
    fn significant_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            (_, variant) => variant,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `os/architecture[/variant]`, or one of the two alone.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let is_word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        let text_again = || text.to_owned();
        if text.contains('*') {
            return Err(PlatformError::Wildcard { text: text_again() });
        }
        if let Some(part) = text.splitn(PARTS_MAX + 1, '/').find(|part| !is_word(part)) {
            return Err(PlatformError::Part { part: part.to_owned(), text: text_again() });
        }
        let lower = text.to_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let named = |os: &str, machine: &str, variant: Option<&str>| Self {
            os: os.to_owned(),
            architecture: from_machine(machine).to_owned(),
            variant: variant.map(str::to_owned),
        };
        match parts[..] {
            [os @ ("linux" | "windows" | "darwin" | "freebsd")] => {
                Ok(named(os, architecture(), None))
            }
            [machine] if is_architecture(machine) => Ok(named(std::env::consts::OS, machine, None)),
            [os, machine] => Ok(named(os, machine, None)),
            [os, machine, variant] => Ok(named(os, machine, Some(variant))),
            [_] => Err(PlatformError::UnknownWord { text: text_again() }),
            _ => Err(PlatformError::TooLong { text: text_again() }),
        }
    }
}

fn is_architecture(machine: &str) -> bool {
    const KNOWN: &[&str] =
        &["386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"];
    KNOWN.contains(&from_machine(machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
    }

    #[test]
    fn platforms_are_read_as_people_write_them() {
        check("linux/amd64", "linux/amd64");
        check("Linux/x86_64", "linux/amd64");
        check("linux/arm64/v8", "linux/arm64/v8");
        check("arm64", &format!("{}/arm64", std::env::consts::OS));
        check("linux", &format!("linux/{}", architecture()));
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in ["", "/", "linux/", "a/b/c/d", "linux/a b", "vax"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
        for (text, words) in [
            ("linux/*", "\"linux/*\": wildcards not yet supported"),
            ("linux/", "\"\" is an invalid component of \"linux/\": platform specifier"),
            ("a/b/c/d", "\"a/b/c/d\": cannot parse platform specifier"),
            ("vax", "\"vax\": unknown operating system or architecture"),
        ] {
            let refused = text.parse::<Platform>().unwrap_err().to_string();
            assert!(refused.starts_with(words), "{refused}");
        }
    }

    #[test]
    fn a_variant_counts_only_if_both_sides_name_it() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/arm").accepts(&platform("linux/arm/v7")));
        assert!(platform("linux/arm64").accepts(&platform("linux/arm64/v8")));
        assert!(!platform("linux/arm/v6").accepts(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64").accepts(&platform("linux/arm64")));
    }
}

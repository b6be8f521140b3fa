//! Names of images, read and shown as Docker does.
//!
//! ```text
//! [host[:port]/]path[/path…][:tag][@sha256:…]
//! ```
//!
//! A user writes the *familiar* form, `busybox`. Inside, and in registries, it is the *full*
//! form, `docker.io/library/busybox`. A [`Reference`] holds the full form; [`fmt::Display`]
//! shows it, and [`Reference::familiar`] the short one.
//!
//! Reading is strict about characters, since a name becomes part of addresses, keys and
//! messages. The wording of the refusals is Docker's: scripts match on it.

use std::fmt;
use std::str::FromStr;

use errors::{Explain, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, DigestError};

/// The tag that is meant where none is named.
pub const DEFAULT_TAG: &str = "latest";

/// The host that is meant where none is named.
const DEFAULT_HOST: &str = "docker.io";

/// What that host was called when it was young. Still found in old configurations.
const OLD_DEFAULT_HOST: &str = "index.docker.io";

/// Where the default host keeps the images that have no owner in their name.
const OFFICIAL: &str = "library/";

const PATH_LENGTH_MAX: usize = 255;
const TAG_LENGTH_MAX: usize = 128;

/// A digest shorter than this is not even taken for one.
const DIGEST_DIGITS_MIN: usize = 32;

/// The name of an image: where it lives, what it is called, and which version is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image's name, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({path}) must be lowercase")]
    Uppercase { path: String },
    /// The first part is not lower case, and cannot be a host either.
    #[error("repository name must be lowercase")]
    UppercaseHost,
    #[error("repository name must not be more than {PATH_LENGTH_MAX} characters")]
    TooLong,
    #[error("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId { name: String },
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Explain for ReferenceError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Format => Some(
                "a name looks like `[host[:port]/]path[:tag]`, as in `busybox:1.38`".to_owned(),
            ),
            Self::Uppercase { path } => Some(format!("try `{}`", path.to_lowercase())),
            Self::UppercaseHost | Self::TooLong | Self::LooksLikeId { .. } | Self::Digest(_) => {
                None
            }
        }
    }
}

impl Reference {
    /// The registry's host, as in `docker.io` or `localhost:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name within the registry, as in `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The full name without tag and digest: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// The name as people write it, without tag and digest: `busybox`.
    pub fn familiar_name(&self) -> String {
        if self.host != DEFAULT_HOST {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(path) if !path.contains('/') => path.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole as people write it: `busybox:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), Version(self))
    }

    /// Whether it has neither tag nor digest.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// The same, with the tag `latest` if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same name, with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same name, with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads a familiar or full name. A missing tag stays missing: see
    /// [`Reference::or_latest`].
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if is_id(text) {
            return Err(ReferenceError::LooksLikeId { name: text.to_owned() });
        }
        let (host, rest) = split_host(text);
        let path = rest.split(':').next().unwrap_or_default();
        if path.chars().any(char::is_uppercase) {
            return Err(ReferenceError::Uppercase { path: path.to_owned() });
        }
        parse_parts(&host, &rest).map_err(|error| match error {
            // What cannot be a host might have been meant as the beginning of a path.
            ReferenceError::Format
                if !is_host(&host) && is_path_component(&host.to_lowercase()) =>
            {
                ReferenceError::UppercaseHost
            }
            other => other,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.host, self.path, Version(self))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("{error}: {text:?}")))
    }
}

/// The tag and the digest, as they follow a name.
struct Version<'a>(&'a Reference);

impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.0.tag {
            write!(f, ":{tag}")?;
        }
        match &self.0.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// Whether `text` is a full image id without its algorithm, which is never a name.
fn is_id(text: &str) -> bool {
    text.len() == 64 && Digest::from_hex(text).is_ok()
}

/// Splits what a user wrote into a host and the rest, filling in what is left out.
fn split_host(text: &str) -> (String, String) {
    let (host, rest) = match text.split_once('/') {
        Some((first, rest)) if first == OLD_DEFAULT_HOST => (DEFAULT_HOST, rest),
        Some((first, rest)) if is_host_like(first) => (first, rest),
        _ => (DEFAULT_HOST, text),
    };
    if host == DEFAULT_HOST && !rest.contains('/') {
        return (host.to_owned(), format!("{OFFICIAL}{rest}"));
    }
    (host.to_owned(), rest.to_owned())
}

/// Whether the first part of a name is a host: anything that cannot be part of a path.
fn is_host_like(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

fn parse_parts(host: &str, rest: &str) -> Result<Reference, ReferenceError> {
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (rest, None),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let well_formed = is_host(host)
        && path.split('/').all(is_path_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest_like);
    if !well_formed {
        return Err(ReferenceError::Format);
    }
    if path.len() > PATH_LENGTH_MAX {
        return Err(ReferenceError::TooLong);
    }
    Ok(Reference {
        host: host.to_owned(),
        path: path.to_owned(),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::parse).transpose()?,
    })
}

/// `name[.name…][:port]`, or `[address][:port]` for IPv6.
fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            !address.is_empty()
                && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_number))
        });
    }
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    name.split('.').all(is_host_component) && port.is_none_or(is_number)
}

fn is_host_component(component: &str) -> bool {
    !component.is_empty()
        && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !component.starts_with('-')
        && !component.ends_with('-')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Lower-case letters and digits, in groups held together by `.`, `_`, `__` or any number of
/// `-`.
fn is_path_component(component: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_are_letters =
        bytes.first().is_some_and(is_letter) && bytes.last().is_some_and(is_letter);
    ends_are_letters
        && bytes.split(is_letter).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__")
                || separator.iter().all(|byte| *byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_LENGTH_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// Whether it has the outline of a digest. Whether it is one, [`Digest`] knows.
fn is_digest_like(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, digits)| {
        let is_name = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphabetic())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        algorithm.split(['-', '_', '+', '.']).all(is_name)
            && digits.len() >= DIGEST_DIGITS_MIN
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn check(text: &str, full: &str, familiar: &str) {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
        assert_eq!(familiar.parse::<Reference>().unwrap(), reference, "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        assert_eq!(text.parse::<Reference>().unwrap_err().to_string(), message, "{text:?}");
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        check("busybox", "docker.io/library/busybox", "busybox");
        check("busybox:1.38", "docker.io/library/busybox:1.38", "busybox:1.38");
        check("me/app", "docker.io/me/app", "me/app");
        check("docker.io/busybox", "docker.io/library/busybox", "busybox");
        check("index.docker.io/busybox", "docker.io/library/busybox", "busybox");
        check("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b");
        check("localhost/x", "localhost/x", "localhost/x");
        check("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y");
        check("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x");
        check("ghcr.io/a/b/c:d", "ghcr.io/a/b/c:d", "ghcr.io/a/b/c:d");
        check("HOST/x", "HOST/x", "HOST/x");
        check("a__b-c--d.e_f", "docker.io/library/a__b-c--d.e_f", "a__b-c--d.e_f");
    }

    #[test]
    fn a_digest_may_follow_the_name_or_the_tag() {
        let digest = format!("sha256:{HEX}");
        check(
            &format!("x@{digest}"),
            &format!("docker.io/library/x@{digest}"),
            &format!("x@{digest}"),
        );
        let both = format!("x:y@{digest}").parse::<Reference>().unwrap();
        assert_eq!(both.tag(), Some("y"));
        assert_eq!(both.digest(), Some(&Digest::of(b"")));
    }

    #[test]
    fn the_default_tag_is_added_only_to_a_bare_name() {
        let latest = |text: &str| text.parse::<Reference>().unwrap().or_latest().familiar();
        assert_eq!(latest("x"), "x:latest");
        assert_eq!(latest("x:y"), "x:y");
        assert_eq!(latest(&format!("x@sha256:{HEX}")), format!("x@sha256:{HEX}"));
    }

    #[test]
    fn refusals_are_worded_as_dockers() {
        let format = "invalid reference format";
        for text in [
            "", ":", "x:", "x y", "-x", "x-", "x//y", "/x", "x/", "x___y", "x:-y", "x..y", "x@y",
            "é",
        ] {
            check_refused(text, format);
        }
        check_refused(
            "Busybox",
            "invalid reference format: repository name (library/Busybox) must be lowercase",
        );
        check_refused("a.b/C:d", "invalid reference format: repository name (C) must be lowercase");
        check_refused(
            HEX,
            &format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        );
        check_refused(&"x".repeat(300), "repository name must not be more than 255 characters");
        check_refused(&format!("x:{}", "y".repeat(129)), format);
        check_refused(&format!("x@sha256:{}", &HEX[..40]), "invalid checksum digest length");
        check_refused(&format!("x@md5:{}", &HEX[..32]), "unsupported digest algorithm");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = text.parse::<Reference>();
        }

        #[test]
        fn what_is_read_is_read_again_the_same(text in "[a-zA-Z0-9.:/_@\\[-]{1,30}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
                prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
            }
        }
    }
}

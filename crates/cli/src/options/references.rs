//! Names of images as people type them: `busybox`, `busybox:1.38`, `host:5000/a/b@sha256:…`.

/// The registry of names that have none.
const DOMAIN_DEFAULT: &str = "docker.io";
/// Where that registry keeps names without a slash.
const OFFICIAL: &str = "library/";

/// A name with its tag and digest, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) domain: String,
    pub(crate) path: String,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
}

/// Reads a name; `Err` says what is wrong with it in Docker's words.
pub(crate) fn parse(text: &str) -> Result<Reference, String> {
    const INVALID: &str = "invalid reference format";
    if is_identifier(text) {
        return Err(format!(
            "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        ));
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let slash = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[slash..].split_once(':') {
        Some((last, tag)) => (&name[..slash + last.len()], Some(tag)),
        None => (name, None),
    };
    let (domain, path) = split_domain(name);
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("{INVALID}: repository name ({path}) must be lowercase"));
    }
    let valid = path.split('/').all(is_path_component)
        && is_domain(&domain)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    if !valid {
        return Err(INVALID.to_owned());
    }
    Ok(Reference { domain, path, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
}

impl Reference {
    /// The name without what goes without saying.
    pub(crate) fn familiar_name(&self) -> String {
        if self.domain != DOMAIN_DEFAULT {
            return format!("{}/{}", self.domain, self.path);
        }
        let official = self.path.strip_prefix(OFFICIAL).filter(|rest| !rest.contains('/'));
        official.unwrap_or(&self.path).to_owned()
    }

    /// That name with tag and digest.
    pub(crate) fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// The name in full, without tag and digest.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name in full.
    pub(crate) fn full(&self) -> String {
        self.with_suffix(self.full_name())
    }

    /// The same with `latest`, if it says neither tag nor digest.
    pub(crate) fn or_latest(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    pub(crate) const fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name = format!("{name}:{tag}");
        }
        if let Some(digest) = &self.digest {
            name = format!("{name}@{digest}");
        }
        name
    }
}

/// Whether the text is a full id rather than a name.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((domain, path))
            if domain.contains(['.', ':'])
                || domain == "localhost"
                || domain.to_lowercase() != domain =>
        {
            (domain, path)
        }
        _ => (DOMAIN_DEFAULT, name),
    };
    let domain = if domain == "index.docker.io" { DOMAIN_DEFAULT } else { domain };
    let path = if domain == DOMAIN_DEFAULT && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    (domain.to_owned(), path)
}

/// Lower-case words with single dots, one or two underscores, or dashes between them.
fn is_path_component(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    if bytes.is_empty() || !is_word(bytes[0]) || !is_word(bytes[bytes.len() - 1]) {
        return false;
    }
    part.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit()).all(
        |separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        },
    )
}

fn is_domain(domain: &str) -> bool {
    if domain.starts_with('[') {
        return domain.contains(']');
    }
    let (host, port) = domain.split_once(':').unwrap_or((domain, "0"));
    !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (1..=128).contains(&bytes.len())
        && is_word(&bytes[0])
        && bytes.iter().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(text: &str, full: &str, familiar: &str) {
        let reference = parse(text).unwrap();
        assert_eq!((reference.full().as_str(), reference.familiar().as_str()), (full, familiar));
    }

    #[test]
    fn names_are_completed_and_shortened() {
        check("busybox", "docker.io/library/busybox", "busybox");
        check("busybox:1.38", "docker.io/library/busybox:1.38", "busybox:1.38");
        check("a/b", "docker.io/a/b", "a/b");
        check("index.docker.io/library/a", "docker.io/library/a", "a");
        check("host:5000/a/b:c", "host:5000/a/b:c", "host:5000/a/b:c");
        check("localhost/a", "localhost/a", "localhost/a");
    }

    #[test]
    fn bad_names_are_refused_in_dockers_words() {
        for (text, error) in [
            ("", "invalid reference format"),
            ("a:", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a..b", "invalid reference format"),
            (
                "Busybox",
                "invalid reference format: repository name (library/Busybox) must be lowercase",
            ),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }
}

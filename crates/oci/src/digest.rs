//! The name of content: its SHA-256.
//!
//! OCI allows other algorithms, but every registry, builder and engine in use names content
//! by SHA-256, so a digest here is its 32 bytes and nothing else.

use std::fmt;
use std::str::FromStr;

use errors::{Explain, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The algorithm's name and the colon, as they stand before the hexadecimal digits.
const PREFIX: &str = "sha256:";

/// The SHA-256 of some content. Shown as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest, in the words of Docker's own parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("invalid checksum digest format")]
    Format,
    #[error("unsupported digest algorithm")]
    Algorithm,
    #[error("invalid checksum digest length")]
    Length,
}

impl Explain for DigestError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// The digest whose 64 hexadecimal digits, without the algorithm, are `hex`.
    pub fn from_hex(hex: &str) -> Result<Self, DigestError> {
        if hex.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(hex, &mut bytes).map_err(|_| DigestError::Length)?;
        Ok(Self(bytes))
    }

    /// The 64 hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hexadecimal digits, as people see ids.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }

    /// Whether this is the digest of `content`.
    pub fn verify(&self, content: &[u8]) -> bool {
        *self == Self::of(content)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        if algorithm != "sha256" {
            let is_named = algorithm.starts_with(|first: char| first.is_ascii_lowercase());
            return Err(if is_named { DigestError::Algorithm } else { DigestError::Format });
        }
        Self::from_hex(hex)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("{error}: {text:?}")))
    }
}

/// Computes the digest of content that comes in pieces.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn check(text: &str, expected: Result<&str, DigestError>) {
        let parsed = text.parse::<Digest>().map(|digest| digest.to_string());
        assert_eq!(parsed, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn a_digest_is_shown_as_it_was_read() {
        check(EMPTY, Ok(EMPTY));
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn what_is_not_a_digest_is_refused_in_dockers_words() {
        check("", Err(DigestError::Format));
        check("e3b0", Err(DigestError::Format));
        check("sha256:e3b0", Err(DigestError::Length));
        check("sha256:", Err(DigestError::Length));
        check(&EMPTY.to_uppercase(), Err(DigestError::Format));
        check(&format!("{EMPTY}00"), Err(DigestError::Length));
        check(&EMPTY.replace("e3", "G3"), Err(DigestError::Format));
        check("md5:d41d8cd98f00b204e9800998ecf8427e", Err(DigestError::Algorithm));
    }

    #[test]
    fn content_is_verified() {
        assert!(Digest::of(b"a").verify(b"a"));
        assert!(!Digest::of(b"a").verify(b"b"));
    }

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let mut hasher = Hasher::default();
        hasher.update(b"ab");
        hasher.update(b"c");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn a_digest_is_a_string_in_json() {
        let json = format!("\"{EMPTY}\"");
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), Digest::of(b""));
        assert_eq!(serde_json::to_string(&Digest::of(b"")).unwrap(), json);
    }
}

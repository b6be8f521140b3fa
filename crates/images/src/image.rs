//! An image as the store knows it: its configuration, its names, its layers.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use oci::image::ImageConfiguration;
use oci::{Digest, DigestError, Reference};
use serde::{Deserialize, Serialize};

/// An image's identity: the digest of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(Digest);

impl ImageId {
    pub fn new(digest: Digest) -> Self {
        Self(digest)
    }

    pub fn digest(&self) -> &Digest {
        &self.0
    }

    /// The 64 hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        self.0.hex()
    }

    /// The first 12 hexadecimal digits, as people see ids.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ImageId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self)
    }
}

/// An image. Never changed: a new name makes a new value of this.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: ImageId,
    /// The configuration, as far as OCI describes it.
    pub config: ImageConfiguration,
    /// What Docker adds to it.
    pub extras: Extras,
    /// The configuration's own bytes, whose digest is the id.
    pub raw: Vec<u8>,
    /// Names with a tag, in order.
    pub references: Vec<Reference>,
    /// Names with the digest of a manifest, in order.
    pub digests: Vec<Reference>,
    /// From the bottom up.
    pub layers: Vec<Layer>,
    /// The digest of the manifest that it came with, if it came with one.
    pub manifest: Option<Digest>,
    /// The image that it was made from on this host.
    pub parent: Option<ImageId>,
    pub created: Option<Timestamp>,
    pub last_tagged: Option<Timestamp>,
}

/// One layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Names its content: the digest of its archive, unpacked.
    pub diff_id: Digest,
    /// Names it and everything below it: how it is kept.
    pub chain_id: Digest,
    /// Bytes of its files.
    pub size: u64,
}

impl Image {
    /// Bytes of all its layers' files.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// The layers' digests, from the bottom up.
    pub fn diff_ids(&self) -> impl Iterator<Item = Digest> {
        self.layers.iter().map(|layer| layer.diff_id)
    }

    /// Whether it has no name at all.
    pub fn is_dangling(&self) -> bool {
        self.references.is_empty() && self.digests.is_empty()
    }
}

/// What Docker writes into a configuration beyond what OCI describes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extras {
    pub comment: Option<String>,
    pub docker_version: Option<String>,
    /// The container that it was committed from.
    pub container: Option<String>,
    #[serde(rename = "config", deserialize_with = "or_default")]
    pub process: ProcessExtras,
}

/// What Docker adds to the part that describes the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ProcessExtras {
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    #[serde(rename = "Healthcheck")]
    pub health_check: Option<HealthCheck>,
    #[serde(deserialize_with = "or_default")]
    pub on_build: Vec<String>,
    /// The shell of `RUN`, `CMD` and `ENTRYPOINT` in their shell form.
    #[serde(deserialize_with = "or_default")]
    pub shell: Vec<String>,
    pub args_escaped: bool,
    /// Seconds between the stop signal and the kill.
    pub stop_timeout: Option<i64>,
}

/// How to tell whether a container is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthCheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Nanoseconds, as the three below; 0 stands for the default.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// What happens to a container that becomes unhealthy. Wharf's own.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub action: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes `null` for what is empty.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a configuration.
///
/// Docker has always been lenient here, so that images exist which lack what OCI calls
/// required: a missing architecture or system is taken to be this host's.
pub(crate) fn parse_config(raw: &[u8]) -> Result<(ImageConfiguration, Extras), serde_json::Error> {
    let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(raw)?;
    for (key, default) in [("architecture", crate::platform::architecture()), ("os", "linux")] {
        let is_missing =
            document.get(key).is_none_or(|value| value.is_null() || value.as_str() == Some(""));
        if is_missing {
            document.insert(key.to_owned(), default.into());
        }
    }
    let document = serde_json::Value::Object(document);
    let extras = Extras::deserialize(&document)?;
    let mut config = ImageConfiguration::deserialize(&document)?;
    sort_sets(&mut config);
    Ok((config, extras))
}

/// Sorts what JSON has as the keys of an object, and the parser hands out in any order.
fn sort_sets(config: &mut ImageConfiguration) {
    let Some(mut process) = config.config().clone() else { return };
    let sorted = |set: &Option<Vec<String>>| {
        let mut set = set.clone();
        set.iter_mut().for_each(|set| set.sort_unstable());
        set
    };
    let exposed_ports = sorted(process.exposed_ports());
    let volumes = sorted(process.volumes());
    process.set_exposed_ports(exposed_ports).set_volumes(volumes);
    config.set_config(Some(process));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_may_lack_what_docker_never_asked_for() {
        let raw =
            br#"{"rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":null,"OnBuild":null}}"#;
        let (config, extras) = parse_config(raw).unwrap();
        assert_eq!(config.os().to_string(), "linux");
        assert_eq!(extras, Extras::default());
    }

    #[test]
    fn what_docker_adds_is_kept() {
        let raw = br#"{"architecture":"amd64","os":"linux","docker_version":"28.5.1",
            "rootfs":{"type":"layers","diff_ids":[]},
            "config":{"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":1000000000},
                      "Shell":["/bin/ash","-c"],"Volumes":{"/b":{},"/a":{}},"StopTimeout":3}}"#;
        let (config, extras) = parse_config(raw).unwrap();
        let process = config.config().as_ref().unwrap();
        assert_eq!(process.volumes().as_deref().unwrap(), ["/a", "/b"]);
        assert_eq!(extras.docker_version.as_deref(), Some("28.5.1"));
        assert_eq!(extras.process.shell, ["/bin/ash", "-c"]);
        assert_eq!(extras.process.stop_timeout, Some(3));
        assert_eq!(extras.process.health_check.unwrap().interval, 1_000_000_000);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        assert!(parse_config(b"[]").is_err());
        assert!(parse_config(b"{}").is_err());
    }
}

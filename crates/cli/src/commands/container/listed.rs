//! A container of a list, with what a list shows and nothing else.
//!
//! The answer for five hundred containers is half a megabyte. Most of it is never shown,
//! so it is skipped instead of read, and the rest is borrowed from the answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use docker_api::containers::{ContainerSummary, Port};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// One container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Listed<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) names: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) image: Cow<'a, str>,
    #[serde(borrow, rename = "ImageID")]
    pub(crate) image_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) command: Cow<'a, str>,
    pub(crate) created: i64,
    pub(crate) ports: Vec<Port>,
    pub(crate) size_rw: i64,
    pub(crate) size_root_fs: i64,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    pub(crate) state: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) status: Cow<'a, str>,
    #[serde(borrow)]
    network_settings: Networks<'a>,
    #[serde(borrow)]
    pub(crate) mounts: Vec<Mounted<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Networks<'a> {
    #[serde(borrow)]
    networks: BTreeMap<Cow<'a, str>, IgnoredAny>,
}

/// Something that is mounted in the container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Mounted<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) source: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) driver: Cow<'a, str>,
}

impl Listed<'_> {
    pub(crate) fn networks(&self) -> Vec<&str> {
        self.network_settings.networks.keys().map(AsRef::as_ref).collect()
    }
}

impl From<ContainerSummary> for Listed<'static> {
    fn from(summary: ContainerSummary) -> Self {
        let networks = summary.network_settings.and_then(|settings| settings.networks);
        let networks = networks.unwrap_or_default().into_keys();
        Self {
            id: summary.id.into(),
            names: summary.names.into_iter().map(Cow::from).collect(),
            image: summary.image.into(),
            image_id: summary.image_id.into(),
            command: summary.command.into(),
            created: summary.created,
            ports: summary.ports,
            size_rw: summary.size_rw,
            size_root_fs: summary.size_root_fs,
            labels: summary.labels,
            state: summary.state.into(),
            status: summary.status.into(),
            network_settings: Networks {
                networks: networks.map(|name| (name.into(), IgnoredAny)).collect(),
            },
            mounts: summary
                .mounts
                .into_iter()
                .map(|mount| Mounted {
                    name: mount.name.into(),
                    source: mount.source.into(),
                    driver: mount.driver.into(),
                })
                .collect(),
        }
    }
}

/// The containers of an answer. What an engine in Go may leave `null` is read a second
/// time, with more patience.
pub(crate) fn read(answer: &[u8]) -> Result<Vec<Listed<'_>>, serde_json::Error> {
    serde_json::from_slice(answer).or_else(|error| {
        let summaries: Vec<ContainerSummary> =
            docker_api::lenient::from_slice(answer).map_err(|_| error)?;
        Ok(summaries.into_iter().map(Listed::from).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn answers_are_read_with_and_without_nulls() {
        for (networks, mounts) in [("{\"bridge\":{\"Links\":null}}", "[]"), ("null", "null")] {
            let answer = format!(
                "[{{\"Id\":\"abc\",\"Names\":[\"/a\"],\"Command\":\"echo \\\"x\\\"\",\
                 \"NetworkSettings\":{{\"Networks\":{networks}}},\"Mounts\":{mounts}}}]"
            );
            let containers = read(answer.as_bytes()).unwrap();
            assert_eq!(containers[0].id, "abc");
            assert_eq!(containers[0].command, "echo \"x\"");
        }
    }
}

//! What is kept with a container for Docker's clients: the documents that it was made from,
//! with all defaults in.
//!
//! It is two lines of JSON. Lists need only the first, which is short.

use std::collections::BTreeMap;

use docker_api::containers::{ContainerConfig, HostConfig};
use docker_api::networks::EndpointSettings;
use serde::{Deserialize, Serialize};

/// What lists need to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Summary {
    /// As `80/tcp`, in order.
    pub(crate) exposed_ports: Vec<String>,
    /// Targets of `--tmpfs`, which Docker does not show among the mounts.
    pub(crate) hidden_tmpfs: Vec<String>,
}

/// Everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Document {
    pub(crate) summary: Summary,
    pub(crate) config: ContainerConfig,
    pub(crate) host_config: HostConfig,
    /// What the user said of the networks, by their names.
    pub(crate) endpoints: BTreeMap<String, EndpointSettings>,
}

/// The second line.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Details {
    config: ContainerConfig,
    host_config: HostConfig,
    endpoints: BTreeMap<String, EndpointSettings>,
}

impl Document {
    pub(crate) fn to_text(&self) -> String {
        let details = Details {
            config: self.config.clone(),
            host_config: self.host_config.clone(),
            endpoints: self.endpoints.clone(),
        };
        let line = "Docker's documents have no maps with odd keys";
        let summary = serde_json::to_string(&self.summary).expect(line);
        let details = serde_json::to_string(&details).expect(line);
        format!("{summary}\n{details}")
    }

    /// Reads what [`to_text`](Self::to_text) wrote. What another front door wrote is all
    /// zero values.
    pub(crate) fn from_text(text: &str) -> Self {
        let details = text.split_once('\n').map_or("", |(_, details)| details);
        let details: Details = serde_json::from_str(details).unwrap_or_default();
        Self {
            summary: Summary::from_text(text),
            config: details.config,
            host_config: details.host_config,
            endpoints: details.endpoints,
        }
    }
}

impl Summary {
    /// Reads the first line of a document.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_default()
    }
}

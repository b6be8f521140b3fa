//! `POST /containers/create`.

use serde::{Deserialize, Deserializer, Serialize};

use super::{ContainerConfig, HostConfig};
use crate::lenient;
use crate::networks::NetworkingConfig;

/// A container to make. The configuration's members are members of the request itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRequest {
    #[serde(flatten)]
    pub config: ContainerConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_config: Option<HostConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking_config: Option<NetworkingConfig>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct OwnMembers {
    host_config: Option<HostConfig>,
    networking_config: Option<NetworkingConfig>,
}

impl<'de> Deserialize<'de> for CreateRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (config, own): (_, OwnMembers) = lenient::both(deserializer)?;
        Ok(Self { config, host_config: own.host_config, networking_config: own.networking_config })
    }
}

/// A container was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CreateResponse {
    pub id: String,
    pub warnings: Option<Vec<String>>,
}

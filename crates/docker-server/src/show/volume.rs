//! Volumes.

use docker_api::volumes::{Volume, VolumeUsage};
use engine::volumes::VolumeView;

/// The label by which clients know volumes that nobody named.
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

pub(crate) fn show(view: &VolumeView, usage: Option<VolumeUsage>) -> Volume {
    let mut labels = view.labels.clone();
    if view.is_anonymous {
        labels.entry(ANONYMOUS_LABEL.to_owned()).or_default();
    }
    // Docker keeps whole seconds only.
    let created_at = jiff::Timestamp::from_second(view.created_at.as_second());
    Volume {
        created_at: created_at.unwrap_or(view.created_at).to_string(),
        driver: view.driver.clone(),
        labels: Some(labels).filter(|labels| !labels.is_empty()),
        mountpoint: view.mountpoint.display().to_string(),
        name: view.name.clone(),
        options: Some(view.options.clone()).filter(|options| !options.is_empty()),
        scope: "local".to_owned(),
        status: None,
        usage_data: usage,
    }
}

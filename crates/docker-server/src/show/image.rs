//! Images.

use std::collections::BTreeMap;

use docker_api::EmptyObject;
use docker_api::containers::{GraphDriver, HealthConfig};
use docker_api::images::{ImageConfig, ImageInspect, ImageMetadata, ImageSummary, RootFs};
use images::{HealthCheck, Image};
use oci::Reference;

use super::{ZERO_TIME, time_text};
use crate::create::ImageDefaults;

/// Names as users write them.
pub(crate) fn familiar_names(references: &[Reference]) -> Vec<String> {
    references.iter().map(Reference::familiar).collect()
}

/// One image of a list.
pub(crate) fn summary(image: &Image, containers: i64, shared_size: i64) -> ImageSummary {
    ImageSummary {
        containers,
        created: image.created.map_or(0, jiff::Timestamp::as_second),
        id: image.id.to_string(),
        labels: config(image).labels,
        parent_id: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        repo_digests: Some(familiar_names(&image.digests)),
        repo_tags: Some(familiar_names(&image.references)),
        shared_size,
        size: bytes(image.size()),
        virtual_size: 0,
    }
}

/// Everything about one image.
pub(crate) fn inspect(image: &Image) -> ImageInspect {
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    ImageInspect {
        id: image.id.to_string(),
        repo_tags: familiar_names(&image.references),
        repo_digests: familiar_names(&image.digests),
        parent: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        comment: comment(image),
        created: image.created.map(|at| at.to_string()).unwrap_or_default(),
        docker_version: text(image.extras.docker_version.as_ref()),
        author: text(image.config.author().as_ref()),
        architecture: image.config.architecture().to_string(),
        variant: text(image.config.variant().as_ref()),
        os: image.config.os().to_string(),
        os_version: text(image.config.os_version().as_ref()),
        size: bytes(image.size()),
        virtual_size: 0,
        graph_driver: GraphDriver { data: None, name: "overlay2".to_owned() },
        root_fs: RootFs {
            kind: "layers".to_owned(),
            layers: Some(image.diff_ids().map(|digest| digest.to_string()).collect()),
        },
        metadata: ImageMetadata {
            last_tag_time: image
                .last_tagged
                .map_or_else(|| ZERO_TIME.to_owned(), |at| time_text(Some(at))),
        },
        config: Some(config(image)),
    }
}

/// The image's own comment, or else that of its last step.
fn comment(image: &Image) -> String {
    let own = image.extras.comment.clone().filter(|comment| !comment.is_empty());
    own.or_else(|| image.config.history().as_ref()?.last()?.comment().clone()).unwrap_or_default()
}

/// What an image gives its containers.
pub(crate) fn config(image: &Image) -> ImageConfig {
    let extras = &image.extras.process;
    let Some(config) = image.config.config() else { return ImageConfig::default() };
    let set = |names: &Option<Vec<String>>| {
        let names = names.as_ref()?;
        Some(names.iter().map(|name| (name.clone(), EmptyObject {})).collect::<BTreeMap<_, _>>())
    };
    ImageConfig {
        args_escaped: extras.args_escaped,
        cmd: config.cmd().clone(),
        entrypoint: config.entrypoint().clone(),
        env: config.env().clone(),
        exposed_ports: set(config.exposed_ports()),
        healthcheck: extras.health_check.as_ref().map(health),
        labels: config.labels().as_ref().map(|labels| labels.clone().into_iter().collect()),
        on_build: Some(extras.on_build.clone()).filter(|steps| !steps.is_empty()),
        shell: Some(extras.shell.clone()).filter(|shell| !shell.is_empty()),
        stop_signal: config.stop_signal().clone().unwrap_or_default(),
        user: config.user().clone().unwrap_or_default(),
        volumes: set(config.volumes()),
        working_dir: config.working_dir().clone().unwrap_or_default(),
    }
}

fn health(health: &HealthCheck) -> HealthConfig {
    HealthConfig {
        test: Some(health.test.clone()),
        interval: health.interval,
        timeout: health.timeout,
        start_period: health.start_period,
        start_interval: health.start_interval,
        retries: health.retries,
        action: health.action.clone(),
    }
}

/// The same, as containers take it over.
pub(crate) fn defaults(image: &Image) -> ImageDefaults {
    let config = config(image);
    let names =
        |set: Option<BTreeMap<String, EmptyObject>>| set.unwrap_or_default().into_keys().collect();
    ImageDefaults {
        user: config.user,
        exposed_ports: names(config.exposed_ports),
        env: config.env.unwrap_or_default(),
        labels: config.labels.unwrap_or_default(),
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        health: config.healthcheck,
        working_dir: config.working_dir,
        volumes: names(config.volumes),
        stop_signal: config.stop_signal,
    }
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

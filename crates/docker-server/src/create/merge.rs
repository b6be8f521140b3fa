//! What an image gives to its containers: all that they do not say themselves.

use std::collections::BTreeMap;

use docker_api::EmptyObject;
use docker_api::containers::{ContainerConfig, HealthConfig};

use super::Refusal;

/// What an image gives to its containers.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageDefaults {
    pub(crate) user: String,
    pub(crate) exposed_ports: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) cmd: Option<Vec<String>>,
    pub(crate) health: Option<HealthConfig>,
    pub(crate) working_dir: String,
    pub(crate) volumes: Vec<String>,
    pub(crate) stop_signal: String,
}

/// Completes `config` from the image.
pub(super) fn merge(config: &mut ContainerConfig, image: &ImageDefaults) -> Result<(), Refusal> {
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if !image.exposed_ports.is_empty() {
        add_names(&mut config.exposed_ports, &image.exposed_ports);
    }
    merge_environment(config, &image.env);
    let labels = config.labels.get_or_insert_default();
    for (name, value) in &image.labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    merge_command(config, image)?;
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    }
    if !image.volumes.is_empty() {
        add_names(&mut config.volumes, &image.volumes);
    }
    // Docker shows the image's own where the container has none: nothing.
    config.volumes.take_if(|volumes| volumes.is_empty());
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    merge_health(config, image);
    Ok(())
}

fn add_names(set: &mut Option<BTreeMap<String, EmptyObject>>, names: &[String]) {
    let set = set.get_or_insert_default();
    for name in names {
        set.entry(name.clone()).or_default();
    }
}

/// The image's variables come after the user's, without those that the user names.
fn merge_environment(config: &mut ContainerConfig, image: &[String]) {
    if image.is_empty() {
        config.env.take_if(|variables| variables.is_empty());
        return;
    }
    fn name(variable: &str) -> &str {
        variable.split('=').next().unwrap_or_default()
    }
    let variables = config.env.get_or_insert_default();
    for variable in image {
        if !variables.iter().any(|own| name(own) == name(variable)) {
            variables.push(variable.clone());
        }
    }
}

/// An entry point of the user's makes the image's command meaningless; a command of the user's
/// is given to the image's entry point.
fn merge_command(config: &mut ContainerConfig, image: &ImageDefaults) -> Result<(), Refusal> {
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if is_empty(&config.entrypoint) {
        if is_empty(&config.cmd) {
            config.cmd.clone_from(&image.cmd);
        }
        // `--entrypoint ""` is an empty list, and means none at all.
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if config.entrypoint.as_deref().is_some_and(|list| matches!(list, [only] if only.is_empty())) {
        config.entrypoint = None;
    }
    if is_empty(&config.entrypoint) && is_empty(&config.cmd) {
        return Err(Refusal::new("no command specified")
            .with_hint("the image names no program to run: put one behind the image's name"));
    }
    Ok(())
}

/// The image's check, with what the user says otherwise.
fn merge_health(config: &mut ContainerConfig, image: &ImageDefaults) {
    let Some(health) = &image.health else { return };
    let Some(own) = &mut config.healthcheck else {
        config.healthcheck = Some(health.clone());
        return;
    };
    fn or<T: Default + PartialEq + Clone>(own: &mut T, default: &T) {
        if *own == T::default() {
            own.clone_from(default);
        }
    }
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&health.test);
    }
    or(&mut own.interval, &health.interval);
    or(&mut own.timeout, &health.timeout);
    or(&mut own.start_period, &health.start_period);
    or(&mut own.start_interval, &health.start_interval);
    or(&mut own.retries, &health.retries);
    or(&mut own.action, &health.action);
}

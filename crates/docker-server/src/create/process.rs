//! The container's first process.

use std::time::Duration;

use docker_api::containers::{ContainerConfig, HostConfig};
use engine::containers::spec::ProcessSpec;

use super::{Refusal, health, signals};
use crate::show::clean_path;

/// Checks what concerns the process before the image is looked at.
pub(super) fn check(config: &mut ContainerConfig) -> Result<(), Refusal> {
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') {
            return Err(Refusal::new(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                config.working_dir
            )));
        }
        config.working_dir = clean_path(&config.working_dir);
    }
    if !config.stop_signal.is_empty() {
        signals::number(&config.stop_signal)?;
    }
    for variable in config.env.iter().flatten() {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Refusal::new(format!("invalid environment variable: {variable}")));
        }
    }
    health::check(config)
}

pub(super) fn convert(config: &ContainerConfig, host: &HostConfig) -> Result<ProcessSpec, Refusal> {
    let entrypoint = config.entrypoint.iter().flatten();
    let arguments: Vec<String> = entrypoint.chain(config.cmd.iter().flatten()).cloned().collect();
    let working_directory = match config.working_dir.as_str() {
        "" => "/".to_owned(),
        path => clean_path(path),
    };
    Ok(ProcessSpec {
        arguments,
        environment: config.env.clone().unwrap_or_default(),
        working_directory,
        user: config.user.clone(),
        additional_groups: host.group_add.clone().unwrap_or_default(),
        terminal: config.tty,
        terminal_size: terminal_size(host.console_size),
        stdin_open: config.open_stdin,
        stdin_once: config.stdin_once,
        oom_score_adjust: i32::try_from(host.oom_score_adj)
            .map_err(|_| Refusal::new("the OOM score adjustment is out of range"))?,
    })
}

/// Rows and columns, unless they are zero, which is how clients without a terminal say so.
pub(crate) fn terminal_size([rows, columns]: [u32; 2]) -> Option<(u16, u16)> {
    let size = (u16::try_from(rows).ok()?, u16::try_from(columns).ok()?);
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// Docker uses a negative number for "for ever".
pub(super) fn stop_timeout(config: &ContainerConfig) -> Option<Duration> {
    config
        .stop_timeout
        .map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
}

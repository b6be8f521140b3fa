//! Where the container's output goes.

use docker_api::containers::HostConfig;
use engine::containers::spec::LogConfig;

use super::Refusal;

pub(super) fn convert(host: &HostConfig) -> Result<LogConfig, Refusal> {
    let driver = host.log_config.driver.clone();
    let options = host.log_config.config.clone().unwrap_or_default();
    engine::validate_log_options(&driver, &options).map_err(Refusal::new)?;
    Ok(LogConfig { driver, options })
}

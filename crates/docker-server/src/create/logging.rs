//! Where the container's output goes.

use docker_api::containers::HostConfig;
use engine::containers::spec::LogConfig;

use super::Refusal;

/// Docker's drivers that are not there yet.
const MISSING_DRIVERS: &[&str] =
    &["awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "journald", "local", "splunk", "syslog"];

/// What can be said to the driver `json-file`.
const JSON_FILE_OPTIONS: &[&str] = &[
    "max-file",
    "max-size",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "mode",
    "max-buffer-size",
];

pub(super) fn convert(host: &HostConfig) -> Result<LogConfig, Refusal> {
    let driver = host.log_config.driver.as_str();
    let options = host.log_config.config.clone().unwrap_or_default();
    match driver {
        "none" => {}
        "json-file" => {
            let unknown = options.keys().find(|name| !JSON_FILE_OPTIONS.contains(&name.as_str()));
            if let Some(name) = unknown {
                return Err(Refusal::new(format!(
                    "unknown log opt '{name}' for json-file log driver"
                )));
            }
        }
        driver if MISSING_DRIVERS.contains(&driver) => {
            return Err(Refusal::unsupported(format!("the log driver {driver}")));
        }
        driver => {
            return Err(Refusal::new(format!(
                "error looking up logging plugin {driver}: plugin \"{driver}\" not found"
            )));
        }
    }
    Ok(LogConfig { driver: driver.to_owned(), options })
}

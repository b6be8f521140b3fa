//! What happens when the container's process ends by itself.

use docker_api::containers::RestartPolicy as Document;
use engine::containers::spec::RestartPolicy;

use super::Refusal;

pub(crate) fn convert(policy: &Document) -> Result<RestartPolicy, Refusal> {
    let retries = policy.maximum_retry_count;
    match policy.name.as_str() {
        "always" | "unless-stopped" | "no" if retries != 0 => {
            let negative = if retries < 0 { " and cannot be negative" } else { "" };
            Err(Refusal::new(format!(
                "invalid restart policy: maximum retry count can only be used with \
                 'on-failure'{negative}"
            )))
        }
        "" | "no" => Ok(RestartPolicy::No),
        "always" => Ok(RestartPolicy::Always),
        "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
        "on-failure" if retries < 0 => {
            Err(Refusal::new("invalid restart policy: maximum retry count cannot be negative"))
        }
        "on-failure" => {
            // More than can be counted to is more than will ever be.
            let most = u32::try_from(retries).unwrap_or(u32::MAX);
            Ok(RestartPolicy::OnFailure { retries_max: (most > 0).then_some(most) })
        }
        name => Err(Refusal::new(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', \
             'on-failure', or 'unless-stopped'"
        ))),
    }
}

//! Devices of the host's in the container.

use docker_api::containers::Resources;
use engine::containers::spec::{DeviceRequest, DeviceRule, DeviceSpec};

use super::Refusal;

/// What may be done with a device if nothing is said.
const ALL_PERMISSIONS: &str = "rwm";

pub(super) fn convert(resources: &Resources) -> Vec<DeviceSpec> {
    resources
        .devices
        .iter()
        .flatten()
        .map(|device| DeviceSpec {
            host_path: device.path_on_host.clone().into(),
            container_path: match device.path_in_container.as_str() {
                "" => device.path_on_host.clone().into(),
                path => path.into(),
            },
            permissions: match device.cgroup_permissions.as_str() {
                "" => ALL_PERMISSIONS.to_owned(),
                permissions => permissions.to_owned(),
            },
        })
        .collect()
}

/// Devices that are left to a driver to choose.
pub(super) fn requests(resources: &Resources) -> Vec<DeviceRequest> {
    resources
        .device_requests
        .iter()
        .flatten()
        .map(|request| DeviceRequest {
            driver: request.driver.clone(),
            ids: request.device_ids.clone().unwrap_or_default(),
            capabilities: request.capabilities.clone().unwrap_or_default(),
        })
        .collect()
}

/// Rules such as `c 1:3 rwm` and `b *:* r`.
pub(super) fn rules(resources: &Resources) -> Result<Vec<DeviceRule>, Refusal> {
    resources.device_cgroup_rules.iter().flatten().map(|text| parse_rule(text)).collect()
}

fn parse_rule(text: &str) -> Result<DeviceRule, Refusal> {
    let parse = || {
        let mut words = text.split(' ');
        let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
        let kind = match kind {
            "a" | "b" | "c" => kind.chars().next()?,
            _ => return None,
        };
        let (major, minor) = numbers.split_once(':')?;
        let number = |text: &str| match text {
            "*" => Some(None),
            digits => digits.parse::<u32>().ok().map(|number| Some(i64::from(number))),
        };
        let is_access = (1..=3).contains(&access.len())
            && access.chars().all(|letter| ALL_PERMISSIONS.contains(letter));
        (words.next().is_none() && is_access).then_some(DeviceRule {
            kind,
            major: number(major)?,
            minor: number(minor)?,
            access: access.to_owned(),
        })
    };
    parse().ok_or_else(|| {
        Refusal::new(format!("invalid device cgroup rule format: '{text}'"))
            .with_hint("a rule looks like `c 1:3 rwm` or `b *:* r`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rule = parse_rule("c 1:* rw").unwrap();
        assert_eq!((rule.kind, rule.major, rule.minor), ('c', Some(1), None));
        for wrong in ["x", "c 1 rwm", "d 1:3 r", "c 1:3 q", "c 1:3", "c 1:3 rwmr"] {
            assert!(parse_rule(wrong).is_err(), "{wrong}");
        }
    }
}

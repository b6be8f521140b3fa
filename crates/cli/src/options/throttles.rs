//! Limits on block devices: `/dev/sda:1mb`, `/dev/sda:1000`, and their weights.

use super::{numbers, sizes};

/// A device with its number: bytes a second, operations a second, or a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceValue {
    pub(crate) path: String,
    pub(crate) value: u64,
}

/// `PATH:SIZE`
pub(crate) fn parse_bytes(value: &str) -> Result<DeviceValue, String> {
    let (path, rate) = split(value)?;
    let rate = sizes::parse(rate).map_err(|_| {
        format!(
            "invalid rate for device: {value}. The correct format is \
             <device-path>:<number>[<unit>]. Number must be a positive integer. \
             Unit is optional and can be kb, mb, or gb"
        )
    })?;
    Ok(DeviceValue { path, value: rate.unsigned_abs() })
}

/// `PATH:NUMBER`
pub(crate) fn parse_operations(value: &str) -> Result<DeviceValue, String> {
    let (path, rate) = split(value)?;
    let value = rate.parse().map_err(|_| {
        format!(
            "invalid rate for device: {value}. The correct format is \
             <device-path>:<number>. Number must be a positive integer"
        )
    })?;
    Ok(DeviceValue { path, value })
}

/// `PATH:WEIGHT`
pub(crate) fn parse_weight(value: &str) -> Result<DeviceValue, String> {
    let (path, weight) = split(value)?;
    let weight = numbers::parse_port(weight).ok().filter(|weight| matches!(weight, 0 | 10..=1000));
    let weight = weight.ok_or_else(|| format!("invalid weight for device: {value}"))?;
    Ok(DeviceValue { path, value: u64::from(weight) })
}

pub(crate) fn check_bytes(value: &str) -> Result<String, String> {
    parse_bytes(value).map(|_| value.to_owned())
}

pub(crate) fn check_operations(value: &str) -> Result<String, String> {
    parse_operations(value).map(|_| value.to_owned())
}

pub(crate) fn check_weight(value: &str) -> Result<String, String> {
    parse_weight(value).map(|_| value.to_owned())
}

fn split(value: &str) -> Result<(String, &str), String> {
    let (path, rest) = value
        .split_once(':')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("bad format: {value}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {value}"));
    }
    Ok((path.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::{parse_bytes, parse_operations, parse_weight};

    #[test]
    fn rates_are_sizes_or_numbers() {
        assert_eq!(parse_bytes("/dev/sda:1mb").unwrap().value, 1 << 20);
        assert_eq!(parse_operations("/dev/sda:1000").unwrap().value, 1000);
        assert_eq!(parse_weight("/dev/sda:500").unwrap().value, 500);
    }

    #[test]
    fn bad_rates_are_refused() {
        assert_eq!(parse_bytes("x").unwrap_err(), "bad format: x");
        assert_eq!(parse_bytes("sda:1").unwrap_err(), "bad format for device path: sda:1");
        assert!(parse_operations("/dev/sda:1mb").is_err());
        assert_eq!(
            parse_weight("/dev/sda:5").unwrap_err(),
            "invalid weight for device: /dev/sda:5"
        );
    }
}

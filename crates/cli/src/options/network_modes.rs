//! `--network`: a network, or several, with what the container is there.

use std::collections::BTreeMap;

use super::{csv, numbers};

/// One attachment to a network.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) target: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) driver_options: BTreeMap<String, String>,
    pub(crate) links: Vec<String>,
    pub(crate) ipv4_address: String,
    pub(crate) ipv6_address: String,
    pub(crate) link_local_addresses: Vec<String>,
    pub(crate) mac_address: String,
    pub(crate) gateway_priority: i64,
}

/// Reads `NETWORK` or `name=NETWORK,alias=…,ip=…`.
pub(crate) fn parse(value: &str) -> Result<Attachment, String> {
    if !has_pair(value) {
        return Ok(Attachment { target: value.to_owned(), ..Attachment::default() });
    }
    let mut attachment = Attachment::default();
    for field in csv::split(value)? {
        let field_lower = field.to_lowercase();
        let (key, value) = field_lower
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("invalid field {field}"))?;
        attachment.set(key.trim(), value.trim())?;
    }
    if attachment.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

/// Checked as a flag's value.
pub(crate) fn check(value: &str) -> Result<String, String> {
    parse(value).map(|_| value.to_owned())
}

/// Whether the mode is the name of a network that somebody made.
pub(crate) fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "default" | "bridge" | "host" | "none") && !mode.starts_with("container:")
}

/// Whether there is a `word=word` anywhere: Docker's sign of the long form.
fn has_pair(value: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = value.as_bytes();
    bytes.windows(3).any(|three| three[1] == b'=' && is_word(&three[0]) && is_word(&three[2]))
}

impl Attachment {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "name" => value.clone_into(&mut self.target),
            "alias" => self.aliases.push(value.to_owned()),
            "ip" => value.clone_into(&mut self.ipv4_address),
            "ip6" => value.clone_into(&mut self.ipv6_address),
            "mac-address" => value.clone_into(&mut self.mac_address),
            "link-local-ip" => self.link_local_addresses.push(value.to_owned()),
            "driver-opt" => {
                let (key, value) = value
                    .split_once('=')
                    .filter(|(key, _)| !key.is_empty())
                    .ok_or("invalid key value pair format in driver options")?;
                self.driver_options.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            "gw-priority" => {
                self.gateway_priority = numbers::parse_int(value).map_err(|error| {
                    let reason = error.rsplit(": ").next().unwrap_or_default();
                    format!("invalid gw-priority ({value}): {reason}")
                })?;
            }
            _ => return Err(format!("invalid field key {key}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Attachment, is_user_defined, parse};

    #[test]
    fn a_name_alone_is_the_network() {
        let attachment = parse("container:web").unwrap();
        assert_eq!(attachment, Attachment { target: "container:web".into(), ..<_>::default() });
    }

    #[test]
    fn the_long_form_names_everything() {
        let attachment =
            parse("name=net1,alias=a,alias=b,ip=10.0.0.9,driver-opt=k=v,gw-priority=3").unwrap();
        assert_eq!(attachment.target, "net1");
        assert_eq!(attachment.aliases, ["a", "b"]);
        assert_eq!(attachment.ipv4_address, "10.0.0.9");
        assert_eq!(attachment.driver_options["k"], "v");
        assert_eq!(attachment.gateway_priority, 3);
    }

    #[test]
    fn a_bad_long_form_is_refused() {
        for (value, error) in [
            ("foo=bar", "invalid field key foo"),
            ("alias=a", "network name/id is not specified"),
            ("name=n,gw-priority=x", "invalid gw-priority (x): invalid syntax"),
            ("name=n,x", "invalid field x"),
        ] {
            assert_eq!(parse(value), Err(error.to_owned()), "{value}");
        }
    }

    #[test]
    fn built_in_modes_are_not_user_defined() {
        assert!(!is_user_defined("container:x"));
        assert!(is_user_defined("net1"));
    }
}

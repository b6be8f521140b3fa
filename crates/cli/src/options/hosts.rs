//! Addresses and names: `--add-host`, `--dns`, `--mac-address`.

use std::net::IpAddr;

use crate::output::quote::quote;

/// What stands for the host's own address, filled in by the daemon.
const HOST_GATEWAY: &str = "host-gateway";

/// `NAME:ADDRESS`, as the API wants it, from that or `NAME=ADDRESS`, brackets or not.
pub(crate) fn check_extra(entry: &str) -> Result<String, String> {
    // An IPv6 address has colons of its own, so only the first one separates.
    let (name, address) = entry
        .split_once('=')
        .or_else(|| entry.split_once(':'))
        .filter(|(name, _)| !name.is_empty() && !name.contains(':'))
        .ok_or_else(|| format!("bad format for add-host: {}", quote(entry)))?;
    if address == HOST_GATEWAY {
        return Ok(format!("{name}:{address}"));
    }
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    let address = bare.filter(|bare| !bare.is_empty()).unwrap_or(address);
    // Checked, but kept as written: it shows in the container's file.
    check_address(address)
        .map_err(|_| format!("invalid IP address in add-host: {}", quote(address)))?;
    Ok(format!("{name}:{address}"))
}

/// An address in its canonical form.
pub(crate) fn check_address(text: &str) -> Result<String, String> {
    let address: IpAddr = text
        .trim()
        .parse()
        .map_err(|_| format!("IP address is not correctly formatted: {text}"))?;
    Ok(address.to_string())
}

/// Whether this is a hardware address as Go's `net.ParseMAC` knows them.
pub(crate) fn is_hardware_address(text: &str) -> bool {
    let text = text.trim();
    let separated = |separator: char, digits: usize| {
        let parts: Vec<_> = text.split(separator).collect();
        matches!(parts.len() * digits, 12 | 16 | 40)
            && parts.iter().all(|part| {
                part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
    };
    separated(':', 2) || separated('-', 2) || separated('.', 4)
}

#[cfg(test)]
mod tests {
    use super::{check_address, check_extra, is_hardware_address};

    #[test]
    fn extra_hosts_are_names_with_addresses() {
        for (entry, expected) in [
            ("a:1.2.3.4", "a:1.2.3.4"),
            ("a=1.2.3.4", "a:1.2.3.4"),
            ("a:::1", "a:::1"),
            ("a:[::1]", "a:::1"),
            ("a=host-gateway", "a:host-gateway"),
        ] {
            assert_eq!(check_extra(entry), Ok(expected.to_owned()), "{entry}");
        }
        assert_eq!(check_extra("a"), Err("bad format for add-host: \"a\"".to_owned()));
        assert_eq!(check_extra("a:x"), Err("invalid IP address in add-host: \"x\"".to_owned()));
    }

    #[test]
    fn addresses_become_canonical() {
        assert_eq!(check_address("0:0:0:0:0:0:0:1"), Ok("::1".to_owned()));
        assert!(check_address("1.2.3").is_err());
    }

    #[test]
    fn hardware_addresses_have_three_spellings() {
        for address in ["02:42:ac:11:00:02", "02-42-ac-11-00-02", "0242.ac11.0002"] {
            assert!(is_hardware_address(address), "{address}");
        }
        assert!(!is_hardware_address("02:42"));
    }
}

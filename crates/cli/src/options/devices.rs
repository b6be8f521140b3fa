//! `--device` and `--device-cgroup-rule`.

use super::paths;

/// A device of the host in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) path_on_host: String,
    pub(crate) path_in_container: String,
    pub(crate) permissions: String,
}

/// Reads `HOST[:CONTAINER][:PERMISSIONS]`.
pub(crate) fn parse(value: &str) -> Result<Device, String> {
    let parts: Vec<_> = value.split(':').collect();
    let bad_format = || format!("bad format for path: {value}");
    if parts[0].is_empty() {
        return Err(bad_format());
    }
    let device = |host: &str, container: &str, permissions: &str| Device {
        path_on_host: host.to_owned(),
        path_in_container: container.to_owned(),
        permissions: permissions.to_owned(),
    };
    let device = match parts.as_slice() {
        [path] => device(&paths::clean(path), &paths::clean(path), "rwm"),
        [path, mode] if are_permissions(mode) => {
            device(&paths::clean(path), &paths::clean(path), mode)
        }
        [host, container] => device(host, &paths::clean(container), "rwm"),
        [host, container, mode] if are_permissions(mode) => device(host, container, mode),
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(bad_format()),
    };
    if device.path_in_container.starts_with('/') {
        Ok(device)
    } else {
        let as_typed =
            if parts.len() == 1 || are_permissions(parts[1]) { parts[0] } else { parts[1] };
        Err(format!("{as_typed} is not an absolute path"))
    }
}

/// Whether the name is one of the Container Device Interface: `vendor.com/class=name`.
pub(crate) fn is_interface_name(value: &str) -> bool {
    let Some((kind, name)) = value.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let is_word = |word: &str, extra: &[u8]| {
        word.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && word.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
    };
    vendor.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && is_word(vendor, b"_-.")
        && is_word(class, b"_-")
        && is_word(name, b"_-.:")
}

/// `TYPE MAJOR:MINOR PERMISSIONS`, checked.
pub(crate) fn check_rule(rule: &str) -> Result<String, String> {
    let error = || format!("invalid device cgroup format '{rule}'");
    let parts: Vec<_> = rule.split(' ').collect();
    let [kind, numbers, mode] = parts.as_slice() else { return Err(error()) };
    let is_number = |text: &str| {
        text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let valid = matches!(*kind, "a" | "c" | "b")
        && numbers
            .split_once(':')
            .is_some_and(|(major, minor)| is_number(major) && is_number(minor))
        && (1..=3).contains(&mode.len())
        && mode.bytes().all(|byte| matches!(byte, b'r' | b'w' | b'm'));
    if valid { Ok(rule.to_owned()) } else { Err(error()) }
}

fn are_permissions(mode: &str) -> bool {
    let is_once =
        |letter: char| matches!(letter, 'r' | 'w' | 'm') && mode.matches(letter).count() == 1;
    !mode.is_empty() && mode.chars().all(is_once)
}

#[cfg(test)]
mod tests {
    use super::{check_rule, is_interface_name, parse};

    #[track_caller]
    fn check(value: &str, expected: [&str; 3]) {
        let device = parse(value).unwrap();
        let shown = [device.path_on_host, device.path_in_container, device.permissions];
        assert_eq!(shown, expected, "{value}");
    }

    #[test]
    fn a_device_may_have_another_name_inside() {
        check("/dev/fuse", ["/dev/fuse", "/dev/fuse", "rwm"]);
        check("/dev/fuse:rw", ["/dev/fuse", "/dev/fuse", "rw"]);
        check("/dev/fuse:/dev/x", ["/dev/fuse", "/dev/x", "rwm"]);
        check("/dev/fuse:/dev/x:r", ["/dev/fuse", "/dev/x", "r"]);
    }

    #[test]
    fn a_bad_device_is_refused() {
        for (value, error) in [
            ("", "bad format for path: "),
            ("a:b:c:d", "bad format for path: a:b:c:d"),
            ("/dev/a:/dev/b:x", "bad mode specified: x"),
            ("fuse", "fuse is not an absolute path"),
            ("/dev/fuse:x", "x is not an absolute path"),
        ] {
            assert_eq!(parse(value), Err(error.to_owned()), "{value}");
        }
    }

    #[test]
    fn rules_have_a_type_numbers_and_permissions() {
        assert!(check_rule("c 1:* rwm").is_ok());
        assert_eq!(check_rule("x 1:2 r"), Err("invalid device cgroup format 'x 1:2 r'".to_owned()));
    }

    #[test]
    fn interface_names_are_told_from_paths() {
        assert!(is_interface_name("vendor.com/device=gpu0"));
        assert!(!is_interface_name("/dev/fuse"));
    }
}

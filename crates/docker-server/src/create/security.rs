//! What the container's processes may do.

use docker_api::containers::HostConfig;
use engine::containers::spec::{SeccompProfile, SecuritySpec};

use super::Refusal;

/// Every capability that Linux has (see `capabilities(7)`).
const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Refuses capabilities that do not exist.
pub(super) fn check_capabilities(host: &HostConfig) -> Result<(), Refusal> {
    capabilities(host.cap_add.as_deref(), "CapAdd")?;
    capabilities(host.cap_drop.as_deref(), "CapDrop")?;
    Ok(())
}

pub(super) fn convert(host: &HostConfig) -> Result<SecuritySpec, Refusal> {
    let mut security = SecuritySpec {
        privileged: host.privileged,
        capabilities_add: capabilities(host.cap_add.as_deref(), "CapAdd")?,
        capabilities_drop: capabilities(host.cap_drop.as_deref(), "CapDrop")?,
        no_new_privileges: false,
        writable_cgroups: host.privileged,
        seccomp: SeccompProfile::Default,
        apparmor_profile: None,
        masked_paths: host.masked_paths.clone().unwrap_or_default(),
        read_only_paths: host.readonly_paths.clone().unwrap_or_default(),
    };
    for text in host.security_opt.iter().flatten() {
        apply(&mut security, text)?;
    }
    Ok(security)
}

fn capabilities(names: Option<&[String]>, member: &str) -> Result<Vec<String>, Refusal> {
    let names = names.unwrap_or_default().iter();
    names
        .map(|name| {
            let upper = name.trim().to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned();
            if bare == "ALL" || CAPABILITIES.contains(&bare.as_str()) {
                Ok(bare)
            } else {
                Err(Refusal::new(format!("invalid {member}: unknown capability: \"CAP_{bare}\"")))
            }
        })
        .collect()
}

/// One `--security-opt`: `name=value`, or `name:value` as it was once.
fn apply(security: &mut SecuritySpec, text: &str) -> Result<(), Refusal> {
    let malformed =
        |number| Refusal::unclassified(format!("invalid --security-opt {number}: {text:?}"));
    match text {
        "no-new-privileges" => {
            security.no_new_privileges = true;
            return Ok(());
        }
        "writable-cgroups" => {
            security.writable_cgroups = true;
            return Ok(());
        }
        "disable" => return Ok(()),
        _ => {}
    }
    let separator = if text.contains('=') { '=' } else { ':' };
    let (name, value) = text.split_once(separator).ok_or_else(|| malformed(1))?;
    match name {
        "seccomp" => security.seccomp = seccomp(value),
        "apparmor" => security.apparmor_profile = apparmor(value),
        "no-new-privileges" => {
            security.no_new_privileges = parse_bool(value).ok_or_else(|| malformed(2))?;
        }
        // Without SELinux there is nothing to label, and Docker takes every word of it.
        "label" if value == "disable" || !has_selinux() => {}
        "label" => return Err(Refusal::unsupported("SELinux labels (--security-opt label=…)")),
        "writable-cgroups" => {
            security.writable_cgroups = parse_bool(value).ok_or_else(|| malformed(2))?;
        }
        _ => return Err(malformed(2)),
    }
    Ok(())
}

fn seccomp(value: &str) -> SeccompProfile {
    match value {
        "unconfined" => SeccompProfile::Unconfined,
        "builtin" | "" => SeccompProfile::Default,
        // The client sends the file's text, not its name.
        profile => SeccompProfile::Custom(profile.to_owned()),
    }
}

fn apparmor(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// Whether this host's kernel labels processes.
fn has_selinux() -> bool {
    std::path::Path::new("/sys/fs/selinux/enforce").exists()
}

/// What Go takes for a boolean.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert_with(text: &str) -> Result<SecuritySpec, Refusal> {
        convert(&HostConfig { security_opt: Some(vec![text.to_owned()]), ..HostConfig::default() })
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        assert!(convert_with("no-new-privileges").unwrap().no_new_privileges);
        assert!(convert_with("no-new-privileges:true").unwrap().no_new_privileges);
        assert_eq!(convert_with("seccomp:unconfined").unwrap().seccomp, SeccompProfile::Unconfined);
        let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;
        assert_eq!(
            convert_with(&format!("seccomp={profile}")).unwrap().seccomp,
            SeccompProfile::Custom(profile.to_owned())
        );
    }

    #[test]
    fn what_is_no_option_is_refused_in_dockers_words() {
        let words = |text| convert_with(text).unwrap_err().message().to_owned();
        assert_eq!(words("foo"), "invalid --security-opt 1: \"foo\"");
        assert_eq!(words("foo=bar"), "invalid --security-opt 2: \"foo=bar\"");
        assert_eq!(
            words("no-new-privileges:x"),
            "invalid --security-opt 2: \"no-new-privileges:x\""
        );
    }

    #[test]
    fn capabilities_may_have_their_prefix() {
        let names = |name: &str| capabilities(Some(&[name.to_owned()]), "CapAdd");
        assert_eq!(names("cap_net_admin").unwrap(), ["NET_ADMIN"]);
        assert_eq!(names("all").unwrap(), ["ALL"]);
        assert_eq!(
            names("foo").unwrap_err().message(),
            "invalid CapAdd: unknown capability: \"CAP_FOO\""
        );
    }
}

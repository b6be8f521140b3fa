//! `--sysctl`: kernel settings that belong to a namespace of the container.

const NAMES: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
const PREFIXES: &[&str] = &["net.", "fs.mqueue."];

/// Refuses settings that would be the host's.
pub(crate) fn check(setting: &str) -> Result<String, String> {
    let allowed = setting.split_once('=').is_some_and(|(name, _)| {
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    if allowed { Ok(setting.to_owned()) } else { Err(format!("sysctl '{setting}' is not allowed")) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_namespaced_settings_are_allowed() {
        assert!(super::check("net.ipv4.ip_forward=1").is_ok());
        assert!(super::check("kernel.shmmax=1").is_ok());
        for setting in ["kernel.panic=1", "net.ipv4.ip_forward", "=1"] {
            assert_eq!(super::check(setting), Err(format!("sysctl '{setting}' is not allowed")));
        }
    }
}

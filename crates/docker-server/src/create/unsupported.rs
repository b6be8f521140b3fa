//! What Docker can do and Wharf cannot yet: refused by name.
//!
//! A zero value asks for nothing, and is fine.

use docker_api::containers::HostConfig;

use super::Refusal;

pub(super) fn check(host: &HostConfig) -> Result<(), Refusal> {
    let resources = &host.resources;
    let asked_for = [
        (!host.cgroup.is_empty(), "joining another container's cgroup (HostConfig.Cgroup)"),
        (
            resources.kernel_memory_tcp != 0,
            "limits of kernel TCP memory (HostConfig.KernelMemoryTCP)",
        ),
    ];
    if let Some((_, what)) = asked_for.iter().find(|(is_asked_for, _)| *is_asked_for) {
        return Err(Refusal::unsupported(what));
    }
    check_users(host)?;
    Ok(())
}

fn check_users(host: &HostConfig) -> Result<(), Refusal> {
    match host.userns_mode.as_str() {
        "" | "host" => Ok(()),
        mode => Err(Refusal::new(format!("invalid user namespace mode: {mode}"))
            .with_hint("`host` is the only one")),
    }
}

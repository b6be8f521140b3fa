//! Which parameters of the kernel belong to a namespace.

use linux::namespaces::Namespaces;
use rustix::thread::LinkNameSpaceType;

/// Parameters of IPC namespaces.
const IPC: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.msg_next_id",
];

/// The name of the host has a field of its own in the configuration.
pub(super) fn is_host_name(name: &str) -> bool {
    matches!(name, "kernel.hostname" | "kernel/hostname")
}

/// The namespace that a parameter belongs to, with the configuration's word for it; `None` for
/// a parameter of the whole host.
pub(super) fn namespace_of(name: &str) -> Option<(Namespaces, LinkNameSpaceType, &'static str)> {
    let name = name.replace('/', ".");
    // Either of the two separators may be one in the file's path, and the other a letter: a part
    // of nothing but dots (`net/../kernel/…`, `net.//.kernel.…`) would lead to the host's files.
    if name.split('.').any(str::is_empty) {
        return None;
    }
    if name.starts_with("net.") {
        return Some((Namespaces::NETWORK, LinkNameSpaceType::Network, "network"));
    }
    if name.starts_with("fs.mqueue.") || IPC.contains(&name.as_str()) {
        return Some((Namespaces::IPC, LinkNameSpaceType::InterProcessCommunication, "ipc"));
    }
    if name.starts_with("user.") {
        return Some((Namespaces::USER, LinkNameSpaceType::User, "user"));
    }
    if name == "kernel.domainname" {
        return Some((Namespaces::UTS, LinkNameSpaceType::HostNameAndNISDomainName, "uts"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_to_another_folder() {
        let names = [
            "net/../kernel/core_pattern",
            "net.//.kernel.core_pattern",
            "net/./../kernel/panic",
            "fs/mqueue/../../kernel/panic",
            "user//x",
            "net.",
        ];
        for name in names {
            assert!(namespace_of(name).is_none(), "{name}");
        }
        for name in ["net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"] {
            assert!(namespace_of(name).is_some(), "{name}");
        }
    }
}

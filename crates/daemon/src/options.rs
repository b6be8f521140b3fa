//! Every option of dockerd's, as a flag and as a key of the configuration file.
//!
//! This one list decides what is known, what works, what is only accepted, and what the help
//! says.

use std::fmt::Write as _;

/// Where Docker has an option and Wharf does not, how it is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    Works,
    /// Accepted, and without effect: the reason is in the help.
    Accepted,
    /// Refused by name.
    Missing,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    Number,
    Text,
    /// Repeatable on the command line, a list in the file.
    List,
    /// `name=value`, repeatable, on the command line; an object in the file.
    Map,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionRow {
    /// Without the dashes. Empty: only in the file.
    pub(crate) flag: &'static str,
    pub(crate) short: Option<char>,
    /// Its name in the file. Empty: only on the command line.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) support: Support,
    pub(crate) help: &'static str,
}

const fn row(
    flag: &'static str,
    key: &'static str,
    kind: Kind,
    support: Support,
    help: &'static str,
) -> OptionRow {
    OptionRow { flag, short: None, key, kind, support, help }
}

const fn short(short: char, row: OptionRow) -> OptionRow {
    OptionRow { short: Some(short), ..row }
}

/// An option with the same name in both places.
const fn works(name: &'static str, kind: Kind, help: &'static str) -> OptionRow {
    row(name, name, kind, Support::Works, help)
}

const fn accepted(name: &'static str, kind: Kind, help: &'static str) -> OptionRow {
    row(name, name, kind, Support::Accepted, help)
}

const fn missing(name: &'static str, kind: Kind) -> OptionRow {
    row(name, name, kind, Support::Missing, "")
}

use Kind::{Flag, List, Map, Number, Text};

pub(crate) const OPTIONS: &[OptionRow] = &[
    row(
        "add-runtime",
        "runtimes",
        Map,
        Support::Works,
        "Runtime with runc's command line: name=path",
    ),
    works("bip", Text, "Address and network of the default bridge, as in 172.17.0.1/16"),
    short('b', works("bridge", Text, "Name of the default network's bridge")),
    works("cgroup-parent", Text, "Cgroup under which containers' cgroups are made"),
    row(
        "config-file",
        "",
        Text,
        Support::Works,
        "Configuration file (default /etc/wharf/daemon.json)",
    ),
    works("data-root", Text, "Folder of what must survive a reboot (default /var/lib/wharf)"),
    short('D', works("debug", Flag, "Log more, for Wharf's developers")),
    row(
        "default-address-pool",
        "default-address-pools",
        List,
        Support::Works,
        "Addresses of networks that name none: base=172.17.0.0/12,size=20",
    ),
    works("default-cgroupns-mode", Text, "Cgroup namespace of containers: host or private"),
    works("default-ipc-mode", Text, "IPC namespace of containers: private"),
    works("default-runtime", Text, "Runtime of containers (default runc, which is built in)"),
    works("default-shm-size", Text, "Size of /dev/shm in containers (default 64MiB)"),
    row(
        "default-ulimit",
        "default-ulimits",
        Map,
        Support::Works,
        "Limits of containers that name none: nofile=1024:2048",
    ),
    works("dns", List, "Name servers of containers"),
    row("dns-opt", "dns-opts", List, Support::Works, "Resolver options of containers"),
    works("dns-search", List, "Search domains of containers"),
    works("exec-root", Text, "Folder of what is gone after a reboot (default /run/wharf)"),
    short('G', works("group", Text, "Group that may use the unix socket (default root's)")),
    short(
        'H',
        row(
            "host",
            "hosts",
            List,
            Support::Works,
            "Socket to listen on: unix://PATH, tcp://ADDRESS:PORT, fd:// (default unix:///run/wharf/wharf.sock)",
        ),
    ),
    works("http-proxy", Text, "Proxy for HTTP, shown in `info`"),
    works("https-proxy", Text, "Proxy for HTTPS, shown in `info`"),
    works("icc", Flag, "Let containers of the default bridge reach each other (default true)"),
    works("init", Flag, "Run an init in every container that does not say otherwise"),
    works("init-path", Text, "The init's program"),
    works("ip", Text, "Host address that ports are published on (default 0.0.0.0)"),
    works("ip-forward", Flag, "Let the host forward packets (default true)"),
    works("ip-masq", Flag, "Give packets that leave the host the host's address (default true)"),
    row("label", "labels", List, Support::Works, "Labels of the daemon: key=value"),
    accepted("live-restore", Flag, "Containers outlive the daemon in any case"),
    works(
        "log-driver",
        Text,
        "Where containers' output goes: json-file, local, journald, syslog, fluentd or none",
    ),
    works("log-format", Text, "The daemon's own log: text or json"),
    short('l', works("log-level", Text, "The daemon's own log: debug, info, warn, error or fatal")),
    row("log-opt", "log-opts", Map, Support::Works, "Options of the log driver: name=value"),
    works("mtu", Number, "Largest packet on the default bridge (default 1500)"),
    works("no-proxy", Text, "Hosts for which no proxy is used, shown in `info`"),
    short('p', works("pidfile", Text, "File to write the daemon's process id to")),
    works("selinux-enabled", Flag, "Not implemented; false is fine"),
    accepted("shutdown-timeout", Number, "Nothing is stopped with the daemon"),
    accepted("raw-logs", Flag, "Logs have no colours in any case"),
    short('s', works("storage-driver", Text, "How layers are kept: overlay2")),
    accepted("userland-proxy", Flag, "There is no proxy process, and none is needed"),
    row("validate", "", Flag, Support::Works, "Check the configuration and exit"),
    short('v', row("version", "", Flag, Support::Works, "Print the version and exit")),
    short('h', row("help", "", Flag, Support::Works, "Print this text and exit")),
    accepted("max-concurrent-downloads", Number, "There are no registries yet"),
    accepted("max-concurrent-uploads", Number, "There are no registries yet"),
    accepted("max-download-attempts", Number, "There are no registries yet"),
    accepted("network-control-plane-mtu", Number, "There is no swarm mode yet"),
    accepted("iptables", Flag, "Rules are nftables', in a table of their own"),
    accepted("ip6tables", Flag, "Rules are nftables', in a table of their own"),
    accepted("ip-forward-no-drop", Flag, "The host's forwarding policy is left alone in any case"),
    missing("allow-direct-routing", Flag),
    row("authorization-plugin", "authorization-plugins", List, Support::Missing, ""),
    missing("bip6", Text),
    row("cdi-spec-dir", "cdi-spec-dirs", List, Support::Missing, ""),
    missing("containerd", Text),
    missing("containerd-namespace", Text),
    row("containerd-plugins-namespace", "containerd-plugin-namespace", Text, Support::Missing, ""),
    missing("cpu-rt-period", Number),
    missing("cpu-rt-runtime", Number),
    missing("cri-containerd", Flag),
    missing("default-gateway", Text),
    missing("default-gateway-v6", Text),
    row("default-network-opt", "default-network-opts", Map, Support::Missing, ""),
    row("exec-opt", "exec-opts", List, Support::Missing, ""),
    missing("experimental", Flag),
    row("feature", "features", Map, Support::Missing, ""),
    missing("fixed-cidr", Text),
    missing("fixed-cidr-v6", Text),
    row("host-gateway-ip", "host-gateway-ips", List, Support::Missing, ""),
    row("insecure-registry", "insecure-registries", List, Support::Missing, ""),
    missing("ipv6", Flag),
    missing("metrics-addr", Text),
    missing("no-new-privileges", Flag),
    row("node-generic-resource", "node-generic-resources", List, Support::Missing, ""),
    row("registry-mirror", "registry-mirrors", List, Support::Missing, ""),
    missing("rootless", Flag),
    missing("seccomp-profile", Text),
    row("storage-opt", "storage-opts", List, Support::Missing, ""),
    missing("swarm-default-advertise-addr", Text),
    missing("tls", Flag),
    missing("tlscacert", Text),
    missing("tlscert", Text),
    missing("tlskey", Text),
    missing("tlsverify", Flag),
    missing("userland-proxy-path", Text),
    missing("userns-remap", Text),
    row("", "api-cors-header", Text, Support::Missing, ""),
    row("", "builder", Map, Support::Missing, ""),
    row("", "min-api-version", Text, Support::Missing, ""),
    row("", "proxies", Map, Support::Works, "http-proxy, https-proxy and no-proxy in one object"),
];

impl OptionRow {
    /// What identifies the option in [`Values`](crate::values::Values).
    pub(crate) fn name(&self) -> &'static str {
        if self.key.is_empty() { self.flag } else { self.key }
    }
}

pub(crate) fn by_flag(flag: &str) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.flag == flag && !flag.is_empty())
}

pub(crate) fn by_short(short: char) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.short == Some(short))
}

pub(crate) fn by_key(key: &str) -> Option<&'static OptionRow> {
    // Docker takes some lists under the name of one item as well.
    let key = if key == "host-gateway-ip" { "host-gateway-ips" } else { key };
    OPTIONS.iter().find(|row| row.key == key && !key.is_empty())
}

/// The text of `--help`: what works.
pub(crate) fn help() -> String {
    let mut text =
        "Usage:  wharfd [OPTIONS]\n\nThe Wharf container daemon.\n\nOptions:\n".to_owned();
    let rows = OPTIONS.iter().filter(|row| row.support != Support::Missing && !row.flag.is_empty());
    for row in rows {
        let short = row.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let kind = match row.kind {
            Flag => "",
            Number => " int",
            Text => " string",
            List => " list",
            Map => " map",
        };
        let flag = format!("--{}{kind}", row.flag);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {short}{flag:<34}{}", row.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        for (index, row) in OPTIONS.iter().enumerate() {
            let others = &OPTIONS[index + 1..];
            assert!(row.flag.is_empty() || others.iter().all(|other| other.flag != row.flag));
            assert!(row.key.is_empty() || others.iter().all(|other| other.key != row.key));
            assert!(row.short.is_none() || others.iter().all(|other| other.short != row.short));
        }
    }
}

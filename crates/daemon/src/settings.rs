//! What the daemon was told, made sense of.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use docker_server::Reloadable;
use engine::containers::spec::{LogConfig, Ulimit};
use network::{Cidr, Pool};
use tracing::level_filters::LevelFilter;

use crate::host_address::HostAddress;
use crate::logging::Format;
use crate::values::Values;
use crate::{engine_id, proxies};

const DEFAULT_DATA_ROOT: &str = "/var/lib/wharf";
const DEFAULT_EXEC_ROOT: &str = "/run/wharf";
const DEFAULT_SOCKET: &str = "/run/wharf/wharf.sock";
const DEFAULT_SHM_SIZE: u64 = 64 << 20;
const DEFAULT_CGROUP_PARENT: &str = "/wharf";

/// The names of the daemon's own containers' supervisor program.
const SHIM_PROGRAM: &str = "wharf-shim";

/// Everything that the daemon was told.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) engine: engine::Settings,
    pub(crate) hosts: Vec<HostAddress>,
    pub(crate) group: Option<String>,
    pub(crate) pidfile: Option<PathBuf>,
    pub(crate) log_format: Format,
    pub(crate) log_level: LevelFilter,
    pub(crate) debug: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) default_shm_size: u64,
    pub(crate) http_proxy: String,
    pub(crate) https_proxy: String,
    pub(crate) no_proxy: String,
}

impl Settings {
    pub(crate) fn new(values: &Values) -> Result<Self> {
        refuse_unsupported_values(values)?;
        let debug = values.flag("debug").unwrap_or(false);
        Ok(Self {
            engine: engine_settings(values)?,
            hosts: hosts(values)?,
            group: values.text("group").map(str::to_owned),
            pidfile: values.text("pidfile").map(PathBuf::from),
            log_format: log_format(values)?,
            log_level: if debug { LevelFilter::DEBUG } else { log_level(values)? },
            debug,
            labels: labels(values)?,
            default_shm_size: match values.text("default-shm-size") {
                Some(text) => size(text).context("invalid default-shm-size")?,
                None => DEFAULT_SHM_SIZE,
            },
            http_proxy: proxies::show(values, "http-proxy"),
            https_proxy: proxies::show(values, "https-proxy"),
            no_proxy: proxies::show(values, "no-proxy"),
        })
    }
}

impl Settings {
    /// What can be told anew while the daemon runs.
    pub(crate) fn reloadable(&self) -> Reloadable {
        Reloadable {
            debug: self.debug,
            labels: self.labels.clone(),
            default_shm_size: self.default_shm_size,
            runtimes: self.engine.runtimes.clone(),
        }
    }
}

/// Options of which some values work and others do not.
fn refuse_unsupported_values(values: &Values) -> Result<()> {
    let only: [(&str, &[&str]); 3] = [
        ("storage-driver", &["overlay2", "overlayfs"]),
        ("default-ipc-mode", &["private"]),
        ("default-cgroupns-mode", &[if has_unified_cgroups() { "private" } else { "host" }]),
    ];
    for (key, supported) in only {
        if let Some(value) = values.text(key)
            && !supported.contains(&value)
        {
            bail!(
                "{key}={value} is not implemented by Wharf yet: it is {}",
                supported.join(" or ")
            );
        }
    }
    if values.flag("selinux-enabled") == Some(true) {
        bail!("selinux-enabled is not implemented by Wharf yet");
    }
    Ok(())
}

fn has_unified_cgroups() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn engine_settings(values: &Values) -> Result<engine::Settings> {
    let data_root = absolute(values.text("data-root").unwrap_or(DEFAULT_DATA_ROOT))?;
    let exec_root = absolute(values.text("exec-root").unwrap_or(DEFAULT_EXEC_ROOT))?;
    let instance = engine_id::instance(&data_root, &exec_root);
    Ok(engine::Settings {
        network: network_settings(values, instance)?,
        shim_program: shim_program()?,
        dns: dns(values)?,
        dns_search: values.list("dns-search").to_vec(),
        dns_options: values.list("dns-opts").to_vec(),
        default_ulimits: ulimits(values)?,
        default_log: log(values)?,
        default_init: values.flag("init").unwrap_or(false),
        init_program: values.text("init-path").map(absolute).transpose()?,
        cgroup_parent: values.text("cgroup-parent").unwrap_or(DEFAULT_CGROUP_PARENT).to_owned(),
        runtimes: crate::runtimes::read(values)?,
        data_root,
        exec_root,
    })
}

fn absolute(text: &str) -> Result<PathBuf> {
    std::path::absolute(text).with_context(|| format!("cannot find {text}"))
}

/// The program that supervises a container stands beside our own.
fn shim_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find out where wharfd is")?;
    Ok(own.with_file_name(SHIM_PROGRAM))
}

fn network_settings(values: &Values, instance: String) -> Result<network::Settings> {
    if values.text("bridge").is_some() && values.text("bip").is_some() {
        bail!("You specified -b & --bip, mutually exclusive options. Please specify only one");
    }
    let mut settings = network::Settings::new(instance);
    settings.bridge = values.text("bridge").map(str::to_owned);
    if settings.bridge.as_deref() == Some("none") {
        bail!("bridge=none is not implemented by Wharf yet");
    }
    if let Some(text) = values.text("bip") {
        settings.bip = Some(text.parse::<Cidr>().context("invalid bip")?);
    }
    let pools = values.list("default-address-pools");
    if !pools.is_empty() {
        settings.pools = pools.iter().map(|text| pool(text)).collect::<Result<_>>()?;
    }
    settings.ip_forward = values.flag("ip-forward").unwrap_or(true);
    settings.masquerade = values.flag("ip-masq").unwrap_or(true);
    settings.inter_container = values.flag("icc").unwrap_or(true);
    if let Some(mtu) = values.number("mtu").filter(|mtu| *mtu != 0) {
        settings.mtu =
            u32::try_from(mtu).ok().with_context(|| format!("invalid default MTU: {mtu}"))?;
    }
    settings.default_host_ip = match values.text("ip") {
        Some(text) => text.parse().with_context(|| format!("invalid ip address: {text}"))?,
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Ok(settings)
}

/// `base=172.17.0.0/12,size=20`
fn pool(text: &str) -> Result<Pool> {
    let mut base = None;
    let mut size = None;
    for part in text.split(',') {
        match part.trim().split_once('=') {
            Some(("base", value)) => base = value.parse::<Cidr>().ok(),
            Some(("size", value)) => size = value.parse::<u8>().ok(),
            _ => bail!(
                "invalid default address pool {text:?}: it looks like base=172.17.0.0/12,size=20"
            ),
        }
    }
    match (base, size) {
        (Some(base), Some(size)) if size >= base.prefix() && size <= 32 => {
            Ok(Pool { base: base.network(), size })
        }
        _ => {
            bail!("invalid default address pool {text:?}: it looks like base=172.17.0.0/12,size=20")
        }
    }
}

fn dns(values: &Values) -> Result<Vec<IpAddr>> {
    let servers = values.list("dns").iter();
    servers
        .map(|text| text.trim().parse().with_context(|| format!("{text} is not an ip address")))
        .collect()
}

/// `1024` or `1024:2048`
fn ulimits(values: &Values) -> Result<BTreeMap<String, Ulimit>> {
    let map = values.map("default-ulimits");
    map.into_iter()
        .map(|(name, text)| {
            let (soft, hard) = text.split_once(':').unwrap_or((&text, &text));
            let number = |text: &str| {
                text.parse::<i64>().with_context(|| format!("invalid ulimit {name}={text}"))
            };
            let limit = Ulimit { soft: number(soft)?, hard: number(hard)? };
            if limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1) {
                bail!(
                    "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                    limit.soft,
                    limit.hard
                );
            }
            Ok((name.clone(), limit))
        })
        .collect()
}

fn log(values: &Values) -> Result<LogConfig> {
    let driver = values.text("log-driver").unwrap_or("json-file").to_owned();
    let options = values.map("log-opts");
    if let Err(reason) = engine::validate_log_options(&driver, &options) {
        bail!("failed to set log opts: {reason}");
    }
    Ok(LogConfig { driver, options })
}

fn labels(values: &Values) -> Result<Vec<String>> {
    let labels = values.list("labels");
    if let Some(label) = labels.iter().find(|label| !label.contains('=')) {
        bail!("bad attribute format: {label}");
    }
    Ok(labels.to_vec())
}

fn hosts(values: &Values) -> Result<Vec<HostAddress>> {
    let hosts = values.list("hosts");
    if hosts.is_empty() {
        return Ok(vec![HostAddress::Unix(DEFAULT_SOCKET.into())]);
    }
    hosts.iter().map(|text| Ok(text.parse::<HostAddress>()?)).collect()
}

fn log_format(values: &Values) -> Result<Format> {
    match values.text("log-format").unwrap_or("text") {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        other => bail!("invalid log format: {other}"),
    }
}

fn log_level(values: &Values) -> Result<LevelFilter> {
    match values.text("log-level").unwrap_or("info") {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" | "warning" => Ok(LevelFilter::WARN),
        "error" | "fatal" => Ok(LevelFilter::ERROR),
        other => bail!("invalid logging level: {other}"),
    }
}

/// `64m`, `1GiB`, `1024`
fn size(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(lower.len());
    let shift = match lower[digits..].trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => bail!("invalid size: '{text}'"),
    };
    let number: u64 = lower[..digits].parse().with_context(|| format!("invalid size: '{text}'"))?;
    number.checked_mul(1 << shift).with_context(|| format!("invalid size: '{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::{Invocation, parse};

    fn settings(line: &str) -> Result<Settings> {
        let arguments = line.split_whitespace().map(str::to_owned);
        match parse(arguments)? {
            Invocation::Run(run) => Settings::new(&run.values),
            other => bail!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(line: &str, words: &str) {
        assert_eq!(format!("{:#}", settings(line).unwrap_err()), words);
    }

    #[test]
    fn a_daemon_that_is_told_nothing_has_defaults() {
        let settings = settings("").unwrap();
        assert_eq!(settings.hosts, [HostAddress::Unix(DEFAULT_SOCKET.into())]);
        assert_eq!(settings.engine.data_root, PathBuf::from(DEFAULT_DATA_ROOT));
        assert_eq!(settings.default_shm_size, 64 << 20);
        assert_eq!(settings.log_level, LevelFilter::INFO);
    }

    #[test]
    fn what_it_is_told_arrives() {
        let settings = settings(
            "--data-root /a --exec-root /b -D --bip 10.9.0.1/24 --mtu 1400 --icc=false \
             --default-ulimit nofile=1:2 --default-shm-size 1g --label a=b --dns 1.1.1.1 \
             --default-address-pool base=10.0.0.0/8,size=24 --log-opt max-size=1m",
        )
        .unwrap();
        assert_eq!(settings.engine.network.bip.unwrap().to_string(), "10.9.0.1/24");
        assert!(!settings.engine.network.inter_container);
        assert_eq!(settings.engine.default_ulimits["nofile"], Ulimit { soft: 1, hard: 2 });
        assert_eq!(settings.default_shm_size, 1 << 30);
        assert_eq!(settings.log_level, LevelFilter::DEBUG);
        assert_eq!(settings.engine.default_log.options["max-size"], "1m");
    }

    #[test]
    fn nonsense_is_refused() {
        refused("--bip x", "invalid bip: invalid CIDR address: x");
        refused("--label x", "bad attribute format: x");
        refused("-l loud", "invalid logging level: loud");
        refused(
            "-b br0 --bip 10.0.0.1/8",
            "You specified -b & --bip, mutually exclusive options. Please specify only one",
        );
        refused(
            "--log-driver nope",
            "failed to set log opts: error looking up logging plugin nope: \
             plugin \"nope\" not found",
        );
        refused("--dns x", "x is not an ip address: invalid IP address syntax");
    }
}

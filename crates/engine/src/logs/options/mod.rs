//! What a user may say of a container's log, and what follows from it for the shim.
//!
//! Options are checked in two steps, as Docker does: [`validate`] when a container is made, and
//! [`settings`], which also looks at the container and the host, when it is started. Errors are
//! Docker's, to the letter.
//!
//! One default is ours: a log in files is bounded, whichever driver writes it. Docker's
//! `json-file` grows until the disk is full. `max-size=-1` is without a bound.

mod about;
mod address;
mod go;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shim::protocol::{LogFiles, LogPeer, LogSettings, RemoteLog, SyslogFormat};

pub(crate) use about::About;

use about::DEFAULT_TAG;

type Options = BTreeMap<String, String>;

/// The drivers that there are, beside `none`.
pub const DRIVERS: [&str; 5] = ["fluentd", "journald", "json-file", "local", "syslog"];

/// The bound of a log in files that has no other: bytes of a file...
const DEFAULT_FILE_BYTES: u64 = 20 << 20;

/// ...and files.
const DEFAULT_FILES: u32 = 5;

/// What waits at most for a peer if the user has not said.
const DEFAULT_QUEUE_BYTES: u64 = 1 << 20;

/// The largest queue. It is in the shim's memory.
const QUEUE_BYTES_MAX: u64 = 1 << 30;

/// Docker counts entries in `fluentd-buffer-limit`, however long they are; memory is counted in
/// bytes. An entry is taken for so many, and all together for no more than this.
const FLUENTD_ENTRY_BYTES: u64 = 1 << 10;
const FLUENTD_QUEUE_BYTES_MAX: u64 = 16 << 20;

/// Where journald listens.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Docker's pause before fluentd is tried again, and how often.
const FLUENTD_RETRY_WAIT: Duration = Duration::from_secs(1);
const FLUENTD_RETRIES_MAX: u32 = i32::MAX as u32;

/// The limits of `fluentd-async-reconnect-interval`.
const RECONNECT_MIN: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// What every driver takes.
const COMMON: &[&str] = &[
    "mode",
    "max-buffer-size",
    "cache-disabled",
    "cache-max-file",
    "cache-max-size",
    "cache-compress",
];

/// What is logged along.
const ATTRIBUTES: &[&str] = &["env", "env-regex", "labels", "labels-regex", "tag"];

const FILES: &[&str] = &["max-file", "max-size", "compress"];

const SYSLOG: &[&str] = &[
    "syslog-address",
    "syslog-facility",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
    "syslog-format",
];

const FLUENTD: &[&str] = &[
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-request-ack",
    "fluentd-retry-wait",
    "fluentd-sub-second-precision",
    "fluentd-write-timeout",
    "fluentd-read-timeout",
];

/// Syslog's facilities, by number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

const FACILITY_DAEMON: u8 = 3;

/// Whether an option of the daemon's holds for containers with any driver.
pub fn is_about_copies(name: &str) -> bool {
    name.starts_with("cache-") && COMMON.contains(&name)
}

/// How much is kept of a log with such options, in words; nothing if no file is written.
pub fn bound(driver: &str, options: &Options) -> Option<String> {
    let prefix = match driver {
        "none" => return None,
        "json-file" | "local" => "",
        _ => "cache-",
    };
    let option = |name: &str| options.get(&format!("{prefix}{name}")).map(String::as_str);
    let size = option("max-size");
    if size == Some("-1") {
        return Some("none".to_owned());
    }
    let default_files = if driver == "json-file" && size.is_some() { 1 } else { DEFAULT_FILES };
    let files = option("max-file").map_or_else(|| default_files.to_string(), str::to_owned);
    let default_size = format!("{}MiB", DEFAULT_FILE_BYTES >> 20);
    Some(format!("{} x {files}", size.unwrap_or(&default_size)))
}

/// The largest size of a file, as the kernel counts.
const SIZE_MAX: u64 = i64::MAX as u64;

/// Checks what can be checked without a container.
pub fn validate(driver: &str, options: &Options) -> Result<(), String> {
    if driver == "none" {
        return Ok(());
    }
    let option = |name: &str| options.get(name).map(String::as_str);
    let mode = option("mode").unwrap_or_default();
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(format!("logger: logging mode not supported: {mode}"));
    }
    if let Some(size) = option("max-buffer-size") {
        if mode != "non-blocking" {
            return Err("logger: max-buffer-size option is only supported with \
                        'mode=non-blocking'"
                .to_owned());
        }
        go::binary_size(size)
            .map_err(|error| format!("error parsing option max-buffer-size: {error}"))?;
    }
    if let Some(text) = option("cache-disabled").filter(|text| !text.is_empty()) {
        go::boolean(text)
            .map_err(|_| format!("invalid value for option cache-disabled: {text}"))?;
    }
    if !DRIVERS.contains(&driver) {
        return Err(format!(
            "error looking up logging plugin {driver}: plugin \"{driver}\" not found"
        ));
    }
    refuse_unknown(driver, options)?;
    match driver {
        "syslog" => {
            address::syslog(option("syslog-address").unwrap_or_default())?;
            facility(options)?;
            syslog_format(options).map(drop)
        }
        "fluentd" => Fluentd::parse(options).map(drop),
        _ => Ok(()),
    }
}

fn refuse_unknown(driver: &str, options: &Options) -> Result<(), String> {
    let known: [&[&str]; 2] = match driver {
        "json-file" => [FILES, ATTRIBUTES],
        "local" => [FILES, &[]],
        "syslog" => [SYSLOG, ATTRIBUTES],
        "fluentd" => [FLUENTD, ATTRIBUTES],
        _ => [&[], ATTRIBUTES],
    };
    let is_known =
        |name: &str| COMMON.contains(&name) || known.iter().any(|names| names.contains(&name));
    match options.keys().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) if driver == "local" => {
            Err(format!("unknown log opt '{name}' for log driver local"))
        }
        Some(name) => Err(format!("unknown log opt '{name}' for {driver} log driver")),
    }
}

/// Where a container's logs are on disk.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    folder: PathBuf,
    id: String,
}

impl Paths {
    pub(crate) fn new(container_folder: &Path, id: &str) -> Self {
        Self { folder: container_folder.to_owned(), id: id.to_owned() }
    }

    pub(crate) fn json_file(&self) -> PathBuf {
        self.folder.join(format!("{}-json.log", self.id))
    }

    pub(crate) fn local(&self) -> PathBuf {
        self.folder.join("local-logs/container.log")
    }

    /// The copy of a log that somebody else keeps.
    pub(crate) fn copy(&self) -> PathBuf {
        self.folder.join("local-logs/container-cached.log")
    }
}

/// What the shim has to do for a container.
pub(crate) fn settings(
    driver: &str,
    options: &Options,
    about: &About<'_>,
    paths: &Paths,
) -> Result<LogSettings, String> {
    let remote = |peer: LogPeer| remote(options, peer, paths);
    match driver {
        "none" => Ok(LogSettings::None),
        "local" => local_files(options, "", paths.local()).map(LogSettings::Local),
        "journald" => remote(journald(options, about)?),
        "syslog" => remote(syslog(options, about)?),
        "fluentd" => Fluentd::parse(options)?.settings(options, about, paths),
        _ => json_file(options, about, paths.json_file()),
    }
}

fn json_file(options: &Options, about: &About<'_>, path: PathBuf) -> Result<LogSettings, String> {
    let given_size = options.get("max-size").map(String::as_str);
    let size_max = match given_size {
        None => Some(DEFAULT_FILE_BYTES),
        Some("-1") => None,
        Some(text) => match go::decimal_size(text)? {
            size @ 1..=SIZE_MAX => Some(size),
            _ => return Err("max-size must be a positive number".to_owned()),
        },
    };
    let files_max = match options.get("max-file").map(|text| go::integer(text)).transpose()? {
        // Whoever says how large a file may be, but not how many there are, has one, as in Docker.
        None => {
            if given_size.is_some() {
                1
            } else {
                DEFAULT_FILES
            }
        }
        Some(..=0) => return Err("max-file cannot be less than 1".to_owned()),
        // There will never be as many.
        Some(number) => u32::try_from(number).unwrap_or(u32::MAX),
    };
    let compress = options.get("compress").map(|text| go::boolean(text)).transpose()?;
    let compress = compress.unwrap_or(false);
    if compress && (files_max == 1 || size_max.is_none()) {
        return Err("compress cannot be true when max-file is less than 2 or max-size is not set"
            .to_owned());
    }
    let mut attributes = about.attributes(options)?;
    let tag = about.tag(options, "")?;
    if !tag.is_empty() {
        attributes.insert("tag".to_owned(), tag);
    }
    let attributes = attributes.into_iter().collect();
    Ok(LogSettings::JsonFile { path, size_max, files_max, compress, attributes })
}

/// The files of `local`, or of a copy, whose options have a prefix.
fn local_files(options: &Options, prefix: &str, path: PathBuf) -> Result<LogFiles, String> {
    let option = |name: &str| options.get(&format!("{prefix}{name}")).map(String::as_str);
    let size_max = match option("max-size") {
        None => Some(DEFAULT_FILE_BYTES),
        Some("-1") => None,
        Some(text) => {
            let size = go::decimal_size(text)
                .map_err(|error| format!("invalid value for max-size: {text}: {error}"))?;
            Some(size)
        }
    };
    let files_max = match option("max-file") {
        None => i64::from(DEFAULT_FILES),
        Some(text) => go::integer(text)
            .map_err(|error| format!("invalid value for max-file: {text}: {error}"))?,
    };
    let files_max =
        u32::try_from(files_max).map_err(|_| "max-file must not be negative".to_owned())?;
    let compress = match option("compress") {
        None => true,
        Some(text) => go::boolean(text)
            .map_err(|error| format!("error reading compress log option: {error}"))?,
    };
    if compress && files_max <= 1 {
        return Err("compression cannot be enabled when max file count is 1".to_owned());
    }
    Ok(LogFiles { path, size_max, files_max: files_max.max(1), compress })
}

fn remote(options: &Options, peer: LogPeer, paths: &Paths) -> Result<LogSettings, String> {
    let option = |name: &str| options.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let has_copy = match option("cache-disabled") {
        Some(text) => !go::boolean(text)?,
        None => true,
    };
    let copy = has_copy.then(|| local_files(options, "cache-", paths.copy())).transpose()?;
    let queue = option("max-buffer-size").map(go::binary_size).transpose()?;
    Ok(LogSettings::Remote(RemoteLog {
        peer,
        copy,
        queue_bytes_max: queue.unwrap_or(DEFAULT_QUEUE_BYTES).min(QUEUE_BYTES_MAX),
        is_lossy: option("mode") == Some("non-blocking"),
        patience: None,
        is_optional: false,
    }))
}

fn journald(options: &Options, about: &About<'_>) -> Result<LogPeer, String> {
    let tag = about.tag(options, DEFAULT_TAG)?;
    let mut fields = vec![
        ("CONTAINER_ID".to_owned(), about.short_id().to_owned()),
        ("CONTAINER_ID_FULL".to_owned(), about.id.to_owned()),
        ("CONTAINER_NAME".to_owned(), about.name.to_owned()),
        ("CONTAINER_TAG".to_owned(), tag.clone()),
        ("IMAGE_NAME".to_owned(), about.image_name.to_owned()),
        ("SYSLOG_IDENTIFIER".to_owned(), tag),
    ];
    let attributes = about.attributes(options)?.into_iter();
    fields.extend(attributes.map(|(name, value)| (journal_name(&name), value)));
    Ok(LogPeer::Journald { socket: JOURNAL_SOCKET.into(), fields })
}

/// A field's name has capitals, digits and underscores, and does not begin with one of these.
fn journal_name(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        'a'..='z' => letter.to_ascii_uppercase(),
        'A'..='Z' | '0'..='9' => letter,
        _ => '_',
    });
    letters.skip_while(|letter| *letter == '_').collect()
}

fn syslog(options: &Options, about: &About<'_>) -> Result<LogPeer, String> {
    let address = options.get("syslog-address").map(String::as_str).unwrap_or_default();
    Ok(LogPeer::Syslog {
        address: address::syslog(address)?.resolve()?,
        facility: facility(options)?,
        format: syslog_format(options)?,
        hostname: about.hostname.to_owned(),
        tag: about.tag(options, DEFAULT_TAG)?,
    })
}

fn facility(options: &Options) -> Result<u8, String> {
    let text = options.get("syslog-facility").map(String::as_str).unwrap_or_default();
    if text.is_empty() {
        return Ok(FACILITY_DAEMON);
    }
    let named = FACILITIES.iter().position(|name| *name == text);
    let number = named.and_then(|number| u8::try_from(number).ok()).or_else(|| text.parse().ok());
    let number = number.filter(|number| usize::from(*number) < FACILITIES.len());
    number.ok_or_else(|| "invalid syslog facility".to_owned())
}

fn syslog_format(options: &Options) -> Result<SyslogFormat, String> {
    match options.get("syslog-format").map(String::as_str).unwrap_or_default() {
        "" => Ok(SyslogFormat::Local),
        "rfc3164" => Ok(SyslogFormat::Rfc3164),
        "rfc5424" => Ok(SyslogFormat::Rfc5424),
        "rfc5424micro" => Ok(SyslogFormat::Rfc5424Micro),
        _ => Err("Invalid syslog format".to_owned()),
    }
}

/// The options of the driver `fluentd`.
struct Fluentd {
    address: address::Address,
    queue_entries: u64,
    retry_wait: Duration,
    retries_max: u32,
    is_async: bool,
    has_subsecond_time: bool,
    wants_acknowledgement: bool,
    patience: Option<Duration>,
}

impl Fluentd {
    fn parse(options: &Options) -> Result<Self, String> {
        let option = |name: &str| {
            let text = options.get(&format!("fluentd-{name}")).map(String::as_str);
            text.filter(|text| !text.is_empty())
        };
        let flag = |name: &str| option(name).map_or(Ok(false), go::boolean);
        let limit = |name: &str| -> Result<Option<Duration>, String> {
            let given = option(name).map(|text| {
                go::duration(text).map_err(|error| {
                    format!("invalid value for fluentd-{name}: value must be a duration: {error}")
                })
            });
            Ok(given.transpose()?.filter(|duration| !duration.is_zero()))
        };
        let address = address::fluentd(option("address").unwrap_or_default())?;
        let queue_entries = option("buffer-limit").map(go::binary_size).transpose()?;
        let retry_wait = option("retry-wait").map(go::duration).transpose()?;
        let retries_max = option("max-retries").map(go::unsigned).transpose()?;
        if retries_max.is_some_and(|number| number > FLUENTD_RETRIES_MAX) {
            return Err("invalid fluentd-max-retries: value out of range".to_owned());
        }
        let is_async = flag("async")?;
        let interval = reconnect_interval(option("async-reconnect-interval"))?;
        let has_subsecond_time = flag("sub-second-precision")?;
        let wants_acknowledgement = flag("request-ack")?;
        let patience = limit("write-timeout")?;
        limit("read-timeout")?;
        Ok(Self {
            address,
            queue_entries: queue_entries.unwrap_or(DEFAULT_QUEUE_BYTES),
            retry_wait: interval.or(retry_wait).unwrap_or(FLUENTD_RETRY_WAIT),
            retries_max: retries_max.unwrap_or(FLUENTD_RETRIES_MAX),
            is_async,
            has_subsecond_time,
            wants_acknowledgement,
            patience,
        })
    }

    fn settings(
        self,
        options: &Options,
        about: &About<'_>,
        paths: &Paths,
    ) -> Result<LogSettings, String> {
        let mut fields = vec![
            ("container_id".to_owned(), about.id.to_owned()),
            ("container_name".to_owned(), format!("/{}", about.name)),
        ];
        fields.extend(about.attributes(options)?);
        let peer = LogPeer::Fluentd {
            address: self.address.resolve()?,
            tag: about.tag(options, DEFAULT_TAG)?,
            fields,
            has_subsecond_time: self.has_subsecond_time,
            wants_acknowledgement: self.wants_acknowledgement,
            retry_wait: self.retry_wait,
            retries_max: self.retries_max,
        };
        let mut settings = remote(options, peer, paths)?;
        if let LogSettings::Remote(remote) = &mut settings {
            remote.patience = self.patience;
            if self.is_async {
                remote.is_lossy = true;
                remote.is_optional = true;
                let bytes = self.queue_entries.saturating_mul(FLUENTD_ENTRY_BYTES);
                remote.queue_bytes_max = bytes.min(FLUENTD_QUEUE_BYTES_MAX);
            }
        }
        Ok(settings)
    }
}

fn reconnect_interval(given: Option<&str>) -> Result<Option<Duration>, String> {
    const NAME: &str = "fluentd-async-reconnect-interval";
    let Some(text) = given else { return Ok(None) };
    let interval =
        go::duration(text).map_err(|error| format!("invalid value for {NAME}: {error}"))?;
    if interval.is_zero() {
        return Ok(None);
    }
    if !(RECONNECT_MIN..=RECONNECT_MAX).contains(&interval) {
        return Err(format!(
            "invalid value for {NAME}: value ({text:?}) must be between 100ms and 10s"
        ));
    }
    Ok(Some(interval))
}

#[cfg(test)]
mod tests;

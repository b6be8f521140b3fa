//! Where a log's peer listens, as its option says it.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use shim::protocol::LogAddress;

const SYSLOG_PORT: u16 = 514;
const FLUENTD_PORT: u16 = 24224;
const FLUENTD_HOST: &str = "127.0.0.1";

/// An address that may have to be looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Udp(String, u16),
    Unix(PathBuf),
    UnixDatagram(PathBuf),
    HostSyslog,
}

impl Address {
    /// Looks the host up, which may take a moment.
    pub(super) fn resolve(&self) -> Result<LogAddress, String> {
        Ok(match self {
            Self::Tcp(host, port) => LogAddress::Tcp(look_up("tcp", host, *port)?),
            Self::Udp(host, port) => LogAddress::Udp(look_up("udp", host, *port)?),
            Self::Unix(path) => LogAddress::Unix(path.clone()),
            Self::UnixDatagram(path) => LogAddress::UnixDatagram(path.clone()),
            Self::HostSyslog => LogAddress::HostSyslog,
        })
    }
}

fn look_up(network: &str, host: &str, port: u16) -> Result<SocketAddr, String> {
    let failed = || format!("dial {network}: lookup {host}: no such host");
    let mut found = (host, port).to_socket_addrs().map_err(|_| failed())?;
    found.next().ok_or_else(failed)
}

/// The parts of `scheme://host:port/path`.
struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
}

fn parse(text: &str) -> Result<Url<'_>, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        if text.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err(format!("parse {text:?}: first path segment in URL cannot contain colon"));
        }
        return Ok(Url { scheme: "", host: "", port: None, path: text });
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // The colons of an IPv6 address are inside brackets.
    let after_host = authority.find(']').unwrap_or(0);
    let (host, port) = match authority[after_host..].rfind(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_host + colon);
            (host, Some(&port[1..]))
        }
        None => (authority, None),
    };
    if let Some(port) = port
        && !port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!("parse {text:?}: invalid port \":{port}\" after host"));
    }
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(Url { scheme, host, port: port.filter(|port| !port.is_empty()), path })
}

/// The option `syslog-address`.
pub(super) fn syslog(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Ok(Address::HostSyslog);
    }
    let url = parse(text)?;
    let port = || match url.port {
        Some(port) => port.parse().map_err(|_| format!("address {port}: invalid port")),
        None => Ok(SYSLOG_PORT),
    };
    match url.scheme {
        "unix" | "unixgram" => {
            std::fs::metadata(url.path)
                .map_err(|_| format!("stat {}: no such file or directory", url.path))?;
            let path = PathBuf::from(url.path);
            Ok(if url.scheme == "unix" { Address::Unix(path) } else { Address::UnixDatagram(path) })
        }
        "tcp" => Ok(Address::Tcp(url.host.to_owned(), port()?)),
        "udp" => Ok(Address::Udp(url.host.to_owned(), port()?)),
        "tcp+tls" => Err(format!("syslog-address={text} is not implemented by Wharf yet: no TLS")),
        scheme => Err(format!("unsupported scheme: '{scheme}'")),
    }
}

/// The option `fluentd-address`.
pub(super) fn fluentd(text: &str) -> Result<Address, String> {
    parse_fluentd(text).map_err(|reason| format!("invalid fluentd-address ({text}): {reason}"))
}

fn parse_fluentd(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Ok(Address::Tcp(FLUENTD_HOST.to_owned(), FLUENTD_PORT));
    }
    let completed = if text.contains("://") { text.to_owned() } else { format!("tcp://{text}") };
    let url = parse(&completed)?;
    match url.scheme {
        "unix" if url.path.trim_start_matches('/').is_empty() => Err("path is empty".to_owned()),
        "unix" => Ok(Address::Unix(PathBuf::from(url.path))),
        "tcp" if !url.path.is_empty() => Err("should not contain a path element".to_owned()),
        "tcp" => {
            let host = if url.host.is_empty() { FLUENTD_HOST } else { url.host };
            let port = match url.port {
                Some(port) => port.parse().map_err(|_| {
                    format!("invalid port: strconv.ParseUint: parsing {port:?}: value out of range")
                })?,
                None => FLUENTD_PORT,
            };
            Ok(Address::Tcp(host.to_owned(), port))
        }
        "tls" => Err("TLS is not implemented by Wharf yet".to_owned()),
        scheme => Err(format!("unsupported scheme: '{scheme}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_addresses() {
        let tcp = |host: &str, port| Ok(Address::Tcp(host.to_owned(), port));
        assert_eq!(syslog(""), Ok(Address::HostSyslog));
        assert_eq!(syslog("tcp://host"), tcp("host", 514));
        assert_eq!(syslog("tcp://[::1]:7"), tcp("::1", 7));
        assert_eq!(syslog("udp://1.2.3.4:5"), Ok(Address::Udp("1.2.3.4".to_owned(), 5)));
        assert_eq!(syslog("foo://x"), Err("unsupported scheme: 'foo'".to_owned()));
        assert_eq!(syslog("unix:///nope"), Err("stat /nope: no such file or directory".to_owned()));
        assert!(syslog("tcp+tls://x").unwrap_err().contains("tcp+tls"));
    }

    #[test]
    fn fluentd_addresses() {
        let tcp = |host: &str, port| Ok(Address::Tcp(host.to_owned(), port));
        assert_eq!(fluentd(""), tcp("127.0.0.1", 24224));
        assert_eq!(fluentd("host"), tcp("host", 24224));
        assert_eq!(fluentd("host:1"), tcp("host", 1));
        assert_eq!(fluentd("unix:///run/x"), Ok(Address::Unix("/run/x".into())));
        for (text, reason) in [
            ("foo://x", "unsupported scheme: 'foo'"),
            ("tcp://127.0.0.1:1/x", "should not contain a path element"),
            ("127.0.0.1:x", "parse \"tcp://127.0.0.1:x\": invalid port \":x\" after host"),
            ("unix:///", "path is empty"),
        ] {
            assert_eq!(fluentd(text), Err(format!("invalid fluentd-address ({text}): {reason}")));
        }
    }
}

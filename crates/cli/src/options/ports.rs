//! `-p` and `--expose`: which ports of a container can be reached, and where.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::numbers;

/// A place on the host; empty where the daemon may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) host_address: String,
    /// A port, or a range to choose from.
    pub(crate) host_port: String,
}

/// Ports of the container (`80/tcp`) with their places on the host.
pub(crate) type Bindings = BTreeMap<String, Vec<Binding>>;

/// A port or a range of them, as `8000-8010`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
}

/// What `-p` publishes, each value being of one of Docker's many forms.
pub(crate) fn parse_published(values: &[String]) -> Result<Bindings, String> {
    let mut bindings = Bindings::new();
    for value in values {
        for (port, binding) in parse_one(&standard_notation(value)?)? {
            bindings.entry(port).or_default().push(binding);
        }
    }
    Ok(bindings)
}

/// The ports that one `--expose` stands for.
pub(crate) fn parse_exposed(value: &str) -> Result<Vec<String>, String> {
    if value.contains(':') {
        return Err(format!("invalid port format for --expose: {value}"));
    }
    let (protocol, ports) = split_protocol(value);
    let range = parse_range(ports)
        .map_err(|error| format!("invalid range format for --expose: {value}, error: {error}"))?;
    Ok((range.first..=range.last).map(|port| format!("{port}/{protocol}")).collect())
}

/// Turns `published=8080,target=80,protocol=udp` into `8080:80/udp`.
fn standard_notation(value: &str) -> Result<String, String> {
    if !value.contains('=') {
        return Ok(value.to_owned());
    }
    let mut parameters = BTreeMap::from([("protocol", "tcp")]);
    for parameter in value.split(',') {
        let (key, value) =
            parameter.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                format!("invalid publish opts format (should be name=value but got '{parameter}')")
            })?;
        parameters.insert(key, value);
    }
    let get = |key| parameters.get(key).copied().unwrap_or_default();
    Ok(format!("{}:{}/{}", get("published"), get("target"), get("protocol")))
}

/// Reads `[[ADDRESS:]HOST_PORTS:]PORTS[/PROTOCOL]`.
fn parse_one(value: &str) -> Result<Vec<(String, Binding)>, String> {
    let (address, host_ports, ports) = split_parts(value);
    let (protocol, ports) = split_protocol(ports);
    let host_address = parse_address(address)?;
    if ports.is_empty() {
        return Err(format!("no port specified: {value}<empty>"));
    }
    let range = parse_range(ports).map_err(|_| format!("invalid containerPort: {ports}"))?;
    let host_range = match host_ports {
        "" => None,
        host_ports => {
            Some(parse_range(host_ports).map_err(|_| format!("invalid hostPort: {host_ports}"))?)
        }
    };
    let is_range = range.first != range.last;
    if let Some(host_range) = host_range
        && is_range
        && host_range.last - host_range.first != range.last - range.first
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {ports} and {host_ports}"
        ));
    }
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let bindings = (0..=range.last - range.first).map(|offset| {
        let host_port = match host_range {
            None => String::new(),
            // One port of the container takes any of several on the host.
            Some(host) if !is_range && host.first != host.last => {
                format!("{}-{}", host.first, host.last)
            }
            Some(host) => (host.first + offset).to_string(),
        };
        let port = format!("{}/{protocol}", range.first + offset);
        (port, Binding { host_address: host_address.clone(), host_port })
    });
    Ok(bindings.collect())
}

/// The address, the host's ports and the container's.
fn split_parts(value: &str) -> (&str, &str, &str) {
    let Some((rest, ports)) = value.rsplit_once(':') else { return ("", "", value) };
    match rest.rsplit_once(':') {
        None => ("", rest, ports),
        Some((address, host_ports)) => (address, host_ports, ports),
    }
}

/// The protocol and the ports of `PORTS[/PROTOCOL]`.
fn split_protocol(value: &str) -> (&str, &str) {
    let mut parts = value.split('/');
    let ports = parts.next().unwrap_or_default();
    if ports.is_empty() {
        return ("", "");
    }
    let protocol = parts.next().filter(|protocol| !protocol.is_empty());
    (protocol.unwrap_or("tcp"), ports)
}

fn parse_address(address: &str) -> Result<String, String> {
    let bare = match address.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| {
            format!("invalid IP address {address}: address {address}:: missing ']' in address")
        })?,
        None => address,
    };
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {bare}"));
    }
    Ok(bare.to_owned())
}

fn parse_range(ports: &str) -> Result<Range, String> {
    if ports.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let mut parts = ports.split('-');
    let first = numbers::parse_port(parts.next().unwrap_or_default())?;
    let last = parts.next().map(numbers::parse_port).transpose()?.unwrap_or(first);
    if last < first {
        return Err(format!("invalid range specified for port: {ports}"));
    }
    Ok(Range { first, last })
}

#[cfg(test)]
mod tests {
    use super::{parse_exposed, parse_published};

    #[track_caller]
    fn check(value: &str, expected: &[&str]) {
        let bindings = parse_published(&[value.to_owned()]).unwrap();
        let mut shown: Vec<_> = bindings
            .iter()
            .flat_map(|(port, bindings)| {
                bindings.iter().map(move |binding| {
                    format!("{}|{}|{port}", binding.host_address, binding.host_port)
                })
            })
            .collect();
        shown.sort();
        assert_eq!(shown, expected, "{value}");
    }

    #[test]
    fn every_form_of_publishing_is_understood() {
        check("80", &["||80/tcp"]);
        check("8080:80", &["|8080|80/tcp"]);
        check("8080:80/UDP", &["|8080|80/udp"]);
        check("127.0.0.1::80", &["127.0.0.1||80/tcp"]);
        check("127.0.0.1:8080:80", &["127.0.0.1|8080|80/tcp"]);
        check("[::1]:8080:80", &["::1|8080|80/tcp"]);
        check("::1:8080:80", &["::1|8080|80/tcp"]);
        check("8080-8081:80-81", &["|8080|80/tcp", "|8081|81/tcp"]);
        check("8000-9000:80", &["|8000-9000|80/tcp"]);
        check("80-81", &["||80/tcp", "||81/tcp"]);
        check("published=8080,target=80,protocol=udp", &["|8080|80/udp"]);
    }

    #[test]
    fn a_bad_form_is_refused_in_dockers_words() {
        for (value, error) in [
            ("x:y:z", "invalid IP address: x"),
            ("y:z", "invalid containerPort: z"),
            ("y:80", "invalid hostPort: y"),
            ("8080:", "no port specified: 8080:<empty>"),
            ("80/foo", "invalid proto: foo"),
            ("1-2:3-5", "invalid ranges specified for container and host Ports: 3-5 and 1-2"),
            ("published=80,x", "invalid publish opts format (should be name=value but got 'x')"),
        ] {
            assert_eq!(parse_published(&[value.to_owned()]), Err(error.to_owned()), "{value}");
        }
    }

    #[test]
    fn exposed_ranges_are_every_port_of_them() {
        assert_eq!(parse_exposed("80-81/udp").unwrap(), ["80/udp", "81/udp"]);
        assert_eq!(
            parse_exposed("80:80"),
            Err("invalid port format for --expose: 80:80".to_owned())
        );
        assert_eq!(
            parse_exposed("x"),
            Err("invalid range format for --expose: x, error: strconv.ParseUint: parsing \"x\": \
                 invalid syntax"
                .to_owned())
        );
    }
}

//! Ports that an image exposes: `80`, `53/udp`, `90-92`.

use crate::change::ChangeError;
use crate::change::words::Environment;

/// Reads the ports of an `EXPOSE`, each as `port/protocol`.
pub(super) fn parse(rest: &str, environment: &Environment) -> Result<Vec<String>, ChangeError> {
    let mut ports = Vec::new();
    let mut words = rest.split_whitespace().peekable();
    if words.peek().is_none() {
        return Err(ChangeError::NoArguments { instruction: "EXPOSE" });
    }
    for word in words {
        // A variable may hold several.
        for spec in environment.expand(word)?.split_whitespace() {
            ports.extend(expand(spec)?);
        }
    }
    Ok(ports)
}

fn expand(spec: &str) -> Result<Vec<String>, ChangeError> {
    let (ports, protocol) = match spec.split_once('/') {
        Some((ports, protocol)) if !protocol.is_empty() => (ports, protocol.to_lowercase()),
        Some((ports, _)) => (ports, "tcp".to_owned()),
        None => (spec, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(ChangeError::Protocol { protocol });
    }
    // What would be published on the host says nothing about the image.
    let ports = ports.rsplit(':').next().unwrap_or_default();
    let invalid = || ChangeError::Port { port: ports.to_owned() };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

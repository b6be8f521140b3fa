//! `/etc/hosts`, as Docker makes it.
//!
//! A container in the host's network gets the host's own file instead, unless the user
//! adds hosts to it; then it gets this one without a line of its own.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// The lines that every container has first.
const LOCAL: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// What users write for the address under which a container reaches the host.
const HOST_GATEWAY: &str = "host-gateway";

/// A name that the user adds, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    pub name: String,
    pub address: IpAddr,
}

/// An extra host that makes no sense. Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtraHostError {
    #[error("bad format for add-host: \"{0}\"")]
    Format(String),
    #[error("invalid IP address in add-host: \"{0}\"")]
    Address(String),
}

impl ExtraHost {
    /// Reads `name:address`, where the address may be `host-gateway`.
    pub fn parse(text: &str, host_gateway: Ipv4Addr) -> Result<Self, ExtraHostError> {
        let (name, address) = text
            .split_once(':')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| ExtraHostError::Format(text.to_owned()))?;
        let address = match address {
            HOST_GATEWAY => IpAddr::V4(host_gateway),
            // People write IPv6 addresses both ways.
            _ => address
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse()
                .map_err(|_| ExtraHostError::Address(address.to_owned()))?,
        };
        Ok(Self { name: name.to_owned(), address })
    }
}

/// What a container calls itself, and at which address.
#[derive(Debug, Clone, Copy)]
pub struct OwnName<'a> {
    pub hostname: &'a str,
    pub domainname: &'a str,
    pub address: IpAddr,
}

/// The file's text: local names, then the user's in their order, then the container's own.
pub fn build(extra: &[ExtraHost], own: Option<OwnName<'_>>) -> String {
    let mut text = LOCAL.to_owned();
    for ExtraHost { name, address } in extra {
        line(&mut text, *address, name);
    }
    if let Some(own) = own {
        line(&mut text, own.address, &own.names());
    }
    text
}

impl OwnName<'_> {
    /// The full name, and its first label if that's another one.
    fn names(&self) -> String {
        let mut names = self.hostname.to_owned();
        if !self.domainname.is_empty() {
            names = format!("{names}.{}", self.domainname);
        }
        if let Some((first, _)) = names.split_once('.') {
            names = format!("{names} {first}");
        }
        names
    }
}

fn line(text: &mut String, address: IpAddr, names: &str) {
    writeln!(text, "{address}\t{names}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{ExtraHost, ExtraHostError, LOCAL, OwnName, build};

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);
    const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 17, 0, 2));

    #[track_caller]
    fn check(hostname: &str, domainname: &str, extra: &[&str], expected: &str) {
        let extra: Vec<_> =
            extra.iter().map(|text| ExtraHost::parse(text, GATEWAY).unwrap()).collect();
        let text = build(&extra, Some(OwnName { hostname, domainname, address: OWN }));
        assert_eq!(text, format!("{LOCAL}{expected}"));
    }

    #[test]
    fn a_container_finds_itself_by_its_name() {
        check("df0b1f0b87cb", "", &[], "172.17.0.2\tdf0b1f0b87cb\n");
    }

    #[test]
    fn a_full_name_is_followed_by_its_first_label() {
        check("foo.example.com", "", &[], "172.17.0.2\tfoo.example.com foo\n");
        check("foo", "example.com", &[], "172.17.0.2\tfoo.example.com foo\n");
    }

    #[test]
    fn extra_hosts_come_before_the_container_in_their_own_order() {
        check(
            "foo",
            "",
            &["zz:1.2.3.4", "aa:host-gateway", "v6:::1", "v6:[::2]"],
            "1.2.3.4\tzz\n172.17.0.1\taa\n::1\tv6\n::2\tv6\n172.17.0.2\tfoo\n",
        );
    }

    #[test]
    fn a_container_without_an_address_has_no_line() {
        assert_eq!(build(&[], None), LOCAL);
    }

    #[test]
    fn an_extra_host_needs_a_name_and_an_address() {
        let parse = |text| ExtraHost::parse(text, GATEWAY).unwrap_err();
        assert_eq!(parse("name"), ExtraHostError::Format("name".to_owned()));
        assert_eq!(parse(":1.2.3.4"), ExtraHostError::Format(":1.2.3.4".to_owned()));
        assert_eq!(parse("name:1.2.3"), ExtraHostError::Address("1.2.3".to_owned()));
    }
}

//! Addresses as people write them: `172.17.0.1/16` and `02:42:ac:11:00:02`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 address with the length of its network's prefix.
///
/// The host part is kept: `172.17.0.1/16` names both a host and its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("invalid CIDR address: {0}")]
    Cidr(String),
    #[error("invalid MAC address: {0}")]
    Mac(String),
}

impl Cidr {
    /// `None` if `prefix` is longer than an address.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then_some(Self { address, prefix })
    }

    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The same network with its host part cleared: `172.17.0.0/16`.
    pub fn network(self) -> Self {
        Self { address: Ipv4Addr::from_bits(self.address.to_bits() & self.mask()), ..self }
    }

    /// The last address of the network.
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask())
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.address.to_bits() & self.mask()
    }

    /// Whether any address is in both networks.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network().address) || other.contains(self.network().address)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            Self::new(address.parse().ok()?, prefix.parse().ok()?)
        };
        parse().ok_or_else(|| AddressError::Cidr(text.to_owned()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

/// The hardware address of an Ethernet interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = AddressError;

    /// Six pairs of hexadecimal digits, with `:` or `-` between them.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parse = || {
            let mut octets = [0; 6];
            let mut parts = text.split([':', '-']);
            for octet in &mut octets {
                let part = parts.next().filter(|part| part.len() == 2)?;
                *octet = u8::from_str_radix(part, 16).ok()?;
            }
            parts.next().is_none().then_some(Self(octets))
        };
        parse().ok_or_else(|| AddressError::Mac(text.to_owned()))
    }
}

impl TryFrom<String> for MacAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, MacAddress};

    #[track_caller]
    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_an_address_without_its_host_part() {
        assert_eq!(cidr("172.17.0.1/16").network().to_string(), "172.17.0.0/16");
        assert_eq!(cidr("172.17.0.1/16").broadcast().to_string(), "172.17.255.255");
        assert_eq!(cidr("1.2.3.4/0").network().to_string(), "0.0.0.0/0");
        assert_eq!(cidr("1.2.3.4/32").network().to_string(), "1.2.3.4/32");
    }

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        assert!(cidr("10.0.0.0/8").overlaps(cidr("10.1.2.0/24")));
        assert!(cidr("10.1.2.0/24").overlaps(cidr("10.0.0.0/8")));
        assert!(!cidr("10.1.2.0/24").overlaps(cidr("10.1.3.0/24")));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "1.2.3.4", "1.2.3.4/33", "1.2.3/8", "::1/64", "1.2.3.4/x"] {
            text.parse::<Cidr>().unwrap_err();
        }
        for text in
            ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "02:42:ac:11:00:x2", "2:42:ac:11:0:2"]
        {
            text.parse::<MacAddress>().unwrap_err();
        }
    }

    #[test]
    fn a_hardware_address_is_shown_as_it_was_written() {
        let mac: MacAddress = "02:42:AC:11:00:02".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
    }
}

//! Subnets: `172.28.0.0/16`, `2001:db8::/64`.

use std::net::IpAddr;

/// A range of addresses with a common prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    address: IpAddr,
    prefix: u8,
}

/// Reads an address with the length of its prefix.
pub(crate) fn parse(text: &str) -> Result<Subnet, String> {
    let error = || format!("invalid subnet: invalid CIDR address: {text}");
    let (address, prefix) = text.split_once('/').ok_or_else(error)?;
    let address: IpAddr = address.parse().map_err(|_| error())?;
    let length_max = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.parse().ok().filter(|&prefix| prefix <= length_max).ok_or_else(error)?;
    Ok(Subnet { address, prefix })
}

impl Subnet {
    /// Whether an address, or a range's first one, is in it.
    pub(crate) fn contains(&self, address: &str) -> bool {
        let address = address.split('/').next().unwrap_or_default();
        address.parse().is_ok_and(|address| self.covers(address))
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.covers(other.address) || other.covers(self.address)
    }

    fn covers(&self, address: IpAddr) -> bool {
        let (own, other, length) = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u128::from(own.to_bits()), u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let different = own ^ other;
        different.checked_shr(length - u32::from(self.prefix)).unwrap_or_default() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_subnet_has_the_addresses_of_its_prefix() {
        let subnet = parse("172.28.0.0/16").unwrap();
        assert!(subnet.contains("172.28.5.254"));
        assert!(subnet.contains("172.28.5.0/24"));
        assert!(!subnet.contains("172.29.0.1"));
        assert!(!subnet.contains("2001:db8::1"));
        assert!(subnet.overlaps(&parse("172.28.7.0/24").unwrap()));
        assert!(parse("0.0.0.0/0").unwrap().contains("8.8.8.8"));
        assert!(parse("172.28.0.0").is_err());
    }
}

use std::{fmt, net::IpAddr, str::FromStr};

/// Addresses that have their first bits in common, as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The bits behind the prefix are 0.
    ip: IpAddr,
    /// 0–32 or 0–128.
    length: u8,
}

/// Why a text is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// What stands before the slash is no address.
    #[error("{0:?} is no IP address")]
    Address(String),
    /// What stands behind the slash is no prefix length.
    #[error("prefix length {0:?} is not between 0 and {1}")]
    Length(String, u8),
    /// An address within the network, not the network's.
    #[error("{0} has bits set behind its prefix")]
    HostBits(String, Network),
}

impl Network {
    /// Whether `ip` is one of them; an IPv4 address counts as itself when it is written as IPv6.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                (network.to_bits() ^ ip.to_bits()).checked_shr(32 - u32::from(self.length)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                (network.to_bits() ^ ip.to_bits()).checked_shr(128 - u32::from(self.length)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Every address of its family.
    pub fn is_everything(self) -> bool {
        self.length == 0
    }

    /// With the bits behind the prefix cleared.
    fn masked(ip: IpAddr, length: u8) -> Self {
        let ip = match ip {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !u32::MAX.checked_shr(length.into()).unwrap_or(0)).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::MAX.checked_shr(length.into()).unwrap_or(0)).into()),
        };
        Self { ip, length }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// An address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let ip: IpAddr = address.parse().map_err(|_| NetworkError::Address(address.to_owned()))?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(text) => {
                let length = text.parse().ok().filter(|length| *length <= most && !text.starts_with('+'));
                length.ok_or_else(|| NetworkError::Length(text.to_owned(), most))?
            }
        };
        let network = Self::masked(ip, length);
        if network.ip == ip { Ok(network) } else { Err(NetworkError::HostBits(text.to_owned(), network)) }
    }
}

/// A network of one address as that address.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ip, self.length) {
            (IpAddr::V4(ip), 32) => write!(f, "{ip}"),
            (IpAddr::V6(ip), 128) => write!(f, "{ip}"),
            (ip, length) => write!(f, "{ip}/{length}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_shares_its_prefix() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "::ffff:192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.to_string(), network);
            assert!(parsed.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        assert_eq!("192.0.2.7/32".parse::<Network>().unwrap().to_string(), "192.0.2.7");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let error = |text: &str| text.parse::<Network>().unwrap_err();
        assert_eq!(error("example.com/24"), NetworkError::Address("example.com".into()));
        assert_eq!(error("192.0.2.0/33"), NetworkError::Length("33".into(), 32));
        assert_eq!(error("192.0.2.0/+8"), NetworkError::Length("+8".into(), 32));
        assert_eq!(error("2001:db8::/129"), NetworkError::Length("129".into(), 128));
        let whole = "192.0.2.0/24".parse().unwrap();
        assert_eq!(error("192.0.2.7/24"), NetworkError::HostBits("192.0.2.7/24".into(), whole));
    }
}

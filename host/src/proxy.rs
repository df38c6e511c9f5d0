//! Which proxies are believed when they say whose connection theirs is. Pure.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Whom to believe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Proxies of one's own: addresses and networks. Nobody else's `X-Forwarded-For` is read.
    pub trusted: Vec<Network>,
}

/// An address, or all that begin with its first bits: "10.0.0.0/8" (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unfit = || format!("\"{text}\" is neither an address nor a network such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').map_or((&*text, None), |(address, bits)| (address, Some(bits)));
        let first: IpAddr = address.parse().map_err(|_| unfit())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| unfit())?;
        if bits > most { Err(unfit()) } else { Ok(Self { first, bits }) }
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        format!("{}/{}", network.first, network.bits)
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let mask = |address: u128, width: u32| address.checked_shr(width - u32::from(self.bits)).unwrap_or(0);
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                mask(first.to_bits().into(), 32) == mask(address.to_bits().into(), 32)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => mask(first.to_bits(), 128) == mask(address.to_bits(), 128),
            _ => false,
        }
    }
}

impl Settings {
    /// Where a request comes from: from `peer`, or, where that is a proxy to be believed, from whom it names. `forwarded` are the
    /// values of `X-Forwarded-For` in their order; each proxy adds at the end whom it has seen.
    pub fn client<'v>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'v [u8]>) -> IpAddr {
        let is_trusted = |address: IpAddr| self.trusted.iter().any(|network| network.contains(plain(address)));
        let mut client = peer;
        // As bytes: whatever a client put there, what its proxy added behind it is read.
        for named in forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
            if !is_trusted(client) {
                break;
            }
            let Some(address) = std::str::from_utf8(named).ok().and_then(|named| address(named.trim())) else { break };
            client = address;
        }
        client
    }
}

/// An address as proxies write it: some in brackets, some with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let v4 = || text.rsplit_once(':').and_then(|(address, _)| address.parse().ok()).filter(IpAddr::is_ipv4);
    bare.unwrap_or(text).parse().ok().or_else(v4)
}

/// An IPv4 address that comes as one of IPv6.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, Settings};

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted = trusted.iter().map(|text| Network::try_from((*text).to_owned()).unwrap()).collect();
        Settings { trusted }.client(peer.parse().unwrap(), forwarded.iter().map(|text| text.as_bytes())).to_string()
    }

    #[test]
    fn only_proxies_of_one_s_own_are_believed() {
        assert_eq!(client(&[], "10.0.0.1", &["203.0.113.7"]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        // What a client says itself stands before what the proxy adds.
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["198.51.100.1, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["198.51.100.1", "203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(client(&["10.0.0.0/8"], "::ffff:10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client(&["2001:db8::/32"], "2001:db8::5", &["203.0.113.7:1234"]), "203.0.113.7");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["ü, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&["10.0.0.1"], "10.0.0.2", &["203.0.113.7"]), "10.0.0.2");
        assert_eq!(client(&["10.0.0.1"], "10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client(&["0.0.0.0/0"], "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client(&["0.0.0.0/0"], "10.0.0.1", &["1.2.3.4, 5.6.7.8"]), "1.2.3.4");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "shop.example", "10.0.0/8", "10.0.0.0/x"] {
            assert!(Network::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}

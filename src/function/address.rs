//! Address: is this an IP address of that network (CIDR prefix matching, RFC 4632), and is it one of the public
//! internet?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::function::{OperandError, Unjudgeable};

/// A network: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(IpNet);

impl Network {
    pub(crate) fn parse(text: &str) -> Result<Network, OperandError> {
        let wrong =
            || OperandError::new("a network is written such as 10.0.0.0/8 or 2001:db8::/32");
        let network = match text.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => IpNet::from(text.parse::<IpAddr>().map_err(|_| wrong())?),
        };
        if network != network.trunc() {
            return Err(OperandError::new(format!(
                "{network} has bits beyond its prefix; write {}",
                network.trunc()
            )));
        }
        Ok(Network(network))
    }

    /// Whether the address, written in its one normal form, is of the network.
    pub(crate) fn holds(&self, text: &str) -> Result<bool, Unjudgeable> {
        let address: IpAddr = text.parse().map_err(|_| Unjudgeable)?;
        // Leading zeros, capitals and other spellings are read differently by different tools.
        if address.to_string() != text {
            return Err(Unjudgeable);
        }
        match (self.0, address) {
            // Who connects to such an address may well end up at the other.
            (IpNet::V4(_), IpAddr::V6(address)) if carries_v4(address) => Err(Unjudgeable),
            _ => Ok(self.0.contains(&address)),
        }
    }
}

/// IPv4 networks that are not of the public internet: the IANA IPv4 Special-Purpose Address Registry (RFC 6890, RFC 8190),
/// also where it says that they can be reached, since what answers there serves the network itself (AS112 of RFC 7534 and
/// RFC 7535, AMT of RFC 7450); and multicast (IANA IPv4 Multicast Address Space Registry, RFC 5771).
const SPECIAL_V4: [(Ipv4Addr, u8); 19] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Of the public internet and yet inside: here Azure answers its virtual machines (Azure's documentation).
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // With 255.255.255.255.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The part of IPv6 from which IANA assigns global unicast addresses (IANA, Internet Protocol Version 6 Address Space).
/// RFC 4291, section 2.4, has more for them; the rest is reserved.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Of these, what is not of the public internet: the IANA IPv6 Special-Purpose Address Registry, with protocol
/// assignments (RFC 2928), documentation (RFC 3849, RFC 9637) and AS112 (RFC 7534). Those that carry an IPv4 address in
/// them, such as 2002::/16, are [`carries_v4`]'s business.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an IPv6 address stands for one of IPv4, in any of the ways that can be seen: mapped and compatible (RFC 4291),
/// translated (RFC 2765, 6052, 8215), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214). A network can translate by a
/// prefix of its own (RFC 6052), which cannot be seen.
pub(super) fn carries_v4(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => false,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => true,
        [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] => true,
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => true,
        _ => false,
    }
}

/// Whether it is an address of the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(network, length)| {
            Ipv4Net::new(*network, *length).is_ok_and(|network| network.contains(&address))
        }),
        IpAddr::V6(address) => {
            let of = |(network, length): &(Ipv6Addr, u8)| {
                Ipv6Net::new(*network, *length).is_ok_and(|network| network.contains(&address))
            };
            of(&GLOBAL_V6) && !carries_v4(address) && !SPECIAL_V6.iter().any(of)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(network: &str, address: &str) -> Option<bool> {
        Network::parse(network).unwrap().holds(address).ok()
    }

    #[test]
    fn an_address_is_of_a_network_or_not() {
        assert_eq!(of("10.0.0.0/8", "10.255.0.1"), Some(true));
        assert_eq!(of("10.0.0.0/8", "11.0.0.1"), Some(false));
        assert_eq!(of("192.0.2.7", "192.0.2.7"), Some(true));
        assert_eq!(of("2001:db8::/32", "2001:db8::1"), Some(true));
        for address in [
            "::ffff:10.0.0.1",
            "::ffff:0:a00:1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::1",
            "2001:0:1::1",
            "2620:0:1::5efe:a00:1",
            "2620:0:1:0:200:5efe:a00:1",
        ] {
            let address: Ipv6Addr = address.parse().unwrap();
            assert_eq!(of("10.0.0.0/8", &address.to_string()), None, "{address}");
        }
        assert_eq!(of("0.0.0.0/0", "::"), Some(false));
        assert_eq!(of("0.0.0.0/0", "::1"), Some(false));
    }

    #[test]
    fn other_spellings_cannot_be_judged() {
        for address in [
            "010.0.0.1",
            "10.1",
            "167772161",
            "0xa.0.0.1",
            "10.0.0.1 ",
            "10.0.0.1/8",
            "10.0.0.1:80",
            "\u{ff11}0.0.0.1",
            "2001:DB8::1",
            "fe80::1%eth0",
            "0:0:0:0:0:0:0:1",
            "",
        ] {
            assert_eq!(of("0.0.0.0/0", address), None, "{address}");
        }
    }

    #[test]
    fn a_network_is_written_exactly() {
        for text in ["10.0.0.1/8", "10.0.0.0/33", "10/8", "x", ""] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }

    /// One address of each network of the registries, and its last, and what lies beside it.
    #[test]
    fn special_addresses_are_not_public() {
        for (first, last, beside) in [
            ("0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("100.100.100.200", "100.100.100.200", "100.63.255.255"),
            ("127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("168.63.129.16", "168.63.129.16", "168.63.129.17"),
            ("169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.31.196.0", "192.31.196.255", "192.31.197.0"),
            ("192.52.193.0", "192.52.193.255", "192.52.194.0"),
            ("192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("192.175.48.0", "192.175.48.255", "192.175.49.0"),
            ("198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("224.0.0.0", "239.255.255.255", "223.255.255.255"),
            ("240.0.0.0", "255.255.255.255", "223.255.255.255"),
            ("2001:2::", "2001:1ff:ffff::", "2001:200::"),
            ("2001:db8::", "2001:db8:ffff::", "2001:db9::"),
            ("2620:4f:8000::", "2620:4f:8000:ffff::", "2620:4f:8001::"),
            ("3fff::", "3fff:fff::", "3fff:1000::"),
            ("::", "1fff:ffff::", "2000::1"),
            ("4000::", "ffff::", "3ffe::1"),
        ] {
            assert!(!is_public(first.parse().unwrap()), "{first}");
            assert!(!is_public(last.parse().unwrap()), "{last}");
            assert!(is_public(beside.parse().unwrap()), "{beside}");
        }
        for address in [
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "100:0:0:1::1",
            "5f00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:2::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:10::1",
            "2001:20::1",
            "2001:30::1",
            "2001:1::1",
            "2620:0:1::5efe:7f00:1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "1.1.1.1", "2606:4700::1111"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}

//! The demo's addresses: who is who on the client's side, at the gateway and in the rack.
//!
//! ```text
//! kernel clients ── TUN ── gateway ── rack segment ── srv1 .. srv8
//! 10.99.0.2, 10.99.1.1..   10.99.0.1  192.0.2.1       192.0.2.11..  and 203.0.113.10 on each
//! fd99::2, fd99::1:0..     fd99::1    fd00:2::1       fd00:2::11..  and 2001:db8:113::10 on each
//! ```
//!
//! All are documentation or private addresses, and live in the demo's own network namespace only.
//! Each client connection has a source address of its own, so that a choice that looks at addresses
//! alone (FreeBSD's `(src xor dst) mod n`) spreads as well as it can.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The service address that every server of the rack answers for, IPv4.
pub(crate) const SERVICE4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The service address, IPv6.
pub(crate) const SERVICE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x10);

/// The gateway's address on the rack's segment, IPv4 (a /24): the servers' default route.
pub(crate) const RACK_GATEWAY4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The gateway's hardware address on the rack's segment (locally administered).
pub(crate) const RACK_GATEWAY_MAC: [u8; 6] = [0x02, 0x66, 0x67, 0, 0, 0x01];
/// Prefix length of the rack's segment, IPv4.
pub(crate) const RACK_LEN4: u8 = 24;
/// The gateway's address on the rack's segment, IPv6 (a /64).
pub(crate) const RACK_GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 1);
/// Prefix length of the rack's segment, IPv6.
pub(crate) const RACK_LEN6: u8 = 64;

/// The gateway's address on the clients' side (TUN), IPv4.
pub(crate) const CLIENT_GATEWAY4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The kernel's own address on the TUN device, IPv4.
pub(crate) const CLIENT_HOST4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// Prefix length of the clients' network, IPv4: it holds every client address.
pub(crate) const CLIENT_LEN4: u8 = 16;
/// The gateway's address on the clients' side, IPv6.
pub(crate) const CLIENT_GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1);
/// The kernel's own address on the TUN device, IPv6.
pub(crate) const CLIENT_HOST6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 2);
/// Prefix length of the clients' network, IPv6.
pub(crate) const CLIENT_LEN6: u8 = 64;

/// TCP port of the echo service.
pub(crate) const ECHO_PORT: u16 = 7;
/// TCP port of the HTTP service.
pub(crate) const HTTP_PORT: u16 = 80;

/// Servers that the addressing has room for: up to here an IPv4 and an IPv6 address read alike.
pub(crate) const MAX_SERVERS: usize = 8;

/// Source addresses a /24 of the clients' network gives.
const CLIENTS_PER_24: u32 = 250;
/// Client addresses of one family: 10.99.1.1 to 10.99.254.250. More than the command line lets anybody ask for.
#[cfg(test)]
const MAX_CLIENTS: u32 = 254 * CLIENTS_PER_24;

/// A server's place in the rack, counted from 0; its name counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerNo(pub(crate) u8);

impl ServerNo {
    /// The server whose name (`srv3`) this is.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let number: u8 = name.strip_prefix("srv")?.parse().ok()?;
        number.checked_sub(1).map(Self)
    }

    /// The server that has `addr` on the rack's segment.
    pub(crate) fn from_addr(addr: IpAddr) -> Option<Self> {
        (0..MAX_SERVERS as u8)
            .map(Self)
            .find(|&no| addr == no.v4() || addr == no.v6())
    }

    /// Its address on the rack's segment, IPv4.
    pub(crate) fn v4(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, 11 + self.0)
    }

    /// Its address on the rack's segment, IPv6.
    pub(crate) fn v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x11 + u16::from(self.0))
    }

    /// Its hardware address (locally administered).
    pub(crate) fn mac(self) -> [u8; 6] {
        [0x02, 0x66, 0x67, 0, 0, 0x11 + self.0]
    }
}

impl fmt::Display for ServerNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "srv{}", u16::from(self.0) + 1)
    }
}

/// The `n`th client source address, IPv4.
pub(crate) fn client4(n: u32) -> Ipv4Addr {
    let net = 1 + (n / CLIENTS_PER_24) % 254;
    Ipv4Addr::new(10, 99, net as u8, 1 + (n % CLIENTS_PER_24) as u8)
}

/// The `n`th client source address, IPv6.
pub(crate) fn client6(n: u32) -> Ipv6Addr {
    Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 1 + (n >> 16) as u16, n as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_server_is_found_by_its_name_and_by_both_addresses() {
        for no in (0..MAX_SERVERS as u8).map(ServerNo) {
            assert_eq!(ServerNo::from_name(&no.to_string()), Some(no));
            assert_eq!(ServerNo::from_addr(no.v4().into()), Some(no));
            assert_eq!(ServerNo::from_addr(no.v6().into()), Some(no));
        }
        assert_eq!(ServerNo::from_name("srv0"), None);
        assert_eq!(ServerNo::from_name("nginx"), None);
        assert_eq!(ServerNo::from_addr(RACK_GATEWAY4.into()), None);
    }

    #[test]
    fn client_addresses_are_distinct_and_inside_their_network() {
        let mut seen = HashSet::new();
        for n in 0..MAX_CLIENTS {
            let (v4, v6) = (client4(n), client6(n));
            assert_eq!(v4.octets()[..2], [10, 99]);
            assert!(v4 != CLIENT_GATEWAY4 && v4 != CLIENT_HOST4);
            assert_eq!(v6.segments()[..4], CLIENT_GATEWAY6.segments()[..4]);
            assert!(v6 != CLIENT_GATEWAY6 && v6 != CLIENT_HOST6);
            assert!(seen.insert(IpAddr::from(v4)) && seen.insert(IpAddr::from(v6)));
        }
    }
}

//! Ports: our own MAC and addresses on a segment, and what they make on-link.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::advertise::Schedule;
use crate::{Advertise, Mac};

/// A port of the gateway that leads to an Ethernet segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u16);

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What the table must know of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// Which port.
    pub port: PortId,
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses with their prefix lengths: what it answers for, and what is on-link.
    pub addrs: Vec<(IpAddr, u8)>,
    /// Whether it carries frames.
    pub up: bool,
    /// What it tells IPv6 hosts of itself, if anything.
    pub advertise: Option<Advertise>,
}

/// A port as the table keeps it.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) mac: Mac,
    pub(crate) up: bool,
    pub(crate) adverts: Option<Schedule>,
    own: Vec<Own>,
}

/// An address of ours.
#[derive(Clone, Copy, Debug)]
struct Own {
    addr: IpAddr,
    len: u8,
    /// When it was last defended against another user.
    defended: Option<u64>,
}

impl Port {
    pub(crate) fn new(info: &PortInfo, before: Option<&Self>, now: u64) -> Self {
        let defended = |addr| {
            before
                .and_then(|old| old.find(addr))
                .and_then(|own| own.defended)
        };
        let own = info.addrs.iter().map(|&(addr, len)| Own {
            addr,
            len,
            defended: defended(addr),
        });
        // One that was down has to be heard of anew.
        let same = before.filter(|old| old.up && old.mac == info.mac);
        let schedule = |what| match same.and_then(|old| old.adverts) {
            Some(before) => Schedule::go_on(what, &before, now),
            None => Schedule::new(what, now),
        };
        Self {
            mac: info.mac,
            up: info.up,
            adverts: info.advertise.map(schedule),
            own: own.collect(),
        }
    }

    fn find(&self, addr: IpAddr) -> Option<&Own> {
        self.own.iter().find(|own| own.addr == addr)
    }

    pub(crate) fn owns(&self, addr: IpAddr) -> bool {
        self.find(addr).is_some()
    }

    pub(crate) fn addrs(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.own.iter().map(|own| own.addr)
    }

    /// Our addresses with the lengths of their prefixes.
    pub(crate) fn networks(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        self.own.iter().map(|own| (own.addr, own.len))
    }

    /// Our address to ask for `addr` from, if `addr` can be a neighbour here: the one with the
    /// longest prefix that covers it. Peers cache what we ask from, so it must be on their link.
    pub(crate) fn source_for(&self, addr: IpAddr) -> Option<IpAddr> {
        if !is_host(addr) {
            return None;
        }
        let covering = self.own.iter().filter(|own| own.covers(addr));
        let nearest = covering.max_by_key(|own| own.len)?;
        (!nearest.is_edge(addr)).then_some(nearest.addr)
    }

    /// Whether the address `addr` of ours may be defended now; notes that it is.
    pub(crate) fn defend(&mut self, addr: IpAddr, now: u64, interval: u32) -> bool {
        let Some(own) = self.own.iter_mut().find(|own| own.addr == addr) else {
            return false;
        };
        let due = own
            .defended
            .is_none_or(|last| now >= last.saturating_add(interval.into()));
        if due {
            own.defended = Some(now);
        }
        due
    }
}

impl Own {
    fn covers(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(own), IpAddr::V4(addr)) => {
                let host_bits = 32u32.saturating_sub(self.len.into());
                (own.to_bits() ^ addr.to_bits())
                    .checked_shr(host_bits)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(own), IpAddr::V6(addr)) => {
                // RFC 4291 §2.5.6: all of fe80::/10 is on every link.
                let both_local = own.is_unicast_link_local() && addr.is_unicast_link_local();
                let host_bits = 128u32.saturating_sub(self.len.into());
                let same = (own.to_bits() ^ addr.to_bits()).checked_shr(host_bits);
                both_local || same.unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The network's own or its broadcast address (RFC 1122 §3.2.1.3; /31: RFC 3021).
    fn is_edge(&self, addr: IpAddr) -> bool {
        let IpAddr::V4(addr) = addr else { return false };
        let mask = u32::MAX.checked_shr(self.len.into()).unwrap_or(0);
        let host = addr.to_bits() & mask;
        self.len < 31 && (host == 0 || host == mask)
    }
}

/// Whether an address can be one host's at all.
pub(crate) fn is_host(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            let nobody = v4.is_unspecified() || v4 == Ipv4Addr::BROADCAST;
            !(nobody || v4.is_multicast() || v4.is_loopback())
        }
        IpAddr::V6(v6) => {
            !(v6.is_multicast() || v6 == Ipv6Addr::UNSPECIFIED || v6 == Ipv6Addr::LOCALHOST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(addrs: &[(&str, u8)]) -> Port {
        let addrs = addrs
            .iter()
            .map(|(addr, len)| (addr.parse().unwrap(), *len))
            .collect();
        let info = PortInfo {
            port: PortId(0),
            mac: Mac([2; 6]),
            addrs,
            up: true,
            advertise: None,
        };
        Port::new(&info, None, 0)
    }

    #[test]
    fn the_source_is_our_address_in_the_longest_prefix_that_covers_the_target() {
        let port = port(&[
            ("10.0.0.1", 8),
            ("10.1.0.1", 16),
            ("fd00::1", 64),
            ("fe80::1", 64),
        ]);
        let cases = [
            ("10.2.0.9", Some("10.0.0.1")),
            ("10.1.0.9", Some("10.1.0.1")),
            ("11.0.0.1", None),
            ("fd00::9", Some("fd00::1")),
            ("fd01::9", None),
            ("fe80::9", Some("fe80::1")),
            ("fe80:0:0:7::9", Some("fe80::1")),
            ("2001:db8::1", None),
        ];
        for (target, source) in cases {
            let source = source.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(port.source_for(target.parse().unwrap()), source, "{target}");
        }
    }

    #[test]
    fn groups_networks_and_broadcasts_are_no_neighbours() {
        let port = port(&[
            ("10.0.0.1", 24),
            ("192.0.2.0", 31),
            ("0.0.0.1", 0),
            ("::1:1", 0),
        ]);
        for target in [
            "10.0.0.0",
            "10.0.0.255",
            "255.255.255.255",
            "224.0.0.1",
            "127.0.0.1",
            "0.0.0.0",
        ] {
            assert_eq!(port.source_for(target.parse().unwrap()), None, "{target}");
        }
        for target in ["ff02::1", "::", "::1"] {
            assert_eq!(port.source_for(target.parse().unwrap()), None, "{target}");
        }
        assert!(port.source_for("192.0.2.1".parse().unwrap()).is_some());
        assert!(port.source_for("198.51.100.7".parse().unwrap()).is_some());
    }

    #[test]
    fn a_host_prefix_covers_itself_alone() {
        let port = port(&[("10.0.0.1", 32), ("fd00::1", 128)]);
        assert_eq!(port.source_for("10.0.0.2".parse().unwrap()), None);
        assert_eq!(port.source_for("fd00::2".parse().unwrap()), None);
    }
}

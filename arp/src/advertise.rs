//! Router advertisements: what we tell the hosts of a segment of ourselves, if the operator wants that (RFC 4861 §6.2).
//!
//! Multicast to all nodes: three soon after the port came up, then one in each random interval, and one after a
//! solicitation, never more than one in three seconds. What changes is told as soon as that. A port that stops says so with a lifetime
//! of 0.

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::Icmpv6Packet;

use crate::port::Port;
use crate::wire::{self, RouterSolicit};
use crate::{Frame, Ignored, PortId, Table};

/// MIN_DELAY_BETWEEN_RAS.
const BETWEEN_MS: u64 = 3000;
/// MAX_RA_DELAY_TIME.
const ANSWER_MS: u64 = 500;
/// MAX_INITIAL_RTR_ADVERTISEMENTS, and MAX_INITIAL_RTR_ADVERT_INTERVAL.
const INITIAL: u8 = 3;
const INITIAL_MS: u64 = 16_000;
/// AdvValidLifetime and AdvPreferredLifetime: 30 and 7 days, in seconds.
const VALID_S: u32 = 2_592_000;
const PREFERRED_S: u32 = 604_800;
/// The smallest MTU that a link may have.
const LEAST_MTU: u32 = 1280;
/// AdvCurHopLimit.
const HOP_LIMIT: u8 = 64;

/// What a port advertises besides its prefixes, which are those of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// How long hosts may take us for a default router, in seconds; 0: not at all.
    pub lifetime_s: u16,
    /// Between two unsolicited advertisements, in seconds: from a third of this up to this.
    pub interval_s: u16,
    /// MTU of the link, bytes.
    pub mtu: u32,
}

/// When a port advertises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    what: Advertise,
    next: u64,
    sent: u8,
    last: Option<u64>,
}

impl Schedule {
    pub(crate) fn new(what: Advertise, now: u64) -> Self {
        Self {
            what,
            next: now,
            sent: 0,
            last: None,
        }
    }

    /// The same times, if it advertised before; something new is told soon, as often as at first (RFC 4861 §6.2.4).
    pub(crate) fn go_on(what: Advertise, before: &Self, now: u64) -> Self {
        if what == before.what {
            return *before;
        }
        let soon = before.last.map_or(now, |last| now.max(last + BETWEEN_MS));
        Self {
            what,
            next: before.next.min(soon),
            sent: 0,
            last: before.last,
        }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// A solicitation is answered after a random part of half a second, to all.
    fn solicited(&mut self, now: u64, random: u64) {
        let earliest = self.last.map_or(now, |last| now.max(last + BETWEEN_MS));
        self.next = self.next.min(earliest + random % (ANSWER_MS + 1));
    }

    fn sent(&mut self, now: u64, random: u64) {
        let most = u64::from(self.what.interval_s.max(4)) * 1000;
        let least = (most / 3).max(BETWEEN_MS);
        let interval = least + random % (most - least + 1);
        self.sent = self.sent.saturating_add(1);
        self.last = Some(now);
        self.next = now
            + if self.sent < INITIAL {
                interval.min(INITIAL_MS)
            } else {
                interval
            };
    }
}

impl Table {
    /// Sends what is due.
    pub(crate) fn advertise(&mut self, now: u64, out: &mut Vec<Frame>) {
        let due = |port: &Port| port.up && port.adverts.is_some_and(|a| a.next <= now);
        while let Some((&id, _)) = self.ports.iter().find(|(_, port)| due(port)) {
            let random = self.random();
            let Some(port) = self.ports.get_mut(&id) else {
                return;
            };
            let Some(schedule) = &mut port.adverts else {
                return;
            };
            schedule.sent(now, random);
            let lifetime = schedule.what.lifetime_s;
            self.send_advert(id, lifetime, out);
        }
    }

    fn send_advert(&mut self, id: PortId, lifetime: u16, out: &mut Vec<Frame>) {
        let Some(port) = self.ports.get(&id) else {
            return;
        };
        if let Some(bytes) = frame(port, lifetime) {
            self.stats.tx_router_advert += 1;
            out.push(Frame { port: id, bytes });
        }
    }

    /// A port that advertised and will not any more: hosts shall not wait for its lifetime (RFC 4861 §6.2.5).
    pub(crate) fn say_farewell(&mut self, id: PortId, out: &mut Vec<Frame>) {
        self.send_advert(id, 0, out);
    }

    /// Every port that advertises says that it is no router any more: the gateway ends.
    pub fn farewell(&mut self, out: &mut Vec<Frame>) {
        let told = |port: &&Port| port.up && port.adverts.is_some();
        let ids: Vec<PortId> = self
            .ports
            .iter()
            .filter(|(_, port)| told(port))
            .map(|(&id, _)| id)
            .collect();
        ids.into_iter().for_each(|id| self.say_farewell(id, out));
    }

    /// A host asks who its routers are.
    pub(crate) fn rs_input(
        &mut self,
        id: PortId,
        rs: &RouterSolicit,
        now: u64,
    ) -> Result<(), Ignored> {
        let random = self.random();
        let port = self.ports.get_mut(&id).ok_or(Ignored::UnknownPort)?;
        let adverts = port.adverts.as_mut().ok_or(Ignored::RouterMessage)?;
        adverts.solicited(now, random);
        if let Some(mac) = rs.lladdr {
            self.correct(id, IpAddr::V6(rs.src), mac, now);
        }
        Ok(())
    }
}

/// The advertisement of a port; `None` without a link-local address, from which alone it may come.
fn frame(port: &Port, lifetime: u16) -> Option<Vec<u8>> {
    let what = port.adverts?.what;
    let own = |addr| match addr {
        IpAddr::V6(v6) => Some(v6),
        IpAddr::V4(_) => None,
    };
    let src = port
        .addrs()
        .filter_map(own)
        .find(Ipv6Addr::is_unicast_link_local)?;
    let mut icmp = vec![134, 0, 0, 0, HOP_LIMIT, 0];
    icmp.extend(lifetime.to_be_bytes());
    icmp.extend([0; 8]);
    icmp.extend([1, 1]);
    icmp.extend(port.mac.0);
    icmp.extend([5, 1, 0, 0]);
    // Hosts ignore less than every link has (RFC 8200 §5, RFC 4861 §6.3.4).
    icmp.extend(what.mtu.max(LEAST_MTU).to_be_bytes());
    for (prefix, len) in prefixes(port) {
        // On link; and good for autoconfiguration, which needs 64 bits (RFC 4862 §5.5.3).
        let flags = if len == 64 { 0xc0 } else { 0x80 };
        icmp.extend([3, 4, len, flags]);
        icmp.extend(VALID_S.to_be_bytes());
        icmp.extend(PREFERRED_S.to_be_bytes());
        icmp.extend([0; 4]);
        icmp.extend(prefix.octets());
    }
    let dst = wire::ALL_NODES;
    Icmpv6Packet::new_unchecked(&mut icmp[..]).fill_checksum(&src, &dst);
    Some(wire::ipv6_frame(
        (wire::group_mac(dst), port.mac),
        (src, dst),
        &icmp,
    ))
}

/// The networks of a port's addresses, each once, but for the link-local one and for single addresses.
fn prefixes(port: &Port) -> Vec<(Ipv6Addr, u8)> {
    let mut all: Vec<(Ipv6Addr, u8)> = port
        .networks()
        .filter_map(|(addr, len)| match addr {
            IpAddr::V6(v6) if !v6.is_unicast_link_local() && len < 128 => {
                let host = u128::MAX.checked_shr(len.into()).unwrap_or(0);
                Some((Ipv6Addr::from_bits(v6.to_bits() & !host), len))
            }
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: Advertise = Advertise {
        lifetime_s: 1800,
        interval_s: 600,
        mtu: 1500,
    };

    #[test]
    fn three_come_soon_and_the_others_in_random_intervals() {
        for random in [0, 1, 77_777, 1 << 40, u64::MAX] {
            let mut schedule = Schedule::new(WHAT, 1000);
            let mut now = schedule.next();
            assert_eq!(now, 1000);
            for n in 1..10 {
                schedule.sent(now, random);
                let interval = schedule.next() - now;
                let allowed = if n < 3 {
                    3000..=16_000
                } else {
                    200_000..=600_000
                };
                assert!(allowed.contains(&interval), "{n}: {interval}");
                now = schedule.next();
            }
        }
    }

    #[test]
    fn solicitations_are_answered_within_half_a_second_and_not_twice_in_three() {
        let mut schedule = Schedule::new(WHAT, 0);
        for _ in 0..3 {
            schedule.sent(0, 0);
        }
        schedule.solicited(10_000, 499);
        assert_eq!(schedule.next(), 10_499);
        schedule.solicited(10_100, 499);
        assert_eq!(schedule.next(), 10_499, "one answer is enough for all");
        schedule.sent(10_499, 0);
        schedule.solicited(10_500, 3);
        assert!((13_499..14_000).contains(&schedule.next()));
    }

    #[test]
    fn an_interval_too_short_is_four_seconds() {
        let mut schedule = Schedule::new(
            Advertise {
                interval_s: 0,
                ..WHAT
            },
            0,
        );
        for _ in 0..4 {
            schedule.sent(0, u64::MAX);
            assert!((3000..=4000).contains(&schedule.next()));
        }
    }
}

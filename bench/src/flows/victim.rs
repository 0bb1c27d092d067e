//! A worker's part of a gateway, as far as it decides where packets go, for floods to attack.
//!
//! The gateway's own path decides ([`stack::path::Path::resolve`]), over a default route with eight next hops; the hand
//! sweeps after each burst as a busy worker's does.

use super::world::{DATA, Packet, TCP, segment};
use crate::common::timing::Spent;
use crate::gateway::Gateway;
use arp::Mac;
use flowtable::{KeyV4, L4, PinWord, SLOTS, Seen, SlotNo, flow_hash};
use route::FibId;
use stack::Now;
use stack::counters::Counters;
use stack::parse::{Addrs, IpMeta, Tuple};
use stack::path::{Path, Ready};
use std::hint::black_box;

/// Next hops of the default route.
const HOPS: u8 = 8;
/// Packets of a burst, and buckets that the hand visits after each at most.
pub(super) const BURST: usize = 32;
const HAND: usize = 2;
/// Packets in a millisecond: what one core can take.
const PACKETS_A_MS: u64 = 5_000;

/// A worker's part of a gateway, as far as it decides where packets go.
pub(super) struct Victim {
    pub(super) gateway: Gateway,
    path: Path,
    counters: Counters,
    /// Lookups of a burst that have been started.
    ready: Vec<Ready>,
    /// Packets so far: they are the clock, unless it is `set`.
    packets: u64,
    set: Option<Now>,
}

/// How a packet's next hop is decided.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Decide {
    /// Through the flow table.
    Cached,
    /// By the route alone.
    Uncached,
}

impl Victim {
    pub(super) fn new(capacity: usize) -> Self {
        let hops: Vec<Mac> = (1..=HOPS).map(|n| Mac([2, 0, 0, 0, 2, n])).collect();
        let gateway = Gateway::new(1, capacity, Mac([2, 0, 0, 0, 1, 1]), &hops);
        let slots: Vec<SlotNo> = (0..SLOTS as u16).map(SlotNo).collect();
        let path = gateway.path(&slots).with_bursts(BURST);
        Self {
            gateway,
            path,
            counters: Counters::new(1),
            ready: Vec::with_capacity(BURST),
            packets: 0,
            set: None,
        }
    }

    /// Flows whose both sides have been heard, pinned both ways.
    pub(super) fn establish(&mut self, flows: u32) {
        let opening = [
            (false, segment(L4::SYN)),
            (true, segment(L4::SYN | L4::ACK)),
            (false, DATA),
        ];
        for flow in 0..flows {
            let packet = Packet::of(flow);
            for (back, seen) in &opening {
                let packet = if *back { packet.reply() } else { packet };
                let slot = self.path.slot(&tuple(&packet, TCP));
                let (meta, now) = (meta(&packet, TCP, seen), self.now());
                black_box(self.path.resolve(slot, &meta, seen, now, &self.counters));
            }
        }
    }

    /// The time now: packets are the clock.
    fn now(&self) -> Now {
        let counted = Now(1000 + self.packets / PACKETS_A_MS);
        self.set.unwrap_or(counted)
    }

    /// From now on it is so late.
    pub(super) fn set_clock(&mut self, now: Now) {
        self.set = Some(now);
    }

    /// A segment of packets, burst by burst, timed as a whole.
    pub(super) fn decide(&mut self, metas: &[IpMeta], seen: &Seen, how: Decide, spent: &mut Spent) {
        spent.on(|| {
            for burst in metas.chunks(BURST) {
                let now = self.now();
                match how {
                    Decide::Cached => self.cached(burst, seen, now),
                    Decide::Uncached => {
                        for meta in burst {
                            black_box(self.path.route_only(FibId(0), &meta.tuple, now));
                        }
                    }
                }
                self.packets += burst.len() as u64;
            }
            metas.len() as u64
        });
    }

    /// A burst through the flow table, as a worker takes it: all lookups are started, then each packet is decided.
    fn cached(&mut self, burst: &[IpMeta], seen: &Seen, now: Now) {
        let slots: [SlotNo; BURST] = std::array::from_fn(|i| {
            burst
                .get(i)
                .map_or(SlotNo(0), |meta| self.path.slot(&meta.tuple))
        });
        let asked = slots
            .iter()
            .zip(burst)
            .map(|(slot, meta)| Some((*slot, meta)));
        self.path.ready(asked, now, &mut self.ready);
        for (ready, meta) in self.ready.drain(..).zip(burst) {
            let decided = self
                .path
                .resolve_ready(ready, meta.role, seen, now, &self.counters);
            black_box(decided);
        }
        self.path.sweep_paced(HAND, now);
    }

    /// Both pins of every established flow; none of one that is gone.
    pub(super) fn pins(&self, flows: u32) -> Vec<Option<[PinWord; 2]>> {
        let table = &self.gateway.tables.v4;
        let pins = |flow| {
            let packet = Packet::of(flow);
            let (key, _): (KeyV4, _) = packet.key(TCP);
            let slot = self.path.slot(&tuple(&packet, TCP));
            Some(
                table
                    .find(slot, flow_hash(table.secret(), &key), &key)?
                    .pins,
            )
        };
        (0..flows).map(pins).collect()
    }
}

pub(super) fn tuple(packet: &Packet, proto: u8) -> Tuple {
    Tuple {
        addrs: Addrs::V4 {
            src: packet.src,
            dst: packet.dst,
        },
        sport: packet.sport,
        dport: packet.dport,
        proto,
    }
}

/// What `ip_input` would have read of a packet.
pub(super) fn meta(packet: &Packet, proto: u8, seen: &Seen) -> IpMeta {
    let tuple = tuple(packet, proto);
    IpMeta {
        addrs: tuple.addrs,
        tuple,
        proto,
        ttl: 64,
        l4_off: 20,
        len: seen.bytes as u16,
        l4: seen.l4,
        ..IpMeta::default()
    }
}

pub(super) fn metas(packets: &[Packet], proto: u8, seen: &Seen) -> Vec<IpMeta> {
    packets
        .iter()
        .map(|packet| meta(packet, proto, seen))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_is_lost_is_seen() {
        let mut victim = Victim::new(4096);
        victim.establish(100);
        let before = victim.pins(101);
        assert_eq!(before.iter().filter(|pins| pins.is_none()).count(), 1);
        assert_eq!(before, victim.pins(101));
    }
}

//! Flows by number, and what they are pinned to.

use flowtable::{
    Dir, Flow, KeyV4, L4, PinWord, Probe, Seen, SlotNo, TableSecret, Tick, Writer, flow_hash,
};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Fixed, so that every run places the same flows alike.
pub(super) const SECRET: TableSecret = TableSecret(*b"flow table bench");
/// When everything starts.
pub(super) const START: Tick = Tick(1);
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// The network that clients talk to, and the port.
const SERVERS: u32 = 0xc633_0000;
const SERVICE: u16 = 443;

/// A packet as it comes: who it is from and to, and which of the benchmark's flows that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) src: u32,
    pub(super) dst: u32,
    pub(super) sport: u16,
    pub(super) dport: u16,
    /// The flow's number.
    pub(super) flow: u32,
}

impl Packet {
    /// A packet from the client of flow number `flow`. No two numbers give the same flow: the mixing can be undone.
    #[inline]
    pub(super) fn of(flow: u32) -> Self {
        let x = mix(u64::from(flow) + 1);
        Self {
            src: (x >> 32) as u32,
            dst: SERVERS | (x >> 16) as u32 & 0xffff,
            sport: x as u16,
            dport: SERVICE,
            flow,
        }
    }

    /// The answer.
    #[inline]
    pub(super) fn reply(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            sport: self.dport,
            dport: self.sport,
            flow: self.flow,
        }
    }

    /// Its flow's key and the way that it goes.
    #[inline]
    pub(super) fn key(&self, proto: u8) -> (KeyV4, Dir) {
        KeyV4::new(0, proto, self.src, self.sport, self.dst, self.dport)
    }

    /// Its flow's owner slot.
    #[inline]
    pub(super) fn slot(&self, writer: &Writer<KeyV4>, proto: u8) -> SlotNo {
        let owner = writer.table().owner();
        owner.slot4(proto, self.src, self.sport, self.dst, self.dport)
    }

    /// Its flow, to be looked up alone.
    #[inline]
    pub(super) fn flow(&self, writer: &Writer<KeyV4>, proto: u8) -> Flow<KeyV4> {
        let (key, dir) = self.key(proto);
        let probe = Probe::alone(self.slot(writer, proto), flow_hash(&SECRET, &key));
        Flow { key, dir, probe }
    }
}

/// Spreads the bits of a word over all of it; can be undone.
#[inline]
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
    let word = (word ^ word >> 27).wrapping_mul(0x81da_def4_bc2d_d44d);
    word ^ word >> 33
}

/// A TCP segment with these flags.
pub(super) const fn segment(flags: u8) -> Seen {
    Seen {
        l4: L4::Tcp {
            flags,
            seq: 1,
            ack: 1,
            window: 512,
            len: 26,
        },
        bytes: 66,
        in_port: 0,
    }
}

/// The middle of a connection.
pub(super) const DATA: Seen = segment(L4::ACK);
/// A datagram.
pub(super) const DATAGRAM: Seen = Seen {
    l4: L4::Udp,
    bytes: 66,
    in_port: 0,
};

/// Next hops that pins name, and stamps that vouch for them.
const HOPS: usize = 64;
const STAMPS: usize = 4096;

/// Stands in for the routing view: what a pin and its stamp are compared with.
pub(super) struct Truth {
    hops: Vec<AtomicU64>,
    stamps: Vec<AtomicU32>,
}

impl Truth {
    pub(super) fn new() -> Self {
        let stamp = |n: usize| AtomicU32::new(n as u32 * 3 + 1);
        Self {
            hops: (0..HOPS)
                .map(|n| AtomicU64::new(1 << 20 | n as u64))
                .collect(),
            stamps: (0..STAMPS).map(stamp).collect(),
        }
    }

    /// What a packet's flow is pinned to in the packet's direction, and the stamp.
    #[inline]
    pub(super) fn pin(&self, packet: &Packet) -> (PinWord, u32) {
        let hop = self.hops[packet.flow as usize % HOPS].load(Relaxed);
        (PinWord(hop), self.stamp(packet.dst))
    }

    /// Whether a pin and stamp that were found still hold for a packet to `dst`.
    #[inline]
    pub(super) fn holds(&self, pin: PinWord, stamp: u32, dst: u32) -> bool {
        self.hops[pin.0 as usize % HOPS].load(Relaxed) == pin.0 && self.stamp(dst) == stamp
    }

    #[inline]
    fn stamp(&self, dst: u32) -> u32 {
        self.stamps[dst as usize % STAMPS].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_number_is_another_flow_and_a_reply_belongs_to_it() {
        let keys: HashSet<_> = (0..10_000).map(|n| Packet::of(n).key(TCP).0).collect();
        assert_eq!(keys.len(), 10_000);
        let packet = Packet::of(7);
        let ((key, dir), (back, other)) = (packet.key(TCP), packet.reply().key(TCP));
        assert_eq!((key, dir), (back, other.flip()));
    }

    #[test]
    fn a_pin_holds_for_its_packet_and_no_longer_when_the_hop_is_another() {
        let (truth, packet) = (Truth::new(), Packet::of(3));
        let (pin, stamp) = truth.pin(&packet);
        assert!(truth.holds(pin, stamp, packet.dst));
        assert!(!truth.holds(PinWord(pin.0 + (1 << 20)), stamp, packet.dst));
        assert!(!truth.holds(pin, stamp + 1, packet.dst));
    }
}

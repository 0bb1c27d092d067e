//! Flowgate's table, used as a worker does: whole bursts, stage by stage.

use super::world::{DATA, Packet, SECRET, START, TCP, Truth, segment};
use flowtable::{Burst, KeyV4, L4, SLOTS, SlotNo, Table, Tick, Writer};
use std::sync::Arc;

/// Connections for each place of the table, at most: how full it is meant to be.
pub(super) const LOAD: f64 = 0.8;
/// Packets that are taken at once, unless that is what is varied.
pub(super) const BURST: usize = 32;

/// Places of a table that `flows` flows fill to [`LOAD`].
pub(super) fn capacity(flows: usize) -> usize {
    (flows as f64 / LOAD).ceil() as usize
}

/// An empty table, and the one writer of it all.
pub(super) fn table(capacity: usize) -> (Arc<Table<KeyV4>>, Writer<KeyV4>) {
    let table = Table::new(capacity, SECRET, START);
    let writer = table.writer((0..SLOTS as u16).map(SlotNo));
    (table, writer)
}

/// A connection that both sides have opened: three packets, a pin for each direction. Whether there was room.
pub(super) fn establish(writer: &mut Writer<KeyV4>, flow: u32, truth: &Truth, now: Tick) -> bool {
    let packet = Packet::of(flow);
    let flow = packet.flow(writer, TCP);
    let (there, back) = (flow.dir, flow.dir.flip());
    let (slot, hash) = (flow.probe.slot(), flow.probe.hash());
    let syn = segment(L4::SYN);
    let Ok(entry) = writer.insert(slot, hash, &flow.key, there, &syn, now) else {
        return false;
    };
    let _ = writer.observe(entry, back, &segment(L4::SYN | L4::ACK), now);
    let _ = writer.observe(entry, there, &DATA, now);
    for (dir, packet) in [(there, packet), (back, packet.reply())] {
        let (pin, stamp) = truth.pin(&packet);
        writer.set_pin(entry, dir, pin, stamp);
    }
    true
}

/// As [`establish`], every one of `flows`. How many found no room.
pub(super) fn establish_all(
    writer: &mut Writer<KeyV4>,
    flows: std::ops::Range<u32>,
    truth: &Truth,
    now: Tick,
) -> usize {
    flows
        .filter(|flow| !establish(writer, *flow, truth, now))
        .count()
}

/// Takes a burst's flows and starts their lookups.
#[inline]
pub(super) fn stages(
    writer: &Writer<KeyV4>,
    flows: &mut Burst<KeyV4>,
    packets: &[Packet],
    proto: u8,
    now: Tick,
) {
    flows.clear();
    for packet in packets {
        let (key, dir) = packet.key(proto);
        flows.push(packet.slot(writer, proto), &key, dir);
    }
    writer.start(flows, now);
}

/// All that a packet of a known flow costs: hash, find, compare, follow, judge its pin. How many pins hold.
///
/// A burst of one is looked up at once: there is nothing to overlap.
pub(super) fn hits<const N: usize>(
    writer: &mut Writer<KeyV4>,
    packets: &[Packet],
    truth: &Truth,
    now: Tick,
) -> u64 {
    let mut held = 0;
    let mut flows = Burst::new(N);
    for burst in packets.as_chunks::<N>().0 {
        if N > 1 {
            stages(writer, &mut flows, burst, TCP, now);
        }
        for (which, packet) in (0..).zip(burst) {
            let flow = if N > 1 {
                flows.get(which)
            } else {
                Some(packet.flow(writer, TCP))
            };
            let hit = flow.and_then(|flow| writer.touch(&flow, &DATA, now));
            held += hit.map_or(0, |hit| {
                u64::from(truth.holds(hit.pin, hit.stamp, packet.dst))
            });
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_burst_finds_every_pin() {
        let truth = Truth::new();
        let (table, mut writer) = table(capacity(4000));
        assert_eq!(establish_all(&mut writer, 0..2000, &truth, START), 0);
        let packets: Vec<_> = (0..2048).map(|n| Packet::of(n % 2000).reply()).collect();
        assert_eq!(hits::<1>(&mut writer, &packets, &truth, START), 2048);
        assert_eq!(hits::<32>(&mut writer, &packets, &truth, START), 2048);
        let two_way = |view: &flowtable::EntryView<KeyV4>| view.class == flowtable::Class::TwoWay;
        assert!(table.entries().all(|view| two_way(&view)));
    }
}

//! Flowgate's table, used as a worker does: whole bursts, stage by stage.

use super::world::{DATA, Packet, Query, SECRET, START, TCP, Truth, segment};
use flowtable::{
    Dir, Entry, FlowHash, KeyV4, L4, SLOTS, Seen, SlotNo, Table, Tick, Writer, flow_hashes,
};
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
    let query = Query::of(writer, &packet, TCP);
    let (there, back) = (query.dir, query.dir.flip());
    let syn = segment(L4::SYN);
    let Ok(entry) = writer.insert(
        query.probe.slot(),
        query.probe.hash(),
        &query.key,
        there,
        &syn,
        now,
    ) else {
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

/// Computes what a burst needs and asks for the memory that it will touch, stage by stage.
///
/// A burst of one is looked up at once: there is nothing to overlap.
#[inline]
pub(super) fn stages<const N: usize>(
    writer: &Writer<KeyV4>,
    packets: &[Packet; N],
    proto: u8,
) -> [Query; N] {
    if N == 1 {
        return std::array::from_fn(|i| Query::of(writer, &packets[i], proto));
    }
    let named: [(KeyV4, Dir); N] = std::array::from_fn(|i| packets[i].key(proto));
    let mut hashes = [FlowHash(0); N];
    flow_hashes(&SECRET, &named.map(|(key, _)| key), &mut hashes);
    let mut queries: [Query; N] =
        std::array::from_fn(|i| Query::hashed(writer, &packets[i], proto, named[i], hashes[i]));
    for query in &mut queries {
        writer.peek(&mut query.probe);
    }
    queries
}

/// Looks a packet's flow up and follows it.
#[inline]
pub(super) fn touch(
    writer: &mut Writer<KeyV4>,
    query: &Query,
    seen: &Seen,
    now: Tick,
) -> Option<Entry> {
    let entry = writer.lookup_probed(&query.probe, &query.key, now)?;
    let _ = writer.observe(entry, query.dir, seen, now);
    Some(entry)
}

/// All that a packet of a known flow costs: hash, find, compare, follow, judge its pin. How many pins hold.
pub(super) fn hits<const N: usize>(
    writer: &mut Writer<KeyV4>,
    packets: &[Packet],
    truth: &Truth,
    now: Tick,
) -> u64 {
    let mut held = 0;
    for burst in packets.as_chunks::<N>().0 {
        let queries = stages(writer, burst, TCP);
        for (query, packet) in queries.iter().zip(burst) {
            let Some(entry) = touch(writer, query, &DATA, now) else {
                continue;
            };
            let (pin, stamp) = (writer.pin(entry, query.dir), writer.stamp(entry, query.dir));
            held += u64::from(truth.holds(pin, stamp, packet.dst));
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

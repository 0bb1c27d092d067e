//! `flow/*`: the flow table alone, one thread, random flows.
//!
//! - `flow/hit/N`: what a packet of a known connection costs, one after the other: hash, find, observe, read pin and stamp.
//! - `flow/burst/N`: the same in bursts of 32, as a worker does it: all hashes, all tags, all entries, then each packet.
//! - `flow/miss/N`: hash and two buckets, nothing there.
//! - `flow/insert/N`: a new flow gets its entry and pin, and loses it again.
//!
//! N is the number of flows in the table, which has room for twice as many.
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flowtable::{
    Burst, Dir, Entry, FlowHash, KeyV4, L4, OwnerHash, PinWord, SLOTS, Seen, SlotNo, Table,
    TableSecret, Tick, Writer, flow_hash,
};
use std::hint::black_box;
use std::iter::repeat_with;

const SECRET: TableSecret = TableSecret([0x5a; 16]);
const SIZES: [(&str, usize); 3] = [("10k", 10_000), ("64k", 65_536), ("1M", 1 << 20)];
const TCP: u8 = 6;
const SEEN: Seen = Seen {
    l4: L4::Tcp {
        flags: L4::ACK,
        seq: 1,
        ack: 1,
        window: 512,
        len: 26,
    },
    bytes: 66,
    in_port: 0,
};
const NOW: Tick = Tick(100);
const LATER: Tick = Tick(110);
/// Packets that a worker takes at a time.
const BURST: usize = 32;
/// Packets whose keys are ready; a power of two.
const BATCH: usize = 1 << 16;

/// A flow as packets bring it.
#[derive(Clone, Copy)]
struct Flow {
    src: u32,
    sport: u16,
    dst: u32,
}

impl Flow {
    /// A flow whose client has number `client`, so that all differ.
    fn new(client: usize, rng: &mut fastrand::Rng) -> Self {
        Self {
            src: client as u32,
            sport: rng.u16(1024..),
            dst: rng.u32(0x1400_0000..0xdf00_0000),
        }
    }

    /// What is computed for each packet.
    #[inline]
    fn key(&self, owner: &OwnerHash) -> Keyed {
        let slot = owner.slot4(TCP, self.src, self.sport, self.dst, 443);
        let (key, dir) = KeyV4::new(0, TCP, self.src, self.sport, self.dst, 443);
        (slot, flow_hash(&SECRET, &key), key, dir)
    }
}

/// A flow's owner slot, hash, key and direction.
type Keyed = (SlotNo, FlowHash, KeyV4, Dir);

/// A table with `flows` flows, and packets: of flows that it has, and of others.
struct World {
    writer: Writer<KeyV4>,
    known: Vec<Flow>,
    unknown: Vec<Flow>,
}

fn world(flows: usize) -> World {
    let mut rng = fastrand::Rng::with_seed(4);
    let table = Table::new(2 * flows, SECRET, Tick(1));
    let mut writer = table.writer((0..SLOTS as u16).map(SlotNo));
    let inside: Vec<Flow> = (0..flows)
        .map(|client| Flow::new(client, &mut rng))
        .collect();
    let stored = inside
        .iter()
        .filter(|flow| store(&mut writer, flow))
        .count();
    assert!(
        stored * 1000 >= flows * 999,
        "only {stored} of {flows} flows found room"
    );
    let known = repeat_with(|| inside[rng.usize(..flows)])
        .take(BATCH)
        .collect();
    let unknown = (flows..flows + BATCH)
        .map(|client| Flow::new(client, &mut rng))
        .collect();
    World {
        writer,
        known,
        unknown,
    }
}

/// Gives a flow its entry and pin, and makes it an established connection; whether there was room.
fn store(writer: &mut Writer<KeyV4>, flow: &Flow) -> bool {
    let (slot, hash, key, dir) = flow.key(&OwnerHash::new(&SECRET));
    let Ok(entry) = writer.insert(slot, hash, &key, dir, &SEEN, NOW) else {
        return false;
    };
    for dir in [dir.flip(), dir, dir.flip()] {
        let _ = writer.observe(entry, dir, &SEEN, Tick(NOW.0 + 1));
    }
    writer.set_pin(entry, dir, PinWord(1 << 20 | 1), 7);
    true
}

/// What is done with a packet whose entry was looked up.
#[inline]
fn resolve(writer: &mut Writer<KeyV4>, entry: Option<Entry>, dir: Dir) -> Option<(PinWord, u32)> {
    let entry = entry?;
    let _ = black_box(writer.observe(entry, dir, &SEEN, LATER));
    Some((writer.pin(entry, dir), writer.stamp(entry, dir)))
}

/// A packet of a known flow.
#[inline]
fn hit(writer: &mut Writer<KeyV4>, owner: &OwnerHash, flow: &Flow) -> Option<(PinWord, u32)> {
    let (slot, hash, key, dir) = flow.key(owner);
    let entry = writer.lookup(slot, hash, &key, LATER);
    resolve(writer, entry, dir)
}

/// Packets of known flows, a burst.
#[inline]
fn burst(
    writer: &mut Writer<KeyV4>,
    owner: &OwnerHash,
    burst: &mut Burst<KeyV4>,
    flows: &[Flow; BURST],
) {
    burst.clear();
    for f in flows {
        let slot = owner.slot4(TCP, f.src, f.sport, f.dst, 443);
        let (key, dir) = KeyV4::new(0, TCP, f.src, f.sport, f.dst, 443);
        burst.push(slot, &key, dir);
    }
    writer.start(burst, LATER);
    for which in 0..BURST as u32 {
        let flow = burst.get(which);
        black_box(flow.and_then(|flow| writer.touch(&flow, &SEEN, LATER)));
    }
}

fn flow(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow");
    group.throughput(Throughput::Elements(1));
    for (name, flows) in SIZES {
        let World {
            mut writer,
            known,
            unknown,
        } = world(flows);
        let mut at = 0;
        let mut next = |of: &[Flow]| {
            at = (at + 1) % BATCH;
            of[at]
        };
        let owner = OwnerHash::new(&SECRET);
        group.bench_function(BenchmarkId::new("hit", name), |b| {
            b.iter(|| hit(&mut writer, &owner, &next(&known)));
        });
        group.throughput(Throughput::Elements(BURST as u64));
        let (bursts, _) = known.as_chunks::<BURST>();
        let mut turn = 0;
        let mut room = Burst::new(BURST);
        group.bench_function(BenchmarkId::new("burst", name), |b| {
            b.iter(|| {
                turn = (turn + 1) % bursts.len();
                burst(&mut writer, &owner, &mut room, &bursts[turn]);
            });
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("miss", name), |b| {
            b.iter(|| {
                let (slot, hash, key, _) = next(&unknown).key(&owner);
                writer.lookup(slot, hash, &key, NOW)
            });
        });
        group.bench_function(BenchmarkId::new("insert", name), |b| {
            b.iter(|| {
                let flow = next(&unknown);
                let (slot, hash, key, dir) = flow.key(&owner);
                if let Ok(entry) = writer.insert(slot, hash, &key, dir, &SEEN, NOW) {
                    writer.set_pin(entry, dir, PinWord(1 << 20 | 1), 7);
                    writer.remove(entry);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, flow);
criterion_main!(benches);

//! Hash maps that anyone can use, with entries as large as ours and the same work for each packet.
//!
//! They follow no connection: a packet's touch is a store of the last use and an addition to the counters of its
//! direction, which is less than Flowgate's does. None of them takes a burst or asks for memory ahead; they are
//! given bursts all the same, so that what can be held for a burst (papaya's guard) is.

use super::world::{Packet, SECRET, TCP, Truth};
use dashmap::DashMap;
use flowtable::{Dir, KeyV4, PinWord, Tick, flow_hash};
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Packets that are given at once.
const BURST: usize = 32;

/// The other maps.
pub(super) const NAMES: [&str; 4] = ["hashbrown", "dashmap", "papaya", "scc"];

/// How a map hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Hashing {
    /// Flowgate's own keyed hash, SipHash-1-3.
    Keyed,
    /// What the map has of itself.
    Default,
}

impl Hashing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keyed => "SipHash-1-3",
            Self::Default => "its own hash",
        }
    }
}

/// An entry: 48 bytes, 64 with its key, as ours.
#[derive(Debug, Default)]
struct Flow {
    last_use: AtomicU64,
    counts: [AtomicU64; 2],
    pins: [AtomicU64; 2],
    stamps: [AtomicU32; 2],
}

const _: () = assert!(size_of::<(KeyV4, Flow)>() == 64);

impl Flow {
    fn of(packet: &Packet, truth: &Truth) -> Self {
        let flow = Self::default();
        for packet in [*packet, packet.reply()] {
            let dir = packet.key(TCP).1 as usize;
            let (pin, stamp) = truth.pin(&packet);
            flow.pins[dir].store(pin.0, Relaxed);
            flow.stamps[dir].store(stamp, Relaxed);
        }
        flow
    }

    /// Notes a packet; whether its pin holds.
    #[inline]
    fn touch(&self, dir: Dir, packet: &Packet, truth: &Truth, now: Tick) -> bool {
        let dir = dir as usize;
        self.last_use.store(u64::from(now.0), Relaxed);
        let count = self.counts[dir].load(Relaxed).wrapping_add(1 << 34 | 4);
        self.counts[dir].store(count, Relaxed);
        let (pin, stamp) = (&self.pins[dir], &self.stamps[dir]);
        truth.holds(PinWord(pin.load(Relaxed)), stamp.load(Relaxed), packet.dst)
    }
}

/// A key that hashes itself, with the keyed hash of the flow table.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Keyed(KeyV4);

impl Hash for Keyed {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(flow_hash(&SECRET, &self.0).0);
    }
}

impl From<KeyV4> for Keyed {
    #[inline]
    fn from(key: KeyV4) -> Self {
        Self(key)
    }
}

/// Hands on the one word that it is given.
#[derive(Clone, Copy, Default)]
struct Handed(u64);

impl Hasher for Handed {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }
    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

/// A map under test.
pub(super) trait Peer {
    /// Adds flows, pinned; each is new.
    fn fill(&mut self, packets: &[Packet], truth: &Truth);
    /// Finds, touches and judges each packet's flow; how many pins hold.
    fn hits(&mut self, packets: &[Packet], truth: &Truth, now: Tick) -> u64;
}

/// An empty map with room for `flows`, by its name.
pub(super) fn by_name(name: &str, hashing: Hashing, flows: usize) -> Option<Box<dyn Peer>> {
    match hashing {
        Hashing::Keyed => of::<Keyed, BuildHasherDefault<Handed>>(name, flows),
        Hashing::Default if name == "hashbrown" => {
            let map = hashbrown::HashMap::with_capacity(flows);
            Some(plain::<KeyV4, _>(map))
        }
        Hashing::Default => of::<KeyV4, RandomState>(name, flows),
    }
}

fn of<K, S>(name: &str, flows: usize) -> Option<Box<dyn Peer>>
where
    K: From<KeyV4> + Eq + Hash + 'static,
    S: BuildHasher + Default + Clone + 'static,
{
    let hasher = S::default();
    Some(match name {
        "hashbrown" => plain::<K, _>(hashbrown::HashMap::with_capacity_and_hasher(flows, hasher)),
        "dashmap" => plain::<K, _>(DashMap::with_capacity_and_hasher(flows, hasher)),
        "scc" => plain::<K, _>(scc::HashMap::with_capacity_and_hasher(flows, hasher)),
        "papaya" => {
            let map = papaya::HashMap::with_capacity_and_hasher(flows, hasher);
            Box::new(Guarded::<K, S>(map))
        }
        _ => return None,
    })
}

/// A map that is asked for one key at a time.
trait Map<K> {
    fn put(&mut self, key: K, flow: Flow);
    /// What `touch` says of the entry; false if there is none.
    fn look(&self, key: &K, touch: impl FnOnce(&Flow) -> bool) -> bool;
}

impl<K: Eq + Hash, S: BuildHasher> Map<K> for hashbrown::HashMap<K, Flow, S> {
    fn put(&mut self, key: K, flow: Flow) {
        self.insert(key, flow);
    }
    #[inline]
    fn look(&self, key: &K, touch: impl FnOnce(&Flow) -> bool) -> bool {
        self.get(key).is_some_and(touch)
    }
}

impl<K: Eq + Hash, S: BuildHasher + Clone> Map<K> for DashMap<K, Flow, S> {
    fn put(&mut self, key: K, flow: Flow) {
        self.insert(key, flow);
    }
    #[inline]
    fn look(&self, key: &K, touch: impl FnOnce(&Flow) -> bool) -> bool {
        self.get(key).is_some_and(|flow| touch(&flow))
    }
}

impl<K: Eq + Hash, S: BuildHasher> Map<K> for scc::HashMap<K, Flow, S> {
    fn put(&mut self, key: K, flow: Flow) {
        // A flow that is there already would not be replaced; there is none.
        let _ = self.insert_sync(key, flow);
    }
    #[inline]
    fn look(&self, key: &K, touch: impl FnOnce(&Flow) -> bool) -> bool {
        self.read_sync(key, |_, flow| touch(flow)).unwrap_or(false)
    }
}

/// Such a map with its kind of key.
struct Plain<K, M>(M, PhantomData<K>);

fn plain<K: From<KeyV4> + 'static, M: Map<K> + 'static>(map: M) -> Box<dyn Peer> {
    Box::new(Plain(map, PhantomData::<K>))
}

impl<K: From<KeyV4>, M: Map<K>> Peer for Plain<K, M> {
    fn fill(&mut self, packets: &[Packet], truth: &Truth) {
        for packet in packets {
            self.0
                .put(packet.key(TCP).0.into(), Flow::of(packet, truth));
        }
    }

    fn hits(&mut self, packets: &[Packet], truth: &Truth, now: Tick) -> u64 {
        let hit = |packet: &Packet| {
            let (key, dir) = packet.key(TCP);
            let touch = |flow: &Flow| flow.touch(dir, packet, truth, now);
            u64::from(self.0.look(&K::from(key), touch))
        };
        packets.iter().map(hit).sum()
    }
}

/// papaya: what is found is guarded, here for a burst.
struct Guarded<K, S>(papaya::HashMap<K, Flow, S>);

impl<K: From<KeyV4> + Eq + Hash, S: BuildHasher> Peer for Guarded<K, S> {
    fn fill(&mut self, packets: &[Packet], truth: &Truth) {
        for burst in packets.chunks(BURST) {
            let map = self.0.pin();
            for packet in burst {
                map.insert(packet.key(TCP).0.into(), Flow::of(packet, truth));
            }
        }
    }

    fn hits(&mut self, packets: &[Packet], truth: &Truth, now: Tick) -> u64 {
        let mut held = 0;
        for burst in packets.chunks(BURST) {
            let map = self.0.pin();
            for packet in burst {
                let (key, dir) = packet.key(TCP);
                let flow = map.get(&K::from(key));
                held += u64::from(flow.is_some_and(|f| f.touch(dir, packet, truth, now)));
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_finds_every_pin_with_either_hash_and_nothing_else() {
        let truth = Truth::new();
        let flows: Vec<_> = (0..500).map(Packet::of).collect();
        let others: Vec<_> = (500..600).map(Packet::of).collect();
        let replies: Vec<_> = flows.iter().map(|packet| packet.reply()).collect();
        for name in NAMES {
            for hashing in [Hashing::Keyed, Hashing::Default] {
                let mut map = by_name(name, hashing, 500).expect("a map");
                map.fill(&flows, &truth);
                assert_eq!(map.hits(&flows, &truth, Tick(2)), 500, "{name}");
                assert_eq!(map.hits(&replies, &truth, Tick(2)), 500, "{name}");
                assert_eq!(map.hits(&others, &truth, Tick(2)), 0, "{name}");
            }
        }
        assert!(by_name("btree", Hashing::Keyed, 1).is_none());
    }
}

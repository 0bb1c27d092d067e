//! The flows of a burst, looked up side by side: all hashes, then all tags, then all entries, so that the memory that one
//! packet waits for is asked for while others are worked on (design section 5).
//!
//! What comes out is a hint. A packet's own lookup compares again, whatever the packets before it have done.

use super::Path;
use crate::parse::{Addrs, IpMeta, Tuple};
use flowtable::{Dir, FlowHash, Key, KeyV4, KeyV6, Probe, SlotNo, Writer, flow_hashes};

/// A packet's lookup, under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It has none.
    Not,
    /// IPv4: which of the burst's.
    V4(u32),
    /// IPv6: which of the burst's.
    V6(u32),
}

/// A packet's flow: key, direction, and the lookup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow<K> {
    pub(super) key: K,
    pub(super) dir: Dir,
    pub(super) probe: Probe,
}

/// The flows of a burst, of one family.
pub(super) struct Flows<K> {
    keys: Vec<K>,
    ways: Vec<(SlotNo, Dir)>,
    hashes: Vec<FlowHash>,
    probes: Vec<Probe>,
}

impl<K: Key> Flows<K> {
    fn new(most: usize) -> Self {
        Self {
            keys: Vec::with_capacity(most),
            ways: Vec::with_capacity(most),
            hashes: Vec::with_capacity(most),
            probes: Vec::with_capacity(most),
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.ways.clear();
        self.hashes.clear();
        self.probes.clear();
    }

    /// Takes a packet's flow; which one it is.
    #[inline]
    fn take(&mut self, slot: SlotNo, (key, dir): (K, Dir)) -> u32 {
        self.keys.push(key);
        self.ways.push((slot, dir));
        self.keys.len() as u32 - 1
    }

    /// Hashes, then tags, then entries.
    fn start(&mut self, table: &Writer<K>) {
        if self.keys.is_empty() {
            return;
        }
        self.hashes.resize(self.keys.len(), FlowHash(0));
        flow_hashes(table.table().secret(), &self.keys, &mut self.hashes);
        let flows = self.ways.iter().zip(&self.hashes);
        self.probes
            .extend(flows.map(|((slot, _), hash)| table.probe(*slot, *hash)));
        self.probes.iter_mut().for_each(|probe| table.peek(probe));
    }

    /// One of them.
    #[inline]
    pub(super) fn get(&self, which: u32) -> Option<Flow<K>> {
        let which = which as usize;
        Some(Flow {
            key: *self.keys.get(which)?,
            dir: self.ways.get(which)?.1,
            probe: *self.probes.get(which)?,
        })
    }
}

/// The flows of a burst: room that is kept from one to the next.
pub(super) struct Burst {
    pub(super) v4: Flows<KeyV4>,
    pub(super) v6: Flows<KeyV6>,
}

impl Burst {
    /// Room for `most` packets.
    pub(super) fn new(most: usize) -> Self {
        Self {
            v4: Flows::new(most),
            v6: Flows::new(most),
        }
    }
}

/// A flow's key and the direction of a packet.
pub(super) enum Named {
    V4((KeyV4, Dir)),
    V6((KeyV6, Dir)),
}

/// The canonical key of a packet's flow.
#[inline]
pub(super) fn name(meta: &IpMeta) -> Named {
    let Tuple {
        addrs,
        sport,
        dport,
        proto,
    } = meta.tuple;
    let fib = meta.fib.0;
    match addrs {
        Addrs::V4 { src, dst } => Named::V4(KeyV4::new(fib, proto, src, sport, dst, dport)),
        Addrs::V6 { src, dst } => Named::V6(KeyV6::new(fib, proto, src, sport, dst, dport)),
    }
}

impl Path {
    /// Starts the lookups of a burst's packets: of each its flow's slot and what was read of it, `None` if it has no
    /// flow. What `out` gets, one for each, is for [`resolve_ready`](Self::resolve_ready), until the next burst.
    pub fn ready<'m>(
        &mut self,
        flows: impl Iterator<Item = Option<(SlotNo, &'m IpMeta)>>,
        out: &mut Vec<Ready>,
    ) {
        let Burst { v4, v6 } = &mut self.burst;
        v4.clear();
        v6.clear();
        out.extend(
            flows.map(|flow| match flow.map(|(slot, meta)| (slot, name(meta))) {
                Some((slot, Named::V4(named))) => Ready::V4(v4.take(slot, named)),
                Some((slot, Named::V6(named))) => Ready::V6(v6.take(slot, named)),
                None => Ready::Not,
            }),
        );
        v4.start(&self.flows4);
        v6.start(&self.flows6);
    }
}

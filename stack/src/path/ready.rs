//! The flows of a burst, looked up side by side: all hashes, then all tags, then all entries, so that the memory that one
//! packet waits for is asked for while others are worked on (design section 5).
//!
//! What comes out is a hint. A packet's own lookup compares again, whatever the packets before it have done.

use super::Path;
use crate::parse::{Addrs, IpMeta, Tuple};
use flowtable::{Dir, FlowHash, KeyV4, KeyV6, Probe, SlotNo, flow_hashes};

/// A flow's key and the direction of a packet.
#[derive(Clone, Copy)]
enum Named {
    V4(KeyV4, Dir),
    V6(KeyV6, Dir),
}

/// A packet's flow, its lookup under way.
#[derive(Clone, Copy, Debug)]
pub enum Ready {
    /// IPv4.
    V4(Flow<KeyV4>),
    /// IPv6.
    V6(Flow<KeyV6>),
}

/// A flow's key, the direction of a packet, and the lookup.
#[derive(Clone, Copy, Debug)]
pub struct Flow<K> {
    pub(super) key: K,
    pub(super) dir: Dir,
    pub(super) probe: Probe,
}

/// Room for a burst, kept from one to the next.
#[derive(Default)]
pub(super) struct Burst {
    named: Vec<Option<(SlotNo, Named)>>,
    keys4: Vec<KeyV4>,
    keys6: Vec<KeyV6>,
    hashes4: Vec<FlowHash>,
    hashes6: Vec<FlowHash>,
}

impl Burst {
    /// Room for `most` packets.
    pub(super) fn new(most: usize) -> Self {
        Self {
            named: Vec::with_capacity(most),
            keys4: Vec::with_capacity(most),
            keys6: Vec::with_capacity(most),
            hashes4: Vec::with_capacity(most),
            hashes6: Vec::with_capacity(most),
        }
    }

    /// Takes the flows' keys.
    fn take<'m>(&mut self, flows: impl Iterator<Item = Option<(SlotNo, &'m IpMeta)>>) {
        self.named.clear();
        self.keys4.clear();
        self.keys6.clear();
        for flow in flows {
            let named = flow.map(|(slot, meta)| (slot, name(meta)));
            match named {
                Some((_, Named::V4(key, _))) => self.keys4.push(key),
                Some((_, Named::V6(key, _))) => self.keys6.push(key),
                None => {}
            }
            self.named.push(named);
        }
        self.hashes4.resize(self.keys4.len(), FlowHash(0));
        self.hashes6.resize(self.keys6.len(), FlowHash(0));
    }
}

/// The canonical key of a packet's flow.
#[inline]
fn name(meta: &IpMeta) -> Named {
    let Tuple {
        addrs,
        sport,
        dport,
        proto,
    } = meta.tuple;
    let fib = meta.fib.0;
    match addrs {
        Addrs::V4 { src, dst } => {
            let (key, dir) = KeyV4::new(fib, proto, src, sport, dst, dport);
            Named::V4(key, dir)
        }
        Addrs::V6 { src, dst } => {
            let (key, dir) = KeyV6::new(fib, proto, src, sport, dst, dport);
            Named::V6(key, dir)
        }
    }
}

impl Path {
    /// Starts the lookups of a burst's packets: of each its flow's slot and what was read of it, `None` if it has no
    /// flow. What `out` gets, one for each, is for [`resolve_ready`](Self::resolve_ready).
    pub fn ready<'m>(
        &mut self,
        flows: impl Iterator<Item = Option<(SlotNo, &'m IpMeta)>>,
        out: &mut Vec<Option<Ready>>,
    ) {
        let Self {
            burst,
            flows4,
            flows6,
            ..
        } = self;
        burst.take(flows);
        flow_hashes(flows4.table().secret(), &burst.keys4, &mut burst.hashes4);
        flow_hashes(flows6.table().secret(), &burst.keys6, &mut burst.hashes6);
        let mut hashes = (burst.hashes4.iter(), burst.hashes6.iter());
        let from = out.len();
        out.extend(burst.named.iter().map(|named| match *named.as_ref()? {
            (slot, Named::V4(key, dir)) => {
                let probe = flows4.probe(slot, *hashes.0.next()?);
                Some(Ready::V4(Flow { key, dir, probe }))
            }
            (slot, Named::V6(key, dir)) => {
                let probe = flows6.probe(slot, *hashes.1.next()?);
                Some(Ready::V6(Flow { key, dir, probe }))
            }
        }));
        for ready in out.iter_mut().skip(from).flatten() {
            match ready {
                Ready::V4(flow) => flows4.peek(&mut flow.probe),
                Ready::V6(flow) => flows6.peek(&mut flow.probe),
            }
        }
    }

    /// The lookup of one packet by itself.
    pub(super) fn alone(&self, slot: SlotNo, meta: &IpMeta) -> Ready {
        match name(meta) {
            Named::V4(key, dir) => {
                let probe = self.flows4.probe(slot, self.flows4.hash(&key));
                Ready::V4(Flow { key, dir, probe })
            }
            Named::V6(key, dir) => {
                let probe = self.flows6.probe(slot, self.flows6.hash(&key));
                Ready::V6(Flow { key, dir, probe })
            }
        }
    }
}

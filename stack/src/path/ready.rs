//! The flows of a burst, whose lookups begin side by side (`flowtable::Burst`). A packet's own lookup compares again,
//! whatever the packets before it have done.

use super::Path;
use super::missed::Ways;
use crate::parse::{Addrs, IpMeta, Tuple};
use crate::time::Now;
use flowtable::{Burst, Dir, Key, KeyV4, KeyV6, SlotNo, Tick, Writer};

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

/// The flows of a burst: room that is kept from one to the next.
pub(super) struct Bursts {
    pub(super) v4: Burst<KeyV4>,
    pub(super) v6: Burst<KeyV6>,
    pub(super) ways4: Ways<KeyV4>,
    pub(super) ways6: Ways<KeyV6>,
}

impl Bursts {
    /// Room for `most` packets.
    pub(super) fn new(most: usize) -> Self {
        Self {
            v4: Burst::new(most),
            v6: Burst::new(most),
            ways4: Ways::new(most),
            ways6: Ways::new(most),
        }
    }
}

/// A flow's key and the direction of a packet.
pub(crate) enum Named {
    V4((KeyV4, Dir)),
    V6((KeyV6, Dir)),
}

/// The canonical key of a packet's flow.
#[inline(always)]
pub(crate) fn name(meta: &IpMeta) -> Named {
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

impl Bursts {
    /// Takes a packet's flow among those of the burst.
    #[inline(always)]
    fn take(&mut self, flow: Option<(SlotNo, &IpMeta)>) -> Ready {
        match flow.map(|(slot, meta)| (slot, name(meta))) {
            Some((slot, Named::V4((key, dir)))) => Ready::V4(self.v4.push(slot, &key, dir)),
            Some((slot, Named::V6((key, dir)))) => Ready::V6(self.v6.push(slot, &key, dir)),
            None => Ready::Not,
        }
    }
}

/// Starts the lookups in one table. How many flows are not there, as it seems.
#[inline]
fn begin<K: Key>(cached: bool, flows: &Writer<K>, burst: &mut Burst<K>, now: Tick) -> usize {
    match cached {
        true => flows.start(burst, now),
        false => burst.hold_all_back(),
    }
}

impl Path {
    /// Starts the lookups of a burst's packets: of each its flow's slot and what was read of it, `None` if it has no
    /// flow. What `out` gets, one for each, is for [`resolve_ready`](Self::resolve_ready), until the next burst.
    #[inline]
    pub fn ready<'m>(
        &mut self,
        flows: impl Iterator<Item = Option<(SlotNo, &'m IpMeta)>>,
        now: Now,
        out: &mut Vec<Ready>,
    ) {
        let bursts = &mut self.bursts;
        bursts.v4.clear();
        bursts.v6.clear();
        for flow in flows {
            out.push(bursts.take(flow));
        }
        let (s, tick) = (&self.shared, now.tick());
        let Bursts {
            v4,
            v6,
            ways4,
            ways6,
        } = bursts;
        if !v4.is_empty() {
            let missed = begin(self.cached, &self.flows4, v4, tick);
            ways4.find(v4, missed, s);
        }
        if !v6.is_empty() {
            let missed = begin(self.cached, &self.flows6, v6, tick);
            ways6.find(v6, missed, s);
        }
    }
}

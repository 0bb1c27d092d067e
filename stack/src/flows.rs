//! Flows as listings see them, the filter that `flow list` and `flow flush` share, and the flush itself.

use flowtable::{Dir, EntryView, Key};
use route::{NhopIdx, Pin};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{
    AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
};

/// Which flows are meant; an empty filter means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Either end lies in this network.
    pub addr: Option<(IpAddr, u8)>,
    /// Either end has this port.
    pub port: Option<u16>,
    /// Transport protocol.
    pub proto: Option<u8>,
    /// Either direction is pinned to one of these next hops.
    pub nhops: Option<Vec<NhopIdx>>,
    /// Owned by this worker.
    pub worker: Option<usize>,
    /// In this state, by its listing name.
    pub state: Option<String>,
}

impl FlowFilter {
    /// Whether an entry that `worker` owns is meant.
    pub fn matches<K: Key>(&self, entry: &EntryView<K>, worker: usize) -> bool {
        let (a, b) = entry.key.ends();
        let either = |test: &dyn Fn(&SocketAddr) -> bool| test(&a) || test(&b);
        self.worker.is_none_or(|w| w == worker)
            && self.proto.is_none_or(|p| p == entry.key.proto())
            && self.port.is_none_or(|p| either(&|end| end.port() == p))
            && self
                .addr
                .is_none_or(|(net, len)| either(&|end| covers(net, len, end.ip())))
            && self
                .state
                .as_ref()
                .is_none_or(|s| entry.state.name().eq_ignore_ascii_case(s))
            && self
                .nhops
                .as_ref()
                .is_none_or(|n| pins_of(entry).iter().any(|p| n.contains(&p.idx())))
    }
}

/// The pins of an entry, in the order of [`Dir`].
pub fn pins_of<K: Key>(entry: &EntryView<K>) -> [Pin; 2] {
    [Dir::Fwd, Dir::Rev].map(|dir| Pin::from_raw(entry.pins[dir as usize].0))
}

fn covers(net: IpAddr, len: u8, addr: IpAddr) -> bool {
    match (net, addr) {
        (IpAddr::V4(n), IpAddr::V4(a)) => {
            let shift = 32 - u32::from(len.min(32));
            (n.to_bits() ^ a.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(n), IpAddr::V6(a)) => {
            let shift = 128 - u32::from(len.min(128));
            (n.to_bits() ^ a.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// A flush in progress: each worker removes its own, in slices between bursts.
#[derive(Debug)]
pub struct FlushJob {
    /// Which flows go.
    pub filter: FlowFilter,
    removed: AtomicU64,
    workers_left: AtomicUsize,
}

impl FlushJob {
    /// A job for `workers` workers.
    pub fn new(filter: FlowFilter, workers: usize) -> Self {
        Self {
            filter,
            removed: AtomicU64::new(0),
            workers_left: AtomicUsize::new(workers),
        }
    }

    /// Flows removed so far.
    pub fn removed(&self) -> u64 {
        self.removed.load(Relaxed)
    }

    /// Whether every worker is through.
    pub fn done(&self) -> bool {
        self.workers_left.load(Acquire) == 0
    }

    /// A worker is through, having removed `n`.
    pub(crate) fn worker_done(&self, n: u64) {
        self.removed.fetch_add(n, Relaxed);
        self.workers_left.fetch_sub(1, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_covers_its_own_addresses_only() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        assert!(covers(ip("10.0.0.0"), 8, ip("10.255.0.1")));
        assert!(!covers(ip("10.0.0.0"), 8, ip("11.0.0.0")));
        assert!(covers(ip("0.0.0.0"), 0, ip("203.0.113.1")));
        assert!(!covers(ip("0.0.0.0"), 0, ip("::1")));
        assert!(covers(ip("2001:db8::"), 32, ip("2001:db8:ffff::1")));
        assert!(!covers(ip("2001:db8::1"), 128, ip("2001:db8::2")));
    }
}

//! The collector's datagrams: a fixed slab, found by chained hash, each in one of three queues by age.
//!
//! Indices only; built once, never grown. A queue's order is the order in which datagrams entered it, and
//! as time does not go back, also that of their `since_ms`: its oldest is always the next to expire.
//! Private to the collector, used by its worker alone.

use super::Known;
use crate::parse::{Addrs, IpMeta};
use route::FibId;
use std::ops::{Index, IndexMut};

/// No datagram, or no piece.
pub(super) const NONE: Idx = Idx(u32::MAX);

/// An index into a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Idx(u32);

/// A datagram's place.
pub(super) type DatagramIdx = Idx;
/// A waiting piece's place.
pub(super) type PieceIdx = Idx;

impl Idx {
    /// The index of place `i`.
    pub(super) fn at(i: usize) -> Self {
        Self(i as u32)
    }

    /// The place; meaningless for [`NONE`].
    pub(super) fn get(self) -> usize {
        self.0 as usize
    }
}

/// What identifies a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) addrs: Addrs,
    /// 0 for IPv6 (RFC 8200 §4.5).
    pub(super) proto: u8,
    pub(super) id: u32,
    /// Datagrams of two FIBs may have all else in common.
    pub(super) fib: FibId,
}

impl Key {
    pub(super) fn of(meta: &IpMeta, id: u32) -> Self {
        let proto = if meta.addrs.is_v6() { 0 } else { meta.proto };
        Self {
            addrs: meta.addrs,
            proto,
            id,
            fib: meta.fib,
        }
    }
}

/// Why a datagram is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Its first piece has not come, and pieces wait for it.
    Waiting,
    /// Its tuple is known, and more pieces are to come.
    Open,
    /// Its tuple is known, and as many bytes were seen as it has: only duplicates are to come.
    Done,
}

/// One datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) key: Key,
    /// `None` exactly while it is in [`Queue::Waiting`].
    pub(super) known: Option<Known>,
    pub(super) queue: Queue,
    /// When it entered its queue.
    pub(super) since_ms: u64,
    /// Payload bytes seen, duplicates included.
    pub(super) seen: u32,
    /// Payload bytes in all; 0 until the last piece was seen.
    pub(super) total: u32,
    /// Chain of waiting pieces.
    pub(super) first: PieceIdx,
    pub(super) last: PieceIdx,
    /// Where the source's waiting pieces are counted.
    pub(super) cell: u16,
    bucket: u32,
    /// Next in the bucket; next free place.
    chain: DatagramIdx,
    older: DatagramIdx,
    newer: DatagramIdx,
}

impl Datagram {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            known: None,
            queue: Queue::Waiting,
            since_ms: 0,
            seen: 0,
            total: 0,
            first: NONE,
            last: NONE,
            cell: 0,
            bucket: 0,
            chain: NONE,
            older: NONE,
            newer: NONE,
        }
    }
}

/// Both ends of a queue.
#[derive(Clone, Copy, Debug)]
struct Ends {
    oldest: DatagramIdx,
    newest: DatagramIdx,
    len: usize,
}

/// The datagrams of one collector.
#[derive(Debug)]
pub(super) struct Table {
    slab: Box<[Datagram]>,
    buckets: Box<[DatagramIdx]>,
    free: DatagramIdx,
    queues: [Ends; 3],
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        let nobody = Key {
            addrs: Addrs::default(),
            proto: 0,
            fib: FibId(0),
            id: 0,
        };
        let slab = (0..capacity).map(|i| {
            let chain = if i + 1 < capacity {
                Idx::at(i + 1)
            } else {
                NONE
            };
            Datagram {
                chain,
                ..Datagram::new(nobody)
            }
        });
        Self {
            slab: slab.collect(),
            buckets: vec![NONE; (capacity * 2).next_power_of_two()].into_boxed_slice(),
            free: if capacity > 0 { Idx::at(0) } else { NONE },
            queues: [Ends {
                oldest: NONE,
                newest: NONE,
                len: 0,
            }; 3],
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(|ends| ends.len).sum()
    }

    /// Datagrams in a queue.
    pub(super) fn queued(&self, queue: Queue) -> usize {
        self.queues[queue as usize].len
    }

    /// The one that entered the same queue next.
    pub(super) fn newer(&self, at: DatagramIdx) -> Option<DatagramIdx> {
        Some(self[at].newer).filter(|&at| at != NONE)
    }

    /// The one that entered a queue first.
    pub(super) fn oldest(&self, queue: Queue) -> Option<DatagramIdx> {
        Some(self.queues[queue as usize].oldest).filter(|&at| at != NONE)
    }

    pub(super) fn find(&self, hash: u64, key: &Key) -> Option<DatagramIdx> {
        let mut at = self.buckets[self.bucket(hash)];
        while at != NONE {
            let datagram = &self[at];
            if datagram.key == *key {
                return Some(at);
            }
            at = datagram.chain;
        }
        None
    }

    /// Puts a datagram that is not in the table into it; `None` if it is full.
    pub(super) fn insert(
        &mut self,
        datagram: Datagram,
        hash: u64,
        queue: Queue,
        now_ms: u64,
    ) -> Option<DatagramIdx> {
        let at = Some(self.free).filter(|&at| at != NONE)?;
        let bucket = self.bucket(hash);
        self.free = self[at].chain;
        self[at] = Datagram {
            bucket: bucket as u32,
            chain: self.buckets[bucket],
            ..datagram
        };
        self.buckets[bucket] = at;
        self.link(at, queue, now_ms);
        Some(at)
    }

    /// Frees a datagram's place. Its waiting pieces have been released.
    pub(super) fn remove(&mut self, at: DatagramIdx) {
        debug_assert!(self[at].first == NONE, "pieces would be lost");
        self.unlink(at);
        let (bucket, rest) = (self[at].bucket as usize, self[at].chain);
        if self.buckets[bucket] == at {
            self.buckets[bucket] = rest;
        } else {
            let mut before = self.buckets[bucket];
            while self[before].chain != at {
                before = self[before].chain;
            }
            self[before].chain = rest;
        }
        self[at].chain = self.free;
        self.free = at;
    }

    /// Makes it the newest of a queue.
    pub(super) fn move_to(&mut self, at: DatagramIdx, queue: Queue, now_ms: u64) {
        self.unlink(at);
        self.link(at, queue, now_ms);
    }

    fn bucket(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    fn link(&mut self, at: DatagramIdx, queue: Queue, now_ms: u64) {
        let ends = &mut self.queues[queue as usize];
        let older = std::mem::replace(&mut ends.newest, at);
        ends.len += 1;
        if older == NONE {
            ends.oldest = at;
        } else {
            self[older].newer = at;
        }
        let datagram = &mut self[at];
        (datagram.older, datagram.newer) = (older, NONE);
        (datagram.queue, datagram.since_ms) = (queue, now_ms);
    }

    fn unlink(&mut self, at: DatagramIdx) {
        let Datagram {
            queue,
            older,
            newer,
            ..
        } = self[at];
        if older == NONE {
            self.queues[queue as usize].oldest = newer;
        } else {
            self[older].newer = newer;
        }
        if newer == NONE {
            self.queues[queue as usize].newest = older;
        } else {
            self[newer].older = older;
        }
        self.queues[queue as usize].len -= 1;
    }
}

impl Index<DatagramIdx> for Table {
    type Output = Datagram;

    fn index(&self, at: DatagramIdx) -> &Datagram {
        &self.slab[at.get()]
    }
}

impl IndexMut<DatagramIdx> for Table {
    fn index_mut(&mut self, at: DatagramIdx) -> &mut Datagram {
        &mut self.slab[at.get()]
    }
}

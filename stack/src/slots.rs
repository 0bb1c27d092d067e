//! Which worker owns each slot, and how a slot changes its worker (design section 3).
//!
//! Control writes, every worker reads; a version says when to read again, and what is read is one version whole: never a part
//! of the next one, of which those whom a packet is handed to could not know yet. A slot moves in three steps:
//!
//! 1. *closed* ([`Slots::close`]): its word names the new owner. From the burst in which a worker reads it, it hands the
//!    slot's packets to the new owner; the old owner too, which gives its sub-table up. The new owner parks them.
//! 2. *marked* ([`Slots::mark`]), once every worker has been quiescent since: nobody sends to the old owner any more. A
//!    worker that reads this version says so ([`Slots::drained`]) after it has passed on all that its rings held by then.
//! 3. *open* ([`Slots::open`]), once all have said so: what came through the old owner is in the new owner's ring, and what
//!    else it sent is where it went (a piece goes from its collector to its flow's owner). The new owner takes the sub-table,
//!    after all that *its* rings held by then is parked, and lets what is parked go: first what came through the old owner,
//!    whose name stays in the word: one that slept until now has read nothing of the move before.
//!
//! So no packet overtakes another of its flow, nor a piece one of its datagram, and two workers never write one sub-table. A
//! worker reads the words after it has taken packets from its rings: what it knows is at least as new as what their senders
//! knew, and nothing is handed back. A slot does not move again before its new owner has said that it has it.

#[cfg(test)]
mod actors;
pub(crate) mod follow;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod orders;
pub(crate) mod plan;

use crossbeam_utils::CachePadded;
use flowtable::{SLOTS, SlotNo};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

/// Which worker owns each slot.
pub type SlotMap = [u16; SLOTS];

/// A slot map for so many workers: as even as 256 slots allow.
pub fn even_slots(workers: usize) -> SlotMap {
    std::array::from_fn(|slot| (slot % workers.max(1)) as u16)
}

/// A slot that changes its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub slot: SlotNo,
    /// Its owner until now.
    pub from: u16,
    /// Its owner from now on.
    pub to: u16,
}

/// What is published of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its worker; while it is closed, the one that it goes to.
    pub worker: u16,
    /// The worker that it comes from, or came from when it last moved. Who reads that a slot is open may never have read that
    /// it was closed.
    pub from: u16,
    /// It is on its way.
    pub closed: bool,
}

/// Workers are less than this: 10 bits.
const WORKERS: u32 = 1 << 10;
const CLOSED: u32 = 1 << 31;

impl Owner {
    fn word(self) -> u32 {
        let closed = if self.closed { CLOSED } else { 0 };
        closed | u32::from(self.from) << 10 | u32::from(self.worker)
    }

    fn of(word: u32) -> Self {
        Self {
            worker: (word % WORKERS) as u16,
            from: ((word >> 10) % WORKERS) as u16,
            closed: word & CLOSED != 0,
        }
    }
}

/// What one version stands for, as it is published.
#[derive(Debug)]
struct Published {
    words: Box<[AtomicU32]>,
    active: AtomicU32,
}

impl Published {
    fn new(map: &[u16], active: usize) -> Self {
        let open = |&worker: &u16| Owner {
            worker,
            from: worker,
            closed: false,
        };
        let words = map.iter().map(|worker| AtomicU32::new(open(worker).word()));
        Self {
            words: words.collect(),
            active: AtomicU32::new(active as u32),
        }
    }

    fn copy_from(&self, other: &Self) {
        for (to, from) in self.words.iter().zip(&other.words) {
            to.store(from.load(Acquire), Release);
        }
        self.active.store(other.active.load(Acquire), Release);
    }

    fn set(&self, slot: SlotNo, owner: Owner) {
        if let Some(word) = self.words.get(usize::from(slot.0)) {
            word.store(owner.word(), Release);
        }
    }
}

/// All that one version stands for.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The version.
    pub version: u32,
    /// How many workers own slots, or will.
    pub active: usize,
    words: [u32; SLOTS],
    len: usize,
}

impl Snapshot {
    /// Of every slot what is published.
    pub fn owners(&self) -> impl Iterator<Item = (SlotNo, Owner)> + '_ {
        let words = self.words.iter().take(self.len).enumerate();
        words.map(|(slot, word)| (SlotNo(slot as u16), Owner::of(*word)))
    }

    /// Who owns which slot, or gets it.
    pub fn map(&self) -> SlotMap {
        self.words.map(|word| Owner::of(word).worker)
    }
}

/// The slots of a gateway.
#[derive(Debug)]
pub struct Slots {
    /// The version that is published is one of them, by its lowest bit; control writes the other.
    copies: [Published; 2],
    version: CachePadded<AtomicU32>,
    /// For each worker: the last version at which it had passed on all that its rings held.
    drained: Box<[CachePadded<AtomicU32>]>,
}

impl Slots {
    /// As `map` says, for `workers` workers, of which `active` own slots.
    pub fn new(map: &[u16], workers: usize, active: usize) -> Self {
        Self {
            copies: [(); 2].map(|()| Published::new(map, active)),
            version: CachePadded::new(AtomicU32::new(1)),
            drained: (0..workers)
                .map(|_| CachePadded::new(AtomicU32::new(1)))
                .collect(),
        }
    }

    fn copy(&self, version: u32) -> &Published {
        let [even, odd] = &self.copies;
        if version.is_multiple_of(2) { even } else { odd }
    }

    /// What is published: one version whole, never a part of the next. Reads again if control has published meanwhile; never
    /// waits for control, which may stand still anywhere.
    pub fn snapshot(&self) -> Snapshot {
        loop {
            let version = self.version();
            let copy = self.copy(version);
            let mut snapshot = Snapshot {
                version,
                active: copy.active.load(Acquire) as usize,
                words: [0; SLOTS],
                len: copy.words.len(),
            };
            for (to, word) in snapshot.words.iter_mut().zip(&copy.words) {
                *to = word.load(Acquire);
            }
            // Who has read a word of the version after next finds here that the next one was published.
            if self.version() == version {
                return snapshot;
            }
        }
    }

    /// Who owns which slot, or gets it.
    pub fn map(&self) -> SlotMap {
        self.snapshot().map()
    }

    /// Who owns a slot, or gets it.
    pub fn owner(&self, slot: SlotNo) -> u16 {
        self.map()[usize::from(slot.0) % SLOTS]
    }

    /// What version is published. Who has read it finds with [`Self::snapshot`] what it stands for, or what is newer.
    #[inline]
    pub fn version(&self) -> u32 {
        self.version.load(Acquire)
    }

    /// How many workers own slots, or will.
    pub fn active(&self) -> usize {
        self.snapshot().active
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.drained.len()
    }

    /// Control: publishes the next version, which differs from this one by `change`; returns it.
    fn publish(&self, change: impl FnOnce(&Published)) -> u32 {
        let version = self.version();
        let next = version.wrapping_add(1);
        self.copy(next).copy_from(self.copy(version));
        change(self.copy(next));
        self.version.store(next, Release);
        next
    }

    /// Control: how many workers are to own slots.
    pub(crate) fn set_active(&self, active: usize) {
        self.publish(|next| next.active.store(active as u32, Release));
    }

    /// Control, step 1.
    pub(crate) fn close(&self, moves: &[Move]) {
        self.publish_moves(moves, true);
    }

    /// Control, step 2; returns the version to wait for.
    pub(crate) fn mark(&self) -> u32 {
        self.publish(|_| {})
    }

    /// Control, step 3; returns the version to wait for.
    pub(crate) fn open(&self, moves: &[Move]) -> u32 {
        self.publish_moves(moves, false)
    }

    fn publish_moves(&self, moves: &[Move], closed: bool) -> u32 {
        self.publish(|next| {
            for Move { slot, from, to } in moves {
                let (worker, from) = (*to, *from);
                let owner = Owner {
                    worker,
                    from,
                    closed,
                };
                next.set(*slot, owner);
            }
        })
    }

    /// Worker: all that its rings held when it read this version has been passed on.
    pub(crate) fn drained(&self, worker: usize, version: u32) {
        if let Some(drained) = self.drained.get(worker) {
            drained.store(version, Release);
        }
    }

    /// Control: whether a worker has said so of this version or a later one.
    pub(crate) fn has_drained(&self, worker: u16, version: u32) -> bool {
        let drained = self.drained.get(usize::from(worker));
        drained.is_none_or(|drained| drained.load(Acquire).wrapping_sub(version) as i32 >= 0)
    }
}

//! Which worker owns each slot, and how a slot changes its worker (design section 3).
//!
//! Control writes, every worker reads; a version says when to read again. A slot moves in three steps:
//!
//! 1. *closed* ([`Slots::close`]): the word names the new owner. From the burst in which a worker reads it, it hands the
//!    slot's packets to the new owner; the old owner too, which gives its sub-table up. The new owner parks them.
//! 2. *marked* ([`Slots::mark`]), once every worker has been quiescent since: nobody sends to the old owner any more. A
//!    worker that reads this version says so ([`Slots::drained`]) after it has passed on all that its rings held by then.
//! 3. *open* ([`Slots::open`]), once the old owner has said so: all that came through it is in the new owner's ring. The
//!    new owner takes the sub-table, after all that *its* rings held by then is parked, and lets what is parked go: first what
//!    came through the old owner.
//!
//! So no packet overtakes another of its flow, and two workers never write one sub-table. A worker reads the words after it
//! has taken packets from its rings: what it knows is at least as new as what their senders knew, and nothing is handed
//! back. A slot does not move again before its new owner has said that it has it.

pub(crate) mod follow;
#[cfg(all(test, loom))]
mod model;
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
    /// The worker that it comes from, while it is closed.
    pub from: Option<u16>,
}

/// Workers are less than this: 10 bits.
const WORKERS: u32 = 1 << 10;
const CLOSED: u32 = 1 << 31;

impl Owner {
    fn word(self) -> u32 {
        let from = self.from.map_or(0, |from| CLOSED | u32::from(from) << 10);
        u32::from(self.worker) | from
    }

    fn of(word: u32) -> Self {
        let from = (word >> 10) % WORKERS;
        Self {
            worker: (word % WORKERS) as u16,
            from: (word & CLOSED != 0).then_some(from as u16),
        }
    }
}

/// The slots of a gateway.
#[derive(Debug)]
pub struct Slots {
    words: Box<[AtomicU32]>,
    version: CachePadded<AtomicU32>,
    active: AtomicU32,
    /// For each worker: the last version at which it had passed on all that its rings held.
    drained: Box<[CachePadded<AtomicU32>]>,
}

impl Slots {
    /// As `map` says, for `workers` workers, of which `active` own slots.
    pub fn new(map: &[u16], workers: usize, active: usize) -> Self {
        let word = |worker: &u16| {
            let (worker, from) = (*worker, None);
            AtomicU32::new(Owner { worker, from }.word())
        };
        Self {
            words: map.iter().map(word).collect(),
            version: CachePadded::new(AtomicU32::new(1)),
            active: AtomicU32::new(active as u32),
            drained: (0..workers)
                .map(|_| CachePadded::new(AtomicU32::new(1)))
                .collect(),
        }
    }

    /// Of every slot what is published.
    pub fn owners(&self) -> impl Iterator<Item = (SlotNo, Owner)> + '_ {
        let words = self.words.iter().enumerate();
        words.map(|(slot, word)| (SlotNo(slot as u16), Owner::of(word.load(Acquire))))
    }

    /// Who owns which slot, or gets it.
    pub fn map(&self) -> SlotMap {
        let mut map = [0; SLOTS];
        for (to, (_, owner)) in map.iter_mut().zip(self.owners()) {
            *to = owner.worker;
        }
        map
    }

    /// Who owns a slot, or gets it.
    pub fn owner(&self, slot: SlotNo) -> u16 {
        let word = self
            .words
            .get(usize::from(slot.0) % self.words.len().max(1));
        word.map_or(0, |word| Owner::of(word.load(Acquire)).worker)
    }

    /// What version is published. Who has read it and then reads the words finds what it stands for, or what is newer.
    #[inline]
    pub fn version(&self) -> u32 {
        self.version.load(Acquire)
    }

    /// How many workers own slots, or will.
    pub fn active(&self) -> usize {
        self.active.load(Acquire) as usize
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.drained.len()
    }

    /// Control: how many workers are to own slots.
    pub(crate) fn set_active(&self, active: usize) {
        self.active.store(active as u32, Release);
        self.mark();
    }

    /// Control, step 1.
    pub(crate) fn close(&self, moves: &[Move]) {
        for Move { slot, from, to } in moves {
            let (worker, from) = (*to, Some(*from));
            self.store(*slot, Owner { worker, from });
        }
        self.mark();
    }

    /// Control, step 2; returns the version to wait for.
    pub(crate) fn mark(&self) -> u32 {
        let next = self.version.load(Acquire).wrapping_add(1);
        self.version.store(next, Release);
        next
    }

    /// Control, step 3; returns the version to wait for.
    pub(crate) fn open(&self, moves: &[Move]) -> u32 {
        for Move { slot, to, .. } in moves {
            let (worker, from) = (*to, None);
            self.store(*slot, Owner { worker, from });
        }
        self.mark()
    }

    fn store(&self, slot: SlotNo, owner: Owner) {
        if let Some(word) = self.words.get(usize::from(slot.0)) {
            word.store(owner.word(), Release);
        }
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

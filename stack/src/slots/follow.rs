//! What one worker knows of the slots, and what it still has to do before it may say so.

use super::{Owner, SlotMap, Slots, Snapshot};
use flowtable::{SLOTS, SlotNo};
use std::sync::Arc;

/// In a worker's own map: the slot is its own, but it does not have it yet.
pub(crate) const PARKS: u16 = 1 << 15;

/// A worker's view of the slots.
pub(crate) struct Following {
    pub(crate) slots: Arc<Slots>,
    id: u16,
    version: u32,
    /// How many workers own slots, or will.
    pub(crate) active: usize,
    /// Each slot's owner, with [`PARKS`] if that is this worker and it does not have the slot yet.
    map: SlotMap,
    /// Whom a parked slot comes from.
    from: SlotMap,
    /// Slots are on their way to whomever.
    closed: bool,
    /// No slot is on its way, as far as this worker knows.
    pub(crate) calm: bool,
    /// Whether control was told that all that the rings held at this version has been passed on.
    pub(crate) settled: bool,
    /// Of each ring, how many packets it still holds of those.
    left: Box<[usize]>,
    /// Where the packets of each ring end in the burst's.
    pub(crate) ends: Box<[usize]>,
    /// Slots that may be taken then.
    opening: Vec<SlotNo>,
    /// Slots that have gone with the last look.
    pub(crate) gone: Vec<SlotNo>,
    /// Slots were taken: what is parked for them may go.
    pub(crate) opened: bool,
}

impl Following {
    /// Of worker `id`, which has the slots that are its own now.
    pub(crate) fn new(slots: Arc<Slots>, id: usize) -> Self {
        let rings = slots.workers();
        let now = slots.snapshot();
        Self {
            id: id as u16,
            version: now.version,
            active: now.active,
            map: now.map(),
            slots,
            from: [0; SLOTS],
            closed: false,
            calm: true,
            settled: true,
            left: vec![0; rings].into_boxed_slice(),
            ends: vec![0; rings].into_boxed_slice(),
            opening: Vec::with_capacity(SLOTS),
            gone: Vec::with_capacity(SLOTS),
            opened: false,
        }
    }

    /// The worker that a slot's packets go to; with [`PARKS`], to this one's parking place.
    #[inline]
    pub(crate) fn owner(&self, slot: SlotNo) -> Option<u16> {
        self.map.get(usize::from(slot.0)).copied()
    }

    /// Whether packets of a parked slot that come by this ring come through its old owner.
    pub(crate) fn is_old_owner(&self, slot: SlotNo, ring: usize) -> bool {
        let from = self.from.get(usize::from(slot.0));
        from.is_some_and(|from| usize::from(*from) == ring)
    }

    /// The burst's packets of ring `from` end here.
    #[inline]
    pub(crate) fn end(&mut self, from: usize, at: usize) {
        if let Some(end) = self.ends.get_mut(from) {
            *end = at;
        }
    }

    /// Whether there is something to do that no ring tells of.
    pub(crate) fn has_news(&self) -> bool {
        !self.settled || self.slots.version() != self.version
    }

    /// After packets were taken from the rings: reads the slots again, if they have changed. Whether they had: then
    /// slots that are [`gone`](Self::gone) must be given up, and [`count_down`](Self::count_down) is next.
    #[inline]
    pub(crate) fn reload(&mut self) -> bool {
        let changed = self.slots.version() != self.version;
        if changed {
            let now = self.slots.snapshot();
            self.read(&now);
        }
        changed
    }

    #[cold]
    fn read(&mut self, now: &Snapshot) {
        (self.version, self.settled, self.calm) = (now.version, false, true);
        (self.active, self.closed) = (now.active, false);
        self.opening.clear();
        self.gone.clear();
        for (slot, owner) in now.owners() {
            self.note(slot, owner);
        }
    }

    fn note(&mut self, slot: SlotNo, owner: Owner) {
        let at = usize::from(slot.0);
        let (had, gets) = (self.map[at] == self.id, owner.worker == self.id);
        match (had, gets) {
            (true, false) => self.gone.push(slot),
            (false, true) if !owner.closed => self.opening.push(slot),
            _ => {}
        }
        self.from[at] = owner.from;
        let parks = if gets && !had { PARKS } else { 0 };
        self.map[at] = owner.worker | parks;
        self.closed |= owner.closed;
        self.calm &= !owner.closed && had == gets;
    }

    /// Remembers how much of what comes by the rings may have been sent before what was just read: what they hold now
    /// (`waiting`), and what this burst has taken of them.
    pub(crate) fn count_down(&mut self, waiting: impl Iterator<Item = usize>) {
        let mut before = 0;
        for ((left, end), waiting) in self.left.iter_mut().zip(&self.ends).zip(waiting) {
            *left = waiting + end - before;
            before = *end;
        }
    }

    /// The burst's packets have been passed on. With the last of those that count, takes what slots are open, and tells
    /// control.
    pub(crate) fn settle(&mut self, take: impl FnMut(SlotNo) -> bool) {
        let (mut before, mut more) = (0, false);
        for (left, end) in self.left.iter_mut().zip(&self.ends) {
            *left = left.saturating_sub(end - before);
            before = *end;
            more |= *left > 0;
        }
        if !more && self.take_slots(take) {
            self.settled = true;
            self.slots.drained(usize::from(self.id), self.version);
        }
    }

    fn take_slots(&mut self, mut take: impl FnMut(SlotNo) -> bool) -> bool {
        while let Some(slot) = self.opening.last().copied() {
            if !take(slot) {
                return false;
            }
            self.opening.pop();
            self.map[usize::from(slot.0)] = self.id;
            self.opened = true;
        }
        let parks = self.map.iter().any(|owner| owner & PARKS != 0);
        self.calm = !parks && !self.closed;
        true
    }
}

//! Counters of a flow table: written by each writer for itself, summed by whoever reads.

use crate::state::Class;
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A counter with one writer: a plain load and store, no read-modify-write.
#[derive(Debug)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn bump(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    #[inline]
    pub(crate) fn raise(&self, to: u64) {
        if to > self.0.load(Relaxed) {
            self.0.store(to, Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One tally for each [`Class`].
pub(crate) struct ByClass([Tally; Class::ALL.len()]);

impl ByClass {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Tally::new()))
    }

    #[inline]
    pub(crate) fn bump(&self, class: Class) {
        self.0[class as usize].bump();
    }
}

/// One writer's counters. What they mean is said in [`Stats`].
pub(crate) struct Counters {
    pub(crate) hits: Tally,
    pub(crate) misses: Tally,
    pub(crate) missed_expired: Tally,
    pub(crate) inserts: Tally,
    pub(crate) refused: Tally,
    pub(crate) over_share: Tally,
    pub(crate) flooded: Tally,
    pub(crate) displaced: Tally,
    pub(crate) reopened: Tally,
    pub(crate) removed: Tally,
    pub(crate) kept: Tally,
    pub(crate) high_water: Tally,
    pub(crate) expired: ByClass,
    pub(crate) evicted: ByClass,
    pub(crate) shrunk: ByClass,
    /// Not a counter: the tick of [`Writer::round_since`](crate::Writer::round_since)'s last whole round, as
    /// [`crate::round`] publishes it.
    pub(crate) round: AtomicU32,
    /// The same of the hand of [`Writer::sweep`](crate::Writer::sweep).
    pub(crate) swept: AtomicU32,
}

impl Counters {
    /// Publishes the same for the last whole rounds of both hands.
    pub(crate) fn set_rounds(&self, since: u32) {
        self.round.store(since, Relaxed);
        self.swept.store(since, Relaxed);
    }

    pub(crate) fn new() -> Self {
        Self {
            hits: Tally::new(),
            misses: Tally::new(),
            missed_expired: Tally::new(),
            inserts: Tally::new(),
            refused: Tally::new(),
            over_share: Tally::new(),
            flooded: Tally::new(),
            displaced: Tally::new(),
            reopened: Tally::new(),
            removed: Tally::new(),
            kept: Tally::new(),
            high_water: Tally::new(),
            expired: ByClass::new(),
            evicted: ByClass::new(),
            shrunk: ByClass::new(),
            round: AtomicU32::new(crate::round::NOBODY),
            swept: AtomicU32::new(crate::round::NOBODY),
        }
    }
}

/// A table's fill and counters, all writers together. `by class` arrays are indexed by `Class as usize`.
///
/// `inserts = used + removed + sum(expired) + sum(evicted) + sum(shrunk)` whenever no writer is at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries that fit at most.
    pub capacity: u64,
    /// Entries now.
    pub used: u64,
    /// The most entries there have been at once (with several writers: the sum of each one's most).
    pub high_water: u64,
    /// Entries that fit in one slot's sub-table at most.
    pub slot_capacity: u64,
    /// Entries in the fullest slot now.
    pub fullest_slot: u64,
    /// Lookups that found their flow.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Of these: the flow had an entry, whose idle timeout had passed.
    pub missed_expired: u64,
    /// Entries made.
    pub inserts: u64,
    /// Flows that found no room.
    pub refused: u64,
    /// Of these: their source network had its share of a table under pressure.
    pub over_share: u64,
    /// Of these: new flows came so fast that most were not even inserted.
    pub flooded: u64,
    /// Entries moved to their other bucket to make room.
    pub displaced: u64,
    /// New connections on old tuples.
    pub reopened: u64,
    /// Entries removed on request (flush).
    pub removed: u64,
    /// How often an entry that is not plain stayed because its aux index could not be given back yet.
    pub kept: u64,
    /// Entries freed at their idle timeout, by class.
    pub expired: [u64; 3],
    /// Live entries replaced by a new flow, by class; two-way only once their connection is over.
    pub evicted: [u64; 3],
    /// Live entries freed by the hand because lifetimes shrink under pressure, by class; two-way only once their connection
    /// is over.
    pub shrunk: [u64; 3],
}

impl Stats {
    /// The counters by name, as listings and metrics show them. Fills are not among them. With `used` beside it, the sum of
    /// [`Stats`] can be checked by the names alone.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = [
            ("hits", self.hits),
            ("misses", self.misses),
            ("misses_expired", self.missed_expired),
            ("inserts", self.inserts),
            ("refused", self.refused),
            ("refused_over_share", self.over_share),
            ("refused_flood", self.flooded),
            ("displaced", self.displaced),
            ("reopened", self.reopened),
            ("removed", self.removed),
            ("kept", self.kept),
        ];
        const EXPIRED: [&str; 3] = ["expired_probation", "expired_one_way", "expired_two_way"];
        const EVICTED: [&str; 3] = ["evicted_probation", "evicted_one_way", "evicted_two_way"];
        const SHRUNK: [&str; 3] = ["shrunk_probation", "shrunk_one_way", "shrunk_two_way"];
        let by_class = [
            EXPIRED.into_iter().zip(self.expired),
            EVICTED.into_iter().zip(self.evicted),
            SHRUNK.into_iter().zip(self.shrunk),
        ];
        named.into_iter().chain(by_class.into_iter().flatten())
    }

    /// Adds one writer's counters.
    pub(crate) fn add(&mut self, counters: &Counters) {
        self.high_water += counters.high_water.get();
        self.hits += counters.hits.get();
        self.misses += counters.misses.get();
        self.missed_expired += counters.missed_expired.get();
        self.inserts += counters.inserts.get();
        self.refused += counters.refused.get();
        self.over_share += counters.over_share.get();
        self.flooded += counters.flooded.get();
        self.displaced += counters.displaced.get();
        self.reopened += counters.reopened.get();
        self.removed += counters.removed.get();
        self.kept += counters.kept.get();
        let add = |to: &mut [u64; 3], from: &ByClass| {
            to.iter_mut()
                .zip(&from.0)
                .for_each(|(to, from)| *to += from.get());
        };
        add(&mut self.expired, &counters.expired);
        add(&mut self.evicted, &counters.evicted);
        add(&mut self.shrunk, &counters.shrunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every field has another number; a field without one does not compile.
    const ALL: Stats = Stats {
        capacity: 1,
        used: 2,
        high_water: 3,
        slot_capacity: 4,
        fullest_slot: 5,
        hits: 106,
        misses: 107,
        missed_expired: 108,
        inserts: 109,
        refused: 110,
        over_share: 111,
        flooded: 112,
        displaced: 113,
        reopened: 114,
        removed: 115,
        kept: 116,
        expired: [117, 118, 119],
        evicted: [120, 121, 122],
        shrunk: [123, 124, 125],
    };

    #[test]
    fn every_counter_has_a_name_of_its_own() {
        let named: BTreeMap<_, _> = ALL.named().collect();
        let mut counts: Vec<_> = named.values().copied().collect();
        counts.sort_unstable();
        assert_eq!(counts, (106..=125).collect::<Vec<_>>());
        assert_eq!(ALL.named().count(), named.len(), "a name is there twice");
        for (cause, of) in [
            ("expired", ALL.expired),
            ("evicted", ALL.evicted),
            ("shrunk", ALL.shrunk),
        ] {
            for class in Class::ALL {
                let name = format!("{cause}_{}", class.name());
                assert_eq!(named[name.as_str()], of[class as usize], "{name}");
            }
        }
    }
}

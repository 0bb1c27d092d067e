//! The flows of a burst, looked up side by side: all hashes, then all tags, then all entries, so that the memory that one
//! packet waits for is asked for while others are worked on (design section 5).
//!
//! What comes out is a hint: at its packet's turn the key is compared again, so what the packets before it inserted,
//! displaced or freed is seen. Only who is held back in a flood is so for good, all packets of its flow alike. Eight flows make a group, their keys' words side by side, as wide registers want them.

use crate::bucket::{BucketNo, PlaceNo, Range, Tag};
use crate::entry::Entries;
use crate::hash::{FlowHash, GroupSecret, SlotNo};
use crate::key::{Dir, Key};
use crate::machine::{LANES, widest};
use crate::time::Tick;
use crate::writer::Writer;

/// A lookup under way. It stays good for any time: at its end it is looked up again if it must.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub(crate) slot: SlotNo,
    pub(crate) hash: FlowHash,
    /// A place whose tag was the flow's.
    pub(crate) hint: PlaceNo,
}

/// Not a place: looked up alone, or nowhere.
const NO_HINT: PlaceNo = PlaceNo(usize::MAX);

/// Nor this: to be looked for in the second bucket.
const STRAY: PlaceNo = PlaceNo(usize::MAX - 1);

/// Nor this: the flow is nowhere, and is to be turned away.
const HELD_BACK: PlaceNo = PlaceNo(usize::MAX - 2);

/// Whether a hint is a place: more than there can be are none.
#[inline(always)]
fn is_place(hint: PlaceNo) -> bool {
    const { assert!(HELD_BACK.0 < STRAY.0 && STRAY.0 < NO_HINT.0) };
    hint.0 < HELD_BACK.0
}

impl Probe {
    /// Where the flow seemed to be, if anywhere.
    #[inline(always)]
    pub(crate) fn place(&self) -> Option<PlaceNo> {
        is_place(self.hint).then_some(self.hint)
    }

    /// A lookup that is not one of many.
    #[inline]
    pub fn alone(slot: SlotNo, hash: FlowHash) -> Self {
        let hint = NO_HINT;
        Self { slot, hash, hint }
    }

    /// The flow's owner slot.
    pub fn slot(&self) -> SlotNo {
        self.slot
    }

    /// The flow's hash.
    pub fn hash(&self) -> FlowHash {
        self.hash
    }
}

/// A packet's flow: key, direction, and the lookup.
#[derive(Clone, Copy, Debug)]
pub struct Flow<K> {
    /// Its canonical key.
    pub key: K,
    /// Which way the packet goes.
    pub dir: Dir,
    /// How far the lookup has come.
    pub probe: Probe,
}

/// The flows of a burst: room that is kept from one burst to the next.
#[derive(Debug)]
pub struct Burst<K: Key> {
    groups: Vec<Group<K>>,
    len: usize,
}

/// Eight flows.
#[derive(Clone, Debug)]
struct Group<K: Key> {
    words: K::Lanes,
    hashes: [u64; LANES],
    /// Of who has no hint: the hash that groups choose by, once asked for.
    choices: [u64; LANES],
    hints: [PlaceNo; LANES],
    firsts: [BucketNo; LANES],
    slots: [SlotNo; LANES],
    dirs: [Dir; LANES],
}

impl<K: Key> Default for Group<K> {
    fn default() -> Self {
        Self {
            words: K::Lanes::default(),
            hashes: [0; LANES],
            choices: [0; LANES],
            hints: [NO_HINT; LANES],
            firsts: [BucketNo(0); LANES],
            slots: [SlotNo(0); LANES],
            dirs: [Dir::Fwd; LANES],
        }
    }
}

impl<K: Key> Group<K> {
    #[inline(always)]
    fn flow(&self, lane: usize) -> Flow<K> {
        let probe = Probe {
            slot: self.slots[lane],
            hash: FlowHash(self.hashes[lane]),
            hint: self.hints[lane],
        };
        Flow {
            key: K::from_lane(&self.words, lane),
            dir: self.dirs[lane],
            probe,
        }
    }
}

impl<K: Key> Burst<K> {
    /// Room for `most` packets; for more it allocates.
    pub fn new(most: usize) -> Self {
        Self {
            groups: vec![Group::default(); most.div_ceil(LANES)],
            len: 0,
        }
    }

    /// Forgets all flows.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes a packet's flow; which one it is.
    #[inline(always)]
    pub fn push(&mut self, slot: SlotNo, key: &K, dir: Dir) -> u32 {
        let (group, lane) = (self.len / LANES, self.len % LANES);
        if group == self.groups.len() {
            self.groups.push(Group::default());
        }
        let group = &mut self.groups[group];
        key.put(&mut group.words, lane);
        (group.slots[lane], group.dirs[lane]) = (slot, dir);
        self.len += 1;
        self.len as u32 - 1
    }

    /// One of them.
    #[inline(always)]
    pub fn get(&self, which: u32) -> Option<Flow<K>> {
        let (group, lane) = (which as usize / LANES, which as usize % LANES);
        Some(self.groups.get(group)?.flow(lane))
    }

    /// Hashes for their bucket the flows that were not found when [`Writer::start`] looked, and gives each to `told`:
    /// which, the flow, and what [`bucket_hash`](crate::bucket_hash) says of its key.
    #[inline]
    pub fn missed(&mut self, secret: &GroupSecret, mut told: impl FnMut(u32, &Flow<K>, u64)) {
        let nobody = |group: &Group<K>, lane: usize| !is_place(group.hints[lane]);
        widest(
            #[inline(always)]
            || {
                for (group, flows) in self.used() {
                    if (0..flows).any(|lane| nobody(group, lane)) {
                        group.choices = K::sip_lanes(&secret.0, &K::without_fib(&group.words));
                    }
                }
            },
        );
        let mut which = 0;
        for (group, flows) in self.used() {
            for lane in 0..flows {
                if nobody(group, lane) {
                    told(which, &group.flow(lane), group.choices[lane]);
                }
                which += 1;
            }
        }
    }

    /// The slot of a flow that was nowhere when [`Writer::start`] looked, and is to be turned away.
    #[inline(always)]
    pub fn held_back(&self, which: u32) -> Option<SlotNo> {
        let (group, lane) = (which as usize / LANES, which as usize % LANES);
        let group = self.groups.get(group)?;
        let there = (which as usize) < self.len;
        (there && group.hints[lane] == HELD_BACK).then_some(group.slots[lane])
    }

    /// Turns all flows away without a look at the table. How many there are.
    pub fn hold_all_back(&mut self) -> usize {
        for (group, flows) in self.used() {
            group.hints[..flows].fill(HELD_BACK);
        }
        self.len
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The groups in use, with how many flows each has.
    #[inline(always)]
    fn used(&mut self) -> impl Iterator<Item = (&mut Group<K>, usize)> {
        let len = self.len;
        let groups = self.groups.iter_mut().take(len.div_ceil(LANES)).enumerate();
        groups.map(move |(i, group)| (group, (len - i * LANES).min(LANES)))
    }
}

impl<K: Key> Writer<K> {
    /// Starts the lookups of a burst: hashes, then tags, then entries. How many flows are not there, as it seems.
    ///
    /// In a flood most of those are to be turned away: that is decided here, for all packets of a flow alike, so nothing
    /// has to be looked at again at their turn ([`Burst::held_back`]).
    #[inline]
    pub fn start(&self, burst: &mut Burst<K>, now: Tick) -> usize {
        self.flood.pass_to(now);
        widest(
            #[inline(always)]
            || {
                self.ask_for_tags(burst);
                let Seem { strays, missed } = self.ask_for_entries(burst);
                missed
                    + if strays {
                        self.ask_for_strays(burst)
                    } else {
                        0
                    }
            },
        )
    }

    #[inline(always)]
    fn ask_for_tags(&self, burst: &mut Burst<K>) {
        let table = self.table();
        let (buckets, len) = (table.buckets.lines(), table.slot_buckets() as u32);
        for (group, flows) in burst.used() {
            group.hashes = K::sip_lanes(&table.secret().0, &group.words);
            group.firsts = Range::firsts(len, &group.slots, &group.hashes);
            for first in group.firsts.iter().take(flows) {
                buckets.prefetch(*first);
            }
        }
    }

    /// Compares the tags of the first buckets.
    #[inline(always)]
    fn ask_for_entries(&self, burst: &mut Burst<K>) -> Seem {
        let table = self.table();
        let (buckets, entries) = (table.buckets.lines(), table.entries.all());
        let (mut strays, mut missed) = (false, 0);
        for (group, flows) in burst.used() {
            for lane in 0..flows {
                let (first, tag) = (group.firsts[lane], Tag::of(FlowHash(group.hashes[lane])));
                let tags = buckets.line(first).tags();
                group.hints[lane] = match tags.matching(tag).next() {
                    Some(place) => {
                        let place = first.place(place);
                        Entries::<K>::ask_for(entries, place);
                        place
                    }
                    None if table.buckets.line(first).classes().has_strays(tag) => {
                        strays = true;
                        let other = table.range(group.slots[lane]).other(first, tag);
                        table.buckets.prefetch(other);
                        STRAY
                    }
                    None => {
                        missed += 1;
                        let (slot, hash) = (group.slots[lane], FlowHash(group.hashes[lane]));
                        match tags.free() {
                            Some(place) => Entries::<K>::ask_for(entries, first.place(place)),
                            None if self.shuts_out(hash, table.fill(slot)) => {
                                group.hints[lane] = HELD_BACK;
                                continue;
                            }
                            None => self.ask_for_room(slot, hash),
                        }
                        NO_HINT
                    }
                };
            }
        }
        Seem { strays, missed }
    }

    /// The same for the second buckets. How many flows are not there either.
    #[inline(always)]
    fn ask_for_strays(&self, burst: &mut Burst<K>) -> usize {
        let table = self.table();
        let mut missed = 0;
        for (group, flows) in burst.used() {
            for lane in 0..flows {
                if group.hints[lane] != STRAY {
                    continue;
                }
                let tag = Tag::of(FlowHash(group.hashes[lane]));
                let other = table
                    .range(group.slots[lane])
                    .other(group.firsts[lane], tag);
                let place = table.buckets.line(other).tags().matching(tag).next();
                missed += usize::from(place.is_none());
                group.hints[lane] = match place {
                    Some(place) => {
                        let place = other.place(place);
                        table.entries.prefetch(place);
                        place
                    }
                    None if self.shuts_out_stray(group, lane) => HELD_BACK,
                    None => NO_HINT,
                };
            }
        }
        missed
    }

    /// Whether a flow is to be turned away that was looked for in both its buckets, and is nowhere.
    fn shuts_out_stray(&self, group: &Group<K>, lane: usize) -> bool {
        let first = self.table().buckets.line(group.firsts[lane]);
        let (hash, fill) = (
            FlowHash(group.hashes[lane]),
            self.table().fill(group.slots[lane]),
        );
        first.tags().free().is_none() && self.shuts_out(hash, fill)
    }
}

/// What first buckets say.
struct Seem {
    /// There are flows that may live in their second bucket.
    strays: bool,
    /// So many are nowhere.
    missed: usize,
}

#[cfg(all(test, not(loom)))]
#[path = "burst_tests.rs"]
mod tests;

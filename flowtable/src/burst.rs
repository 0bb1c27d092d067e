//! The flows of a burst, looked up side by side: all hashes, then all tags, then all entries, so that the memory that one
//! packet waits for is asked for while others are worked on (design section 5).
//!
//! What comes out is a hint: at its packet's turn the key is compared again, so what the packets before it inserted,
//! displaced or freed is seen. Eight flows make a group, their keys' words side by side, as wide registers want them.

use crate::bucket::{BucketNo, PlaceNo, Range, Tag};
use crate::entry::Entries;
use crate::hash::{FlowHash, GroupSecret, SlotNo};
use crate::key::{Dir, Key};
use crate::machine::{LANES, widest};
use crate::writer::Writer;

/// A lookup under way. It stays good for any time: at its end it is looked up again if it must.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub(crate) slot: SlotNo,
    pub(crate) hash: FlowHash,
    /// A place whose tag was the flow's.
    pub(crate) hint: PlaceNo,
}

/// Not a place.
pub(crate) const NO_HINT: PlaceNo = PlaceNo(usize::MAX);

impl Probe {
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
        let group = self.groups.get(group)?;
        let (slot, dir) = (group.slots[lane], group.dirs[lane]);
        let probe = Probe {
            slot,
            hash: FlowHash(group.hashes[lane]),
            hint: group.hints[lane],
        };
        Some(Flow {
            key: K::from_lane(&group.words, lane),
            dir,
            probe,
        })
    }

    /// Hashes for their bucket the flows that were not found when [`Writer::start`] looked, and gives each to `told`:
    /// which, the flow, and what [`bucket_hash`](crate::bucket_hash) says of its key.
    #[inline]
    pub fn missed(&mut self, secret: &GroupSecret, mut told: impl FnMut(u32, &Flow<K>, u64)) {
        let nobody = |group: &Group<K>, lane: usize| group.hints[lane] == NO_HINT;
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
        for which in 0..self.len {
            let (group, lane) = (&self.groups[which / LANES], which % LANES);
            if nobody(group, lane)
                && let Some(flow) = self.get(which as u32)
            {
                told(which as u32, &flow, group.choices[lane]);
            }
        }
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
    #[inline]
    pub fn start(&self, burst: &mut Burst<K>) -> usize {
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
                        if let Some(place) = tags.free() {
                            Entries::<K>::ask_for(entries, first.place(place));
                        } else {
                            let (slot, hash) = (group.slots[lane], FlowHash(group.hashes[lane]));
                            self.ask_for_room(slot, hash);
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
                group.hints[lane] = place.map_or(NO_HINT, |place| other.place(place));
                place.inspect(|place| table.entries.prefetch(other.place(*place)));
                missed += usize::from(place.is_none());
            }
        }
        missed
    }
}

/// What first buckets say.
struct Seem {
    /// There are flows that may live in their second bucket.
    strays: bool,
    /// So many are nowhere.
    missed: usize,
}

/// Not a place either: to be looked for in the second bucket.
const STRAY: PlaceNo = PlaceNo(usize::MAX - 1);

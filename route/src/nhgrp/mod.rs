//! Next-hop groups: how one of a route's next hops is chosen, and why a choice rarely changes.
//!
//! A group has a fixed number of buckets; a flow's hash names its bucket, and the bucket's owner is the
//! choice. Buckets move as few as possible (`deal`, `layout`, `claims`), and each remembers whom it left
//! (`line`), so that even flows without a pin stay where they were.
//!
//! - `line`: one bucket as workers read it.
//! - this file: the arena of lines, the table of groups, and [`GroupRef`], what workers ask.
//! - `buddy`: which lines are free. `ctl`, `write`, `history`, `start`: control's side. `preview`: copies to try
//!   changes on.
//!
//! Workers find a group by two words: where its buckets are, and where its members are. Each is replaced by
//! one store; the lines that it named are used again after a grace period.

mod affinity;
mod buddy;
mod claims;
mod ctl;
mod deal;
mod group;
mod history;
mod keep;
mod layout;
mod line;
mod options;
mod preview;
mod selection;
mod start;
mod timeouts;
mod write;

pub use affinity::StickyOf;
pub(crate) use ctl::{GroupCtl, Shared};
pub(crate) use deal::apportion;
pub(crate) use group::{Group, Member, Wanted};
pub(crate) use layout::Stance;
pub(crate) use line::Line;
#[cfg(all(test, loom))]
pub(crate) use line::Owner;
pub use options::{Failback, Options, OptionsAsked, Sticky, StickyAsked};
pub(crate) use preview::{GroupCopy, Orders};
pub use selection::Selection;
pub use timeouts::{TimeoutClass, TimeoutClassError};
pub(crate) use write::Died;

use crate::chunks::Chunks;
use crate::ids::{GroupId, Pin, Secs};
use crate::nhop::{NhopRef, PinState, Slots};
use crate::sync::{AtomicU64, Ordering};
use selection::Shape;

/// Most buckets that a group can have.
pub const MAX_BUCKETS: u32 = 1 << 16;

/// Most members that a group can have.
pub const MAX_MEMBERS: usize = 1024;

/// The words of a group.
#[derive(Debug, Default)]
struct GroupSlot {
    /// A [`Shape`].
    buckets: AtomicU64,
    /// [`ALIVE`], the count in bits 32 and up, the first line below.
    members: AtomicU64,
    /// Length in the high half, timeout in the low one; 0: it has no client affinity.
    sticky: AtomicU64,
    /// Under which id its clients have templates. Stays as it is while the group is sticky.
    affinity: AtomicU64,
}

/// Set in the members' word if any member may take flows: else a search for a live owner is in vain.
const ALIVE: u64 = 1 << 63;

/// Set in a pin among the members that is none any more: it left because its drain came to its deadline.
const LEFT: u64 = 1 << 63;

/// Log2 of the groups, and of the lines, that are made at a time.
const CHUNK: u32 = if cfg!(loom) { 2 } else { 10 };

/// What workers read of groups. Group 0 is nobody's.
#[derive(Debug)]
pub(crate) struct Groups {
    slots: Chunks<GroupSlot, CHUNK>,
    lines: Chunks<Line, CHUNK>,
}

impl Groups {
    /// Room for `groups` groups and `lines` lines.
    pub(crate) fn new(groups: u32, lines: u32) -> Self {
        Self {
            slots: Chunks::new(groups as usize + 1),
            lines: Chunks::new(lines as usize),
        }
    }

    /// The group as it is now.
    #[inline]
    pub(crate) fn get<'a>(&'a self, nhops: &'a Slots, id: GroupId) -> GroupRef<'a> {
        let slot = self.slots.get(id.0);
        let word = slot.map_or(0, |slot| slot.buckets.load(Ordering::Acquire));
        GroupRef {
            groups: self,
            nhops,
            id,
            slot,
            shape: Shape::from_word(word),
        }
    }

    #[inline]
    fn line(&self, index: u32) -> Option<&Line> {
        self.lines.get(index)
    }

    fn publish_shape(&self, id: GroupId, shape: Shape) {
        if let Some(slot) = self.slots.get(id.0) {
            slot.buckets.store(shape.word(), Ordering::Release);
        }
    }

    /// Whose id it is comes first: who sees a length and a timeout sees that too.
    fn publish_sticky(&self, id: GroupId, sticky: Option<Sticky>, affinity: u64) {
        if let Some(slot) = self.slots.get(id.0) {
            if sticky.is_some() {
                slot.affinity.store(affinity, Ordering::Relaxed);
            }
            let word = sticky.map_or(0, |s| u64::from(s.len) << 32 | u64::from(s.timeout));
            slot.sticky.store(word, Ordering::Release);
        }
    }

    fn publish_members(&self, id: GroupId, base: u32, count: u32, alive: bool) {
        if let Some(slot) = self.slots.get(id.0) {
            let word = u64::from(count) << 32 | u64::from(base) | if alive { ALIVE } else { 0 };
            slot.members.store(word, Ordering::Release);
        }
    }
}

/// A group, as a worker asks it. Cheap; not to be kept beyond the burst.
#[derive(Clone, Copy, Debug)]
pub struct GroupRef<'a> {
    groups: &'a Groups,
    nhops: &'a Slots,
    id: GroupId,
    slot: Option<&'a GroupSlot>,
    shape: Shape,
}

/// A bucket's answer to a packet that has no pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The next hop.
    pub pin: Pin,
    /// Its place in the bucket's history, if it is a remembered owner.
    pub remembered: Option<u8>,
}

/// A next hop chosen for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which.
    pub pin: Pin,
    /// Whether it stands in for a dead one whose flows return once that is back: the flow is to remember this.
    pub stands_in: bool,
}

/// A [`Chosen`], its slot, and whether its bucket remembers any earlier owner: if not, [`GroupRef::stateless`] gives the same.
#[derive(Clone, Copy, Debug)]
pub struct NewChoice<'a> {
    /// The choice.
    pub chosen: Chosen,
    /// The slot of its next hop, judged live.
    pub nhop: NhopRef<'a>,
    /// Whether the bucket remembers anybody.
    pub remembers: bool,
}

/// What becomes of a flow that is with a stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// Its own next hop is back: it chooses again.
    Return,
    /// Its own next hop may come back yet.
    Wait,
    /// The bucket is another's now, or flows are to stay: it is where it belongs.
    Never,
}

impl<'a> GroupRef<'a> {
    /// Which group.
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// Number of buckets, a power of two.
    pub const fn buckets(&self) -> u32 {
        1 << self.shape.order
    }

    /// By what it tells flows apart.
    pub const fn selection(&self) -> Selection {
        self.shape.selection
    }

    /// The number of the timeouts that its flows have, below 16; see [`Options::timeouts`].
    #[inline]
    pub const fn timeouts(&self) -> u8 {
        self.shape.timeouts
    }

    /// Client affinity, if it has any: the id under which its clients have templates, and how it is done.
    #[inline]
    pub fn sticky(&self) -> Option<(u64, Sticky)> {
        let slot = self.slot?;
        let word = slot.sticky.load(Ordering::Acquire);
        let sticky = Sticky {
            len: (word >> 32) as u8,
            timeout: word as u32,
        };
        (sticky.timeout > 0).then(|| (slot.affinity.load(Ordering::Relaxed), sticky))
    }

    /// With [`Selection::ModN`]: the bucket of a flow, by `src xor dst` (the low 32 bits of it, for IPv6 folded).
    pub fn turn(&self, src_xor_dst: u32) -> u32 {
        src_xor_dst
            .checked_rem(u32::from(self.shape.takers))
            .unwrap_or(0)
    }

    /// The bucket of a flow, by the highest bits of its hash.
    #[inline]
    pub const fn bucket(&self, hash: u64) -> u32 {
        (((hash >> 32) * self.buckets() as u64) >> 32) as u32
    }

    /// Asks for the memory of a bucket, some time before it is chosen from.
    #[inline]
    pub fn prefetch(&self, bucket: u32) {
        #[cfg(all(target_arch = "x86_64", not(loom)))]
        if let Some(line) = self.line(bucket) {
            crate::fib::simd::prefetch(line);
        }
        #[cfg(not(all(target_arch = "x86_64", not(loom))))]
        let _ = bucket;
    }

    /// Whose the bucket is, dead or alive.
    pub fn raw_owner(&self, bucket: u32) -> Option<Pin> {
        Some(self.line(bucket)?.owner()).filter(|pin| *pin != Pin::NONE)
    }

    /// The next hop for new flows of a bucket: its owner, or if that is dead, the first live owner of the
    /// buckets behind it. `None` if no member may take flows.
    #[inline]
    pub fn owner(&self, bucket: u32) -> Option<Pin> {
        self.chosen(bucket).map(|chosen| chosen.pin)
    }

    /// Whose a bucket is, dead or alive, if it remembers nobody else.
    #[inline]
    pub fn sole_owner(&self, bucket: u32) -> Option<Pin> {
        let line = self.line(bucket)?;
        let pin = line.owner();
        (pin != Pin::NONE && !line.remembers()).then_some(pin)
    }

    /// As [`Self::owner`], and whether the flow is to be called back.
    #[inline]
    pub fn chosen(&self, bucket: u32) -> Option<Chosen> {
        self.choice(bucket).map(|choice| choice.chosen)
    }

    /// As [`Self::chosen`], with all that a new flow's packet needs to know besides.
    #[inline(always)]
    pub fn choice(&self, bucket: u32) -> Option<NewChoice<'a>> {
        let line = self.line(bucket)?;
        let own = line.owned();
        let (mut pin, mut nhop) = (own.pin, self.nhops.at(own.pin.idx()));
        let mut stands_in = own.stance == Stance::StandIn;
        if nhop.judge(pin) != PinState::Live {
            pin = self.next_owner(bucket)?;
            (nhop, stands_in) = (self.nhops.at(pin.idx()), true);
        }
        Some(NewChoice {
            chosen: Chosen {
                pin,
                stands_in: self.shape.returns && stands_in,
            },
            nhop,
            remembers: line.remembers(),
        })
    }

    /// Whether flows return to a next hop that comes back.
    pub(crate) const fn calls_back(&self) -> bool {
        self.shape.returns
    }

    /// With [`Failback::Return`]: what flows do that chose a stand-in of this bucket and still have `pin`.
    pub fn recall(&self, bucket: u32, pin: Pin) -> Recall {
        let own = self.line(bucket).map(Line::owned).unwrap_or_default();
        match own.stance {
            Stance::Back if self.shape.returns && own.pin != pin && self.is_live(own.pin) => {
                Recall::Return
            }
            Stance::StandIn if self.shape.returns => Recall::Wait,
            _ if !self.is_live(own.pin) => Recall::Wait,
            _ => Recall::Never,
        }
    }

    #[cold]
    fn next_owner(&self, bucket: u32) -> Option<Pin> {
        let slot = self.slot?;
        if slot.members.load(Ordering::Acquire) & ALIVE == 0 {
            return None;
        }
        let behind =
            (1..self.buckets()).map(|step| bucket.wrapping_add(step) & (self.buckets() - 1));
        behind
            .filter_map(|b| Some(self.line(b)?.owner()))
            .find(|pin| self.is_live(*pin))
    }

    /// The next hop for packets of a bucket that have no pin and may belong to an old flow: the owner that
    /// lost the bucket first, of those that live and lost it within the last `idle` seconds; else the owner.
    #[inline]
    pub fn stateless(&self, bucket: u32, now: Secs, idle: u32) -> Option<Answer> {
        let line = self.line(bucket)?;
        // Owner first: who sees the new owner sees whom it replaced.
        let own = line.owner();
        let oldest = line.oldest(|lost| lost.age(now) <= idle && self.is_live(lost.pin()));
        if let Some((place, pin)) = oldest {
            return Some(Answer {
                pin,
                remembered: Some(place),
            });
        }
        let pin = if self.is_live(own) {
            Some(own)
        } else {
            self.next_owner(bucket)
        };
        pin.map(|pin| Answer {
            pin,
            remembered: None,
        })
    }

    /// The earlier owners that a bucket remembers, the first to lose it first, and how many seconds ago the clock of
    /// each started. For who explains: each is whole, two may be of different moments.
    pub fn remembered(&self, bucket: u32, now: Secs) -> Vec<(Pin, u32)> {
        let line = self.line(bucket).into_iter();
        let lost = line.flat_map(Line::remembered);
        lost.map(|lost| (lost.pin(), lost.age(now))).collect()
    }

    /// Whether exactly this {index, generation} is a member, be its weight 0.
    pub fn has_member(&self, pin: Pin) -> bool {
        self.lists(pin.raw())
    }

    /// Its members, dead ones and those of weight 0 too.
    pub fn members(&self) -> impl Iterator<Item = Pin> + '_ {
        let slot = self.groups.slots.get(self.id.0);
        let members = slot.map_or(0, |slot| slot.members.load(Ordering::Acquire));
        let (base, count) = (members as u32, (members >> 32) as u32 & 0xffff);
        let word = move |at: u32| {
            let line = self.groups.line(base + at / 8);
            line.map_or(LEFT, |line| line.0[at as usize % 8].load(Ordering::Relaxed))
        };
        let members = (0..count).map(word).filter(|word| word & LEFT == 0);
        members.map(Pin::from_raw)
    }

    /// Whether it was a member until its drain came to its deadline, lately.
    #[cold]
    pub fn drained(&self, pin: Pin) -> bool {
        self.lists(pin.raw() | LEFT)
    }

    fn lists(&self, word: u64) -> bool {
        let Some(slot) = self.slot else {
            return false;
        };
        let members = slot.members.load(Ordering::Acquire);
        let (base, mut low, mut high) = (members as u32, 0, (members >> 32) as u32 & 0xffff);
        // Members are in the order of their words.
        while low < high {
            let middle = (low + high) / 2;
            let line = self.groups.line(base + middle / 8);
            let member = line.map_or(0, |l| l.0[middle as usize % 8].load(Ordering::Relaxed));
            match member.cmp(&word) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    #[inline]
    fn line(&self, bucket: u32) -> Option<&'a Line> {
        self.groups
            .line(self.shape.base.checked_add(bucket & (self.buckets() - 1))?)
    }

    #[inline]
    fn is_live(&self, pin: Pin) -> bool {
        self.nhops.judge(pin) == PinState::Live
    }
}

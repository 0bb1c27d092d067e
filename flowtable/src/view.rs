//! An entry as readers see it: a copy, taken while its writer goes on.

use crate::bucket::PlaceNo;
use crate::entry::Entries;
use crate::hash::SlotNo;
use crate::key::{BOTH, Dir, Key};
use crate::kind::Kind;
use crate::pin::PinWord;
use crate::state::{Class, State};
use crate::time::Tick;
use crate::timeouts::{Timeouts, TimeoutsNo};

/// A copy of an entry. Pairs are indexed by `Dir as usize`.
///
/// Key, pins, stamps, kind and index are of one moment. State and last use are of one moment, packets and bytes of a
/// direction too; between these a packet may have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryView<K> {
    /// The flow.
    pub key: K,
    /// The owner slot it lives in.
    pub slot: SlotNo,
    /// Its connection's state.
    pub state: State,
    /// Its class.
    pub class: Class,
    /// The direction of its opener; of its first packet, if it was picked up later.
    pub opener: Dir,
    /// Whether one of its pins is not what a packet without an entry would get.
    pub debt: bool,
    /// When its last packet came.
    pub last_use: Tick,
    /// Which set of idle timeouts it has.
    pub timeouts: TimeoutsNo,
    /// Idle timeout of its state there, seconds: it expires that long after [`last_use`](Self::last_use).
    pub timeout_s: u32,
    /// Low 14 bits of the tick at which its state, class, pins, kind or place last changed.
    pub changed: u16,
    /// What it is besides,
    pub kind: Kind,
    /// and its index in the side table of that kind; 0 of a plain one.
    pub aux: u32,
    /// Where each direction goes.
    pub pins: [PinWord; 2],
    /// The stamps that vouch for the pins.
    pub stamps: [u32; 2],
    /// The ports that each direction last came in by.
    pub in_ports: [u8; 2],
    /// Packets; saturates at 2^30 - 1, of an IPv4 entry with a kind at 2^24 - 1.
    pub packets: [u64; 2],
    /// Bytes by the IP header, give or take 16; saturates at 256 GiB. Of an IPv4 entry with a kind give or take 1 KiB, and
    /// at 16 GiB.
    pub bytes: [u64; 2],
}

impl<K: Key> EntryView<K> {
    /// Copies the entry at `place`. A reader brackets this with the bucket's version.
    pub(crate) fn copy(entries: &Entries<K>, place: PlaceNo, slot: SlotNo, t: &Timeouts) -> Self {
        let at = entries.at(place);
        let life = at.life();
        let sides = BOTH.map(|dir| at.side(dir));
        let counts = BOTH.map(|dir| at.counted(dir, life));
        Self {
            key: at.key(),
            slot,
            state: life.state(),
            class: life.class(),
            opener: life.opener(),
            debt: life.debt(),
            last_use: life.last_use(),
            timeouts: at.timeouts(),
            timeout_s: t.get(life.state()),
            changed: life.changed(),
            kind: life.kind(),
            aux: at.aux(life),
            pins: sides.map(|side| side.pin()),
            stamps: BOTH.map(|dir| at.stamp(dir)),
            in_ports: sides.map(|side| side.in_port()),
            packets: counts.map(|count| count.packets),
            bytes: counts.map(|count| count.bytes),
        }
    }

    /// Whether its idle timeout has passed, though the hand has not been there yet.
    pub fn expired(&self, now: Tick) -> bool {
        now.since(self.last_use) >= self.timeout_s.saturating_mul(Tick::PER_SECOND)
    }
}

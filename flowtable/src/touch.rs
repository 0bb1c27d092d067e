//! What a packet does to its flow: counters, last use, marks, state and class.
//!
//! Most packets are in the middle of a connection, and their flow is where the burst's lookup saw it: one look at the entry
//! tells, and its counters and last use move on. All others go through [`track`](crate::track).

use crate::bucket::{PlaceNo, Tag};
use crate::burst::{Flow, Probe};
use crate::entry::At;
use crate::key::{BOTH, Dir, Key};
use crate::life::{Life, Side};
use crate::pin::PinWord;
use crate::standing::Standing;
use crate::state::{L4, Observed, Seen};
use crate::tcp::moves_marks;
use crate::time::Tick;
use crate::track::{Touch, When, follow_marks};
use crate::writer::{Entry, Writer};

/// What [`Writer::touch`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The flow's entry.
    pub entry: Entry,
    /// What the packet did to the flow.
    pub observed: Observed,
    /// The pin of the packet's direction; [`PinWord::NONE`] if it has none.
    pub pin: PinWord,
    /// The stamp beside it.
    pub stamp: u32,
}

impl<K: Key> Writer<K> {
    /// [`lookup`](Self::lookup), [`observe`](Self::observe) and the pin of a flow whose lookup [`start`](Self::start) has
    /// begun. What was seen before is only a hint, and compared again.
    ///
    /// A packet in the middle of a connection takes the short way here, past one look at the entry.
    #[inline]
    pub fn touch(&mut self, flow: &Flow<K>, seen: &Seen, now: Tick) -> Option<Hit> {
        let settled = self.touch_settled(flow, seen, now);
        settled.or_else(|| self.touch_anew(flow, seen, now))
    }

    /// The short way of [`touch`](Self::touch) alone. `None` says nothing: it may be a packet that changes more, or a flow
    /// that is elsewhere or nowhere. Nothing has been done then.
    #[inline(always)]
    pub fn touch_settled(&mut self, flow: &Flow<K>, seen: &Seen, now: Tick) -> Option<Hit> {
        let Flow { probe, key, dir } = flow;
        let place = probe.place()?;
        let at = self.table.entries.at(place);
        let life = at.life();
        // No timeout is shorter than a second.
        let live = now.since(life.last_use()) < Tick::PER_SECOND;
        // Who leaves a place takes its key away from there, so the key alone says whose it is.
        if !(at.is(key) && live && is_settled(life, *dir, seen)) {
            return None;
        }
        self.counters.hits.bump();
        at.set_count(*dir, at.count(*dir).plus(seen.bytes));
        let own = self.pass(&at, life, *dir, seen, now);
        Some(Hit {
            entry: Entry(place),
            observed: Observed::Normal,
            pin: own.pin(),
            stamp: at.stamp(*dir),
        })
    }

    /// The long way alone: the flow is elsewhere or nowhere, or its packet changes more.
    #[inline]
    pub fn touch_anew(&mut self, flow: &Flow<K>, seen: &Seen, now: Tick) -> Option<Hit> {
        if flow.probe.place().is_none() && self.is_absent(&flow.probe) {
            self.counters.misses.bump();
            return None;
        }
        let entry = self.lookup_probed(&flow.probe, &flow.key, now)?;
        let observed = self.observe(entry, flow.dir, seen, now);
        Some(Hit {
            entry,
            observed,
            pin: self.pin(entry, flow.dir),
            stamp: self.stamp(entry, flow.dir),
        })
    }

    /// Whether a flow is in neither of its buckets, as the first alone can say of most.
    #[inline]
    pub(crate) fn is_absent(&self, probe: &Probe) -> bool {
        let (buckets, tag) = (&self.table.buckets, Tag::of(probe.hash));
        let line = buckets.line(self.table.range(probe.slot).first(probe.hash));
        !line.classes().has_strays(tag) && line.tags().matching(tag).next().is_none()
    }

    /// Counts a packet of a flow and moves the flow's state, class and last use on. To be called for each
    /// packet, before its pin is used.
    #[inline]
    pub fn observe(&mut self, e: Entry, dir: Dir, seen: &Seen, now: Tick) -> Observed {
        let at = self.table.entries.at(e.0);
        let life = at.life();
        if !is_settled(life.as_plain(), dir, seen) {
            return self.track(e.0, dir, seen, now);
        }
        at.count_packet(dir, life, seen.bytes);
        self.pass(&at, life, dir, seen, now);
        Observed::Normal
    }

    /// A packet, counted already, that can change no more than marks and last use; gives its side as it was.
    #[inline]
    fn pass(&self, at: &At<'_, K>, life: Life, dir: Dir, seen: &Seen, now: Tick) -> Side {
        let own = at.side(dir);
        let moves = own.in_port() != seen.in_port
            || moves_marks(&seen.l4, own.mark(), at.side(dir.flip()).mark());
        if moves {
            follow(*at, dir, seen);
        }
        if life.last_use() != now {
            at.set_life(life.with_last_use(now));
        }
        own
    }

    /// What a packet that may change more than marks and last use does to its flow.
    #[inline(never)]
    fn track(&self, place: PlaceNo, dir: Dir, seen: &Seen, now: Tick) -> Observed {
        let at = self.table.entries.at(place);
        let life = at.life();
        let sides = BOTH.map(|way| at.side(way));
        let before = life.track(sides.map(Side::mark));
        let mut track = before;
        let touch = track.step(dir, seen, when(&at, life, now));
        if touch == Touch::Reopened {
            self.start_anew(&at, life, now);
        }
        at.count_packet(dir, life, seen.bytes);
        if touch == Touch::Counted {
            return Observed::Normal;
        }
        set_sides(&at, sides, track.marks, dir, seen.in_port);
        let mut life = life.with_track(&track).with_last_use(now);
        if (track.state, track.class) != (before.state, before.class) {
            life = life.with_changed(now);
            let standing = Standing::of(track.class, track.state, life.debt());
            self.table.buckets.set_standing(place, standing);
        }
        if track.opener != before.opener && self.counts(place) {
            let key = at.key();
            self.shares.of(key.network(before.opener)).remove();
            self.shares.of(key.network(track.opener)).add();
        }
        at.set_life(life);
        if touch == Touch::Reopened {
            Observed::Reopened
        } else {
            Observed::Normal
        }
    }

    /// The entry becomes a new connection's: its age and counters start again. What it is besides it stays.
    fn start_anew(&self, at: &At<'_, K>, life: Life, now: Tick) {
        self.counters.reopened.bump();
        at.set_birth(now);
        at.count_anew(life);
    }
}

/// Whether a packet can change no more of its flow, a plain one, than counters, marks and last use.
#[inline]
fn is_settled(life: Life, dir: Dir, seen: &Seen) -> bool {
    match &seen.l4 {
        L4::Tcp { flags, .. } => flags & (L4::SYN | L4::FIN | L4::RST) == 0 && life.settled(dir),
        _ => life.proved(dir),
    }
}

/// What a packet in the middle of a connection may change besides its last use: marks, and the port it comes by.
#[inline(never)]
fn follow<K: Key>(at: At<'_, K>, dir: Dir, seen: &Seen) {
    let sides = BOTH.map(|way| at.side(way));
    let marks = follow_marks(dir, seen, sides.map(Side::mark));
    set_sides(&at, sides, marks, dir, seen.in_port);
}

/// When a packet comes, from its flow's point of view.
pub(crate) fn when<K: Key>(at: &At<'_, K>, life: Life, now: Tick) -> When {
    When {
        age: at.age(life, now),
        idle: now.since(life.last_use()),
        packets: BOTH
            .map(|way| at.counted(way, life).packets)
            .into_iter()
            .sum(),
    }
}

/// Stores what has changed of both sides: their marks, and the port that `dir` last came in by.
fn set_sides<K: Key>(at: &At<'_, K>, sides: [Side; 2], marks: [u16; 2], dir: Dir, port: u8) {
    for (way, side) in BOTH.into_iter().zip(sides) {
        let next = side.with_mark(marks[way as usize]);
        let next = if way == dir {
            next.with_in_port(port)
        } else {
            next
        };
        if next != side {
            at.set_side(way, next);
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "touch_tests.rs"]
mod tests;

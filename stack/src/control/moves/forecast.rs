//! Going over the flow tables: which flows' next packets a change sends elsewhere.

mod plan;

pub use plan::MovePlan;

use super::super::Reader;
use super::due::{Due, DueList};
use super::follow::{Follow, Obeyed};
use super::scope::Scope;
use super::{DUE_LIMIT, MoveWhy, ROWS_LIMIT, Subject};
use crate::fate::{DropReason, MoveReason};
use crate::flows::pins_of;
use crate::routed::{Routed, bucket_of};
use crate::time::Now;
use crate::vouch::Vouch;
use flowtable::{Dir, EntryView, GroupSecret, Key, Table};
use hashbrown::HashMap;
use route::{Changed, GroupRef, NhopKind, Pin, PinState, Prefix, Preview, Recall};

/// What a flow's next packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It goes by the pin that is there.
    Stays,
    /// It does not.
    Goes(Pin, MoveWhy),
}

/// The route as it is and as it would be.
#[derive(Clone, Copy)]
struct Sides<'a> {
    before: Option<GroupRef<'a>>,
    after: Option<GroupRef<'a>>,
    /// Whether the change makes its flows look the route up again.
    bumps: bool,
}

/// A direction of a flow, as a worker meets it.
struct Pinned<'a, K> {
    key: &'a K,
    dir: Dir,
    pin: Pin,
    state: PinState,
    /// Whether the pin is vouched for: the route is not looked up.
    holds: bool,
    stands_in: bool,
}

/// A change that was tried out, and what it does to the flows.
pub struct Forecast {
    preview: Preview,
    /// If it begins a drain that has a deadline.
    ending: Option<Ending>,
    subject: Subject,
    scope: Scope,
    reader: Reader,
    secret: GroupSecret,
    found: Found,
}

/// A change and the end of the drain that it begins, tried out.
pub(super) struct Ending {
    preview: Preview,
    /// It comes with the change.
    at_once: bool,
    /// Flows that the change leaves alone.
    found: Found,
}

impl Ending {
    pub(super) fn new(preview: Preview, at_once: bool) -> Self {
        let found = Found::default();
        Self {
            preview,
            at_once,
            found,
        }
    }
}

/// What was found in the tables.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    by_move: HashMap<(Pin, Pin, MoveWhy), u32>,
    list: DueList,
    due: u64,
    unlisted: u64,
    staying: u64,
    already_due: u64,
}

/// Flows that move alike.
struct Row {
    from: Pin,
    to: Pin,
    why: MoveWhy,
    flows: u64,
    listed: u64,
    /// Bytes per second of those listed.
    rate: Option<u64>,
}

impl Forecast {
    pub(super) fn new(
        (preview, ending): (Preview, Option<Ending>),
        (subject, scope): (Subject, Scope),
        reader: Reader,
        secret: GroupSecret,
    ) -> Self {
        Self {
            preview,
            ending,
            subject,
            scope,
            reader,
            secret,
            found: Found::default(),
        }
    }

    /// What the change does to the route or group.
    pub const fn change(&self) -> &Changed {
        &self.preview.change
    }

    /// What is to be changed.
    pub const fn subject(&self) -> Subject {
        self.subject
    }

    /// Takes longer routes inside it out of what is looked at: all that
    /// [`Control::routes_within`](super::super::Control::routes_within) gives, in order. Before [`Self::look`].
    pub fn exclude(&mut self, longer: &[Prefix]) {
        self.scope.exclude(longer);
    }

    /// The gateway as it was when control was asked.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Whether there is such a next hop before the change.
    pub const fn exists(&self, pin: Pin) -> bool {
        self.preview.exists(pin)
    }

    /// Whether no flow can be sent elsewhere by it, whatever the tables hold.
    pub fn moves_nothing(&self) -> bool {
        self.preview.moves_nothing()
    }

    /// How many flows would move, as far as the tables were looked at.
    pub const fn due(&self) -> u64 {
        self.found.due
    }

    /// How many more the end of the drain would move that it begins.
    pub fn due_at_end(&self) -> u64 {
        self.ending.as_ref().map_or(0, |ending| ending.found.due)
    }

    /// Goes over all flows. Takes some ten nanoseconds a place of the tables, on the caller's thread.
    pub fn look(&mut self, now: Now) {
        let mut found = [Found::default(), Found::default()];
        let reader = self.reader.clone();
        for (tables, at) in [&reader.tables, &reader.host_tables].into_iter().zip(0..) {
            self.look_into(&tables.v4, now, &mut found, |list| &mut list.v4[at]);
            self.look_into(&tables.v6, now, &mut found, |list| &mut list.v6[at]);
        }
        let [at_once, at_end] = found;
        self.found = at_once;
        if let Some(ending) = &mut self.ending {
            ending.found = at_end;
        }
    }

    /// `found`: by the change, and of the others by the end of the drain that it begins.
    fn look_into<K: Routed>(
        &self,
        table: &Table<K>,
        now: Now,
        [found, at_end]: &mut [Found; 2],
        list: impl Fn(&mut DueList) -> &mut Vec<Due<K>>,
    ) {
        let more = self.preview.has_more();
        if table.stats().used == 0 || self.scope.is_nobody() && !more {
            return;
        }
        let within = |key: &K, dir| self.scope.has(&self.reader.view, key, dir);
        let concerned = |key: &K| more || within(key, Dir::Fwd) || within(key, Dir::Rev);
        let entries = table.entries_of(concerned);
        for entry in entries.filter(|entry| !entry.expired(now.tick())) {
            for dir in [Dir::Fwd, Dir::Rev] {
                let pin = pins_of(&entry)[dir as usize];
                if pin == Pin::NONE {
                    continue;
                }
                let of = (&entry, dir, within(&entry.key, dir));
                let Some(verdict) = self.judge(&self.preview, of, pin) else {
                    continue;
                };
                let ending = self.ending.as_ref();
                let at_the_end = || self.judge(&ending?.preview, of, pin);
                let (found, to, why) = match verdict {
                    Verdict::AlreadyDue => {
                        found.already_due += 1;
                        continue;
                    }
                    Verdict::Due(to, why) => (&mut *found, to, why),
                    Verdict::Stays => {
                        found.staying += 1;
                        let Some(Verdict::Due(to, why)) = at_the_end() else {
                            continue;
                        };
                        (&mut *at_end, to, why)
                    }
                };
                if let Some(row) = found.count(pin, to, why) {
                    list(&mut found.list).push(Due::new(&entry, dir, pin, row));
                }
            }
        }
    }

    /// What a trial means for a direction of a flow, which goes to the destination that is changed or to another; `None`:
    /// it does not concern that.
    fn judge<K: Routed>(
        &self,
        trial: &Preview,
        (entry, dir, within): (&EntryView<K>, Dir, bool),
        pin: Pin,
    ) -> Option<Verdict> {
        let sides = match within {
            true => Sides {
                before: trial.before(),
                after: trial.after(),
                bumps: trial.bumps(),
            },
            false if trial.has_more() => self.other_sides(trial, &entry.key, dir)?,
            false => return None,
        };
        Some(self.verdict(trial, &sides, entry, dir, pin))
    }

    /// The group of another destination, if the change concerns that through a next hop.
    fn other_sides<'a, K: Routed>(
        &self,
        trial: &'a Preview,
        key: &K,
        dir: Dir,
    ) -> Option<Sides<'a>> {
        let dst = key.dst(dir);
        let (before, after) = trial.sides_of(key.lookup(&self.reader.view, dst)?)?;
        let (old, new) = trial.views();
        Some(Sides {
            before: Some(before),
            after: Some(after),
            bumps: key.stamp(old, dst) != key.stamp(new, dst),
        })
    }

    /// What the change means for a pin.
    fn verdict<K: Routed>(
        &self,
        trial: &Preview,
        sides: &Sides<'_>,
        entry: &EntryView<K>,
        dir: Dir,
        pin: Pin,
    ) -> Verdict {
        let vouch = Vouch::from_word(entry.stamps[dir as usize]);
        let mut flow = Pinned {
            key: &entry.key,
            dir,
            pin,
            state: self.reader.judge(pin),
            holds: vouch.holds(entry.key.stamp(&self.reader.view, entry.key.dst(dir))),
            stands_in: vouch.stands_in(),
        };
        let before = self.next(trial, sides.before, &flow);
        flow.holds &= !sides.bumps;
        flow.state = trial.judges(pin).unwrap_or(flow.state);
        match (before, self.next(trial, sides.after, &flow)) {
            (Next::Stays, Next::Stays) => Verdict::Stays,
            (Next::Stays, Next::Goes(to, why)) => Verdict::Due(to, why),
            // What went nowhere finds a way.
            (Next::Goes(_, was), Next::Goes(to, why)) if !was.moves() && why.moves() => {
                Verdict::Due(to, why)
            }
            (Next::Goes(..), _) => Verdict::AlreadyDue,
        }
    }

    /// What a worker does with the next packet (`stack::path`, `hit`), were `group` the route's.
    fn next<K: Key>(
        &self,
        trial: &Preview,
        group: Option<GroupRef<'_>>,
        flow: &Pinned<'_, K>,
    ) -> Next {
        let nowhere = |why| Next::Goes(Pin::NONE, MoveWhy::Lost(why));
        let is_live = flow.state == PinState::Live;
        if is_live && flow.holds {
            return Next::Stays;
        }
        let Some(group) = group else {
            return nowhere(DropReason::NoRoute);
        };
        let bucket = || bucket_of(&group, &self.secret, flow.key, flow.dir);
        let called_back = || flow.stands_in && group.recall(bucket(), flow.pin) == Recall::Return;
        let why = match flow.state {
            PinState::Live if !group.has_member(flow.pin) => match group.drained(flow.pin) {
                true => MoveReason::Deadline,
                false => MoveReason::Policy,
            },
            PinState::Live if called_back() => MoveReason::Failback,
            PinState::Live => return Next::Stays,
            PinState::Gone => MoveReason::Policy,
            PinState::Dead => MoveReason::Dead,
            PinState::Drained => MoveReason::Deadline,
        };
        let Some(owner) = group.owner(bucket()) else {
            return nowhere(DropReason::NoNexthop);
        };
        // Flows of a client that has a template go where that says.
        let told = self.reader.told((&group, bucket()), flow.key, flow.dir);
        let (owner, why) = match told.filter(|pin| *pin != owner) {
            Some(pin) => (pin, MoveReason::Template),
            None => (owner, why),
        };
        match trial.nhop(owner).map(|key| key.kind) {
            Some(NhopKind::Blackhole) => nowhere(DropReason::Blackhole),
            Some(NhopKind::Reject) => nowhere(DropReason::Reject),
            Some(NhopKind::Local) => Next::Goes(Pin::NONE, MoveWhy::Local),
            _ if owner == flow.pin => Next::Stays,
            _ => Next::Goes(owner, MoveWhy::Moved(why)),
        }
    }

    /// Looks at the flows that would move once more, `ms` after [`Self::look`]: how many bytes came.
    pub fn measure(&mut self, ms: u64, now: Now) {
        self.found.measure(&self.reader, ms, now);
        if let Some(ending) = &mut self.ending {
            ending.found.measure(&self.reader, ms, now);
        }
    }

    /// From now on the flows that were found due are followed. `obeyed` says whether every worker obeys the change.
    pub fn follow(self, obeyed: Obeyed) -> Follow {
        let rows = self.found.rows.iter();
        let rows = rows.map(|row| self.row(row, &self.preview, 0)).collect();
        Follow::new(self.reader, rows, self.found.list, self.found.due, obeyed)
    }
}

/// What a change means for one direction of a flow.
enum Verdict {
    Stays,
    AlreadyDue,
    Due(Pin, MoveWhy),
}

impl Found {
    /// Bytes of each row in the last `ms`.
    fn measure(&mut self, reader: &Reader, ms: u64, now: Now) {
        let mut bytes = vec![0_u64; self.rows.len()];
        let count = |row: u32, more: u64| {
            if let Some(sum) = bytes.get_mut(row as usize) {
                *sum += more;
            }
        };
        self.list.measure(reader, now, count);
        for (row, bytes) in self.rows.iter_mut().zip(bytes) {
            row.rate = Some(bytes.saturating_mul(1000) / ms.max(1));
        }
    }

    /// Counts a flow that is due. Returns the row under which it is to be remembered, if there is room.
    fn count(&mut self, from: Pin, to: Pin, why: MoveWhy) -> Option<u32> {
        self.due += 1;
        let (rows, many) = (&mut self.rows, self.list.len() >= DUE_LIMIT);
        let place = match self.by_move.get(&(from, to, why)) {
            Some(place) => *place,
            None if rows.len() >= ROWS_LIMIT => {
                self.unlisted += 1;
                return None;
            }
            None => {
                let place = rows.len() as u32;
                rows.push(Row {
                    from,
                    to,
                    why,
                    flows: 0,
                    listed: 0,
                    rate: None,
                });
                self.by_move.insert((from, to, why), place);
                place
            }
        };
        let row = rows.get_mut(place as usize)?;
        row.flows += 1;
        row.listed += u64::from(!many);
        (!many).then_some(place)
    }
}

//! Flows that are remembered one by one.

use super::super::Reader;
use crate::time::Now;
use flowtable::{Dir, EntryView, Key, KeyV4, KeyV6, SlotNo, Table, flow_hash};
use route::Pin;
use std::net::IpAddr;

/// A direction of a flow that a change concerns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due<K> {
    key: K,
    pin: Pin,
    /// Its bytes when they were last looked at.
    bytes: u64,
    /// The low bits of its packets, likewise.
    packets: u32,
    /// Which kind of move.
    pub(super) row: u32,
    slot: SlotNo,
    dir: Dir,
    opener: Dir,
}

impl<K: Key> Due<K> {
    pub(super) fn new(entry: &EntryView<K>, dir: Dir, pin: Pin, row: u32) -> Self {
        Self {
            key: entry.key,
            pin,
            bytes: entry.bytes[dir as usize],
            packets: entry.packets[dir as usize] as u32,
            row,
            slot: entry.slot,
            dir,
            opener: entry.opener,
        }
    }

    /// Who opened the flow, as far as that was seen.
    pub(super) fn client(&self) -> IpAddr {
        let (a, b) = self.key.ends();
        match self.opener {
            Dir::Fwd => a.ip(),
            Dir::Rev => b.ip(),
        }
    }

    fn find(&self, table: &Table<K>, now: Now) -> Option<EntryView<K>> {
        let hash = flow_hash(table.secret(), &self.key);
        let found = table.find(self.slot, hash, &self.key);
        found.filter(|entry| !entry.expired(now.tick()))
    }

    /// Bytes since they were last looked at.
    fn more_bytes(&mut self, table: &Table<K>, now: Now) -> u64 {
        let bytes = self.find(table, now).map(|e| e.bytes[self.dir as usize]);
        let more = bytes.map_or(0, |bytes| bytes.saturating_sub(self.bytes));
        self.bytes += more;
        more
    }

    /// What has become of it. With `settled`, every packet from now on obeys the change, and one that came since the
    /// last look and left the pin as it was has been to its next hop.
    fn look(&mut self, table: &Table<K>, now: Now, settled: Settled) -> State {
        let Some(entry) = self.find(table, now) else {
            return State::Expired;
        };
        let pin = Pin::from_raw(entry.pins[self.dir as usize].0);
        let packets = entry.packets[self.dir as usize] as u32;
        match (pin == self.pin, settled) {
            // Its place was lost, and what is there now is the other direction's.
            (false, _) if pin == Pin::NONE => State::Expired,
            (false, _) => State::Moved,
            (true, Settled::NotYet) => State::Left,
            (true, Settled::Now) => {
                self.packets = packets;
                State::Left
            }
            (true, Settled::Before) if packets == self.packets => State::Left,
            (true, Settled::Before) => State::Used,
        }
    }
}

/// Whether workers obey a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// A burst may be under way that does not.
    NotYet,
    /// From now on.
    Now,
    /// Since the last look.
    Before,
}

/// What has become of a flow that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No packet came.
    Left,
    /// It has another pin.
    Moved,
    /// Its entry is gone, and had the old pin to the end.
    Expired,
    /// A packet came, and the pin stays.
    Used,
}

/// Flows of both families, the workers' and the host's own.
#[derive(Debug, Default)]
pub(super) struct DueList {
    pub(super) v4: [Vec<Due<KeyV4>>; 2],
    pub(super) v6: [Vec<Due<KeyV6>>; 2],
}

impl DueList {
    pub(super) fn len(&self) -> usize {
        let lists = self.v4.iter().map(Vec::len);
        lists.chain(self.v6.iter().map(Vec::len)).sum()
    }

    /// The client of each, with its kind of move.
    pub(super) fn clients(&self) -> Vec<(u32, IpAddr)> {
        let v4 = self.v4.iter().flatten().map(|due| (due.row, due.client()));
        let v6 = self.v6.iter().flatten().map(|due| (due.row, due.client()));
        v4.chain(v6).collect()
    }

    /// Tells the bytes of each since they were last looked at.
    pub(super) fn measure(&mut self, on: &Reader, now: Now, mut tell: impl FnMut(u32, u64)) {
        for (tables, at) in [&on.tables, &on.host_tables].into_iter().zip(0..) {
            for due in &mut self.v4[at] {
                tell(due.row, due.more_bytes(&tables.v4, now));
            }
            for due in &mut self.v6[at] {
                tell(due.row, due.more_bytes(&tables.v6, now));
            }
        }
    }

    /// Looks each up again; who is not left is told and forgotten.
    pub(super) fn look(
        &mut self,
        on: &Reader,
        now: Now,
        settled: Settled,
        mut tell: impl FnMut(u32, State),
    ) {
        let mut stays = |row, state| {
            if state != State::Left {
                tell(row, state);
            }
            state == State::Left
        };
        for (tables, at) in [&on.tables, &on.host_tables].into_iter().zip(0..) {
            self.v4[at].retain_mut(|due| stays(due.row, due.look(&tables.v4, now, settled)));
            self.v6[at].retain_mut(|due| stays(due.row, due.look(&tables.v6, now, settled)));
        }
        self.v4.iter_mut().for_each(Vec::shrink_to_fit);
        self.v6.iter_mut().for_each(Vec::shrink_to_fit);
    }
}

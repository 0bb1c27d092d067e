//! What the table's tests share: one small sub-table, its writer, and packets for it.

use crate::burst::Burst;
use crate::hash::{FlowHash, SlotNo, TableSecret, flow_hash};
use crate::insert::Refused;
use crate::key::{Dir, KeyV4};
use crate::pin::PinWord;
use crate::state::{Class, L4, Seen};
use crate::table::Table;
use crate::time::Tick;
use crate::writer::{Entry, Writer};
use std::sync::Arc;

pub(crate) const SLOT: SlotNo = SlotNo(0);
pub(crate) const SECRET: TableSecret = TableSecret([7; 16]);
/// When every test's table starts.
pub(crate) const START: Tick = Tick(10);

/// A UDP packet.
pub(crate) const UDP: Seen = Seen {
    l4: L4::Udp,
    bytes: 100,
    in_port: 3,
};

/// `seconds` after the start.
pub(crate) fn at(seconds: u32) -> Tick {
    Tick(START.0 + seconds * Tick::PER_SECOND)
}

/// A SYN.
pub(crate) fn syn() -> Seen {
    tcp(L4::SYN)
}

/// A TCP segment at the start of its connection.
pub(crate) fn tcp(flags: u8) -> Seen {
    let l4 = L4::Tcp {
        flags,
        seq: 1000,
        ack: 1000,
        window: 1000,
        len: 0,
    };
    Seen {
        l4,
        bytes: 40,
        in_port: 3,
    }
}

/// The key of UDP flow number `n`; forward from the client.
pub(crate) fn key(n: u32) -> KeyV4 {
    KeyV4::new(0, 17, 0x0a00_0000 + n, 1000, 0xc000_0201, 53).0
}

/// The pin that a test gives to a flow.
pub(crate) fn pin_of(n: u32) -> PinWord {
    PinWord(u64::from(n) + 1)
}

/// One slot of `buckets` buckets, and its writer.
pub(crate) struct Rig {
    pub(crate) table: Arc<Table<KeyV4>>,
    pub(crate) writer: Writer<KeyV4>,
}

impl Rig {
    pub(crate) fn new(buckets: usize) -> Self {
        let table = Table::with_geometry(1, buckets, SECRET, (START, &|_| {}));
        // Every test flow comes from the same few networks.
        table.set_source_share(100);
        let writer = table.writer([SLOT].into_iter());
        Self { table, writer }
    }

    pub(crate) fn hash(&self, n: u32) -> FlowHash {
        flow_hash(self.table.secret(), &key(n))
    }

    pub(crate) fn lookup(&self, n: u32, now: Tick) -> Option<Entry> {
        self.writer.lookup(SLOT, self.hash(n), &key(n), now)
    }

    pub(crate) fn insert(&mut self, n: u32, seen: &Seen, now: Tick) -> Result<Entry, Refused> {
        let hash = self.hash(n);
        let entry = self
            .writer
            .insert(SLOT, hash, &key(n), Dir::Fwd, seen, now)?;
        self.writer.set_pin(entry, Dir::Fwd, pin_of(n), n);
        Ok(entry)
    }

    /// Inserts UDP flows of these numbers, which must all fit.
    pub(crate) fn insert_all(&mut self, flows: std::ops::Range<u32>, now: Tick) {
        for n in flows {
            self.insert(n, &UDP, now).expect("room for all");
        }
    }

    /// Inserts a UDP flow and brings it to a class, all at `now`.
    pub(crate) fn insert_as(&mut self, n: u32, class: Class, now: Tick) -> Result<Entry, Refused> {
        let entry = self.insert(n, &UDP, now)?;
        match class {
            Class::Probation => {}
            Class::OneWay => {
                self.table
                    .entries
                    .at(entry.0)
                    .set_birth(Tick(now.0.wrapping_sub(10)));
                (0..2).for_each(|_| self.touch(entry, Dir::Fwd, now));
            }
            Class::TwoWay => self.touch(entry, Dir::Rev, now),
        }
        assert_eq!(self.table.entries.at(entry.0).life().class(), class);
        Ok(entry)
    }

    pub(crate) fn touch(&mut self, entry: Entry, dir: Dir, now: Tick) {
        let _ = self.writer.observe(entry, dir, &UDP, now);
    }

    /// Inserts UDP flows of a class, from number `from` on, until one is refused or would cost another its
    /// place. Returns the number of the first that did not fit.
    pub(crate) fn fill(&mut self, from: u32, class: Class, now: Tick) -> u32 {
        let taken = |rig: &Self| {
            let stats = rig.table.stats();
            stats.refused + stats.evicted.iter().sum::<u64>()
        };
        let before = taken(self);
        let mut n = from;
        while self.insert_as(n, class, now).is_ok() && taken(self) == before {
            n += 1;
        }
        n
    }

    pub(crate) fn proves_new(&self, n: u32, idle_s: u32, now: Tick) -> bool {
        self.writer.proves_new(SLOT, self.hash(n), idle_s, now)
    }

    /// The books of [`Stats`](crate::Stats) balance, and the readers' listing agrees with them.
    /// No two-way flow was thrown out.
    pub(crate) fn check_books(&self) {
        self.check_balance();
        let s = self.table.stats();
        let thrown = (s.evicted[2], s.shrunk[2]);
        assert_eq!(thrown, (0, 0), "a two-way flow was thrown out");
    }

    /// The books alone.
    pub(crate) fn check_balance(&self) {
        let s = self.table.stats();
        let gone: u64 = [s.expired, s.evicted, s.shrunk].iter().flatten().sum();
        assert_eq!(s.inserts, s.used + s.removed + gone, "{s:?}");
        // And so they do for who knows the names alone.
        let sum = |of: fn(&str) -> bool| -> u64 {
            let named = s.named().filter(|(name, _)| of(name));
            named.map(|(_, count)| count).sum()
        };
        let left = |name: &str| {
            let causes = ["removed", "expired_", "evicted_", "shrunk_"];
            causes.iter().any(|cause| name.starts_with(cause))
        };
        assert_eq!(sum(|name| name == "inserts"), s.used + sum(left), "{s:?}");
        assert_eq!(s.used as usize, self.writer.len());
        assert_eq!(self.table.entries().count(), self.writer.len());
        assert!(
            s.used <= s.high_water && s.high_water <= s.capacity,
            "{s:?}"
        );
        let keys: std::collections::HashSet<_> = self.table.entries().map(|e| e.key).collect();
        assert_eq!(keys.len(), self.writer.len(), "a flow has two entries");
    }
}

/// Flows whose lookups have begun.
pub(crate) fn started(rig: &Rig, flows: &[u32], now: Tick) -> Burst<KeyV4> {
    // Too small at first: it grows.
    let mut burst = Burst::new(1);
    flows.iter().for_each(|n| {
        burst.push(SLOT, &key(*n), Dir::Fwd);
    });
    rig.writer.start(&mut burst, now);
    burst
}

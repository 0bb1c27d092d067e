//! How many find no place at the load that a table is meant for, after its flows have been replaced many times.

use flowtable::{
    Dir, Entry, KeyV4, L4, SLOTS, Seen, SlotNo, Table, TableSecret, Tick, Writer, owner_slot4,
};
use std::sync::Arc;

const SECRET: TableSecret = TableSecret([42; 16]);
const START: Tick = Tick(100);
const UDP: Seen = Seen {
    l4: L4::Udp,
    bytes: 100,
    in_port: 0,
};

/// Connections, and places for them: a load of 0.8.
const FLOWS: u32 = 65_536;
const PLACES: usize = FLOWS as usize / 4 * 5;
/// How often all of them are replaced.
const TURNOVERS: u32 = 20;

/// The slot and the key of flow number `n`.
fn flow(n: u32) -> (SlotNo, KeyV4) {
    let (src, dst) = (0x0a00_0000 + n, 0xc000_0201);
    let slot = owner_slot4(&SECRET, 17, src, 1000, dst, 53);
    (slot, KeyV4::new(0, 17, src, 1000, dst, 53).0)
}

struct Churn {
    table: Arc<Table<KeyV4>>,
    writer: Writer<KeyV4>,
    next: u32,
}

impl Churn {
    fn new() -> Self {
        let table = Table::new(PLACES, SECRET, START);
        // All come from a few networks.
        table.set_source_share(100);
        let writer = table.writer((0..SLOTS as u16).map(SlotNo));
        Self {
            table,
            writer,
            next: 0,
        }
    }

    /// A new connection that both sides have shown, so that none makes room for another. `None`: it found no place.
    fn open(&mut self) -> Option<u32> {
        let n = self.next;
        self.next += 1;
        let (slot, key) = flow(n);
        let hash = self.writer.hash(&key);
        let entry = self.writer.insert(slot, hash, &key, Dir::Fwd, &UDP, START);
        let entry: Entry = entry.ok()?;
        let _ = self.writer.observe(entry, Dir::Rev, &UDP, START);
        Some(n)
    }

    fn close(&mut self, n: u32) {
        let (slot, key) = flow(n);
        let hash = self.writer.hash(&key);
        let entry = self.writer.lookup(slot, hash, &key, START);
        self.writer.remove(entry.expect("nobody took its place"));
    }
}

#[test]
fn no_more_than_one_in_ten_thousand_finds_no_place_at_its_load_after_long_churn() {
    let mut churn = Churn::new();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut live: Vec<u32> = (0..FLOWS).filter_map(|_| churn.open()).collect();
    assert!(live.len() as u32 + FLOWS / 10_000 >= FLOWS);
    for turnover in 0..TURNOVERS {
        let before = churn.table.stats().refused;
        for _ in 0..FLOWS {
            churn.close(live.swap_remove(rng.usize(..live.len())));
            // Who found no place is replaced too, so the load stays.
            while live.len() < FLOWS as usize {
                live.extend(churn.open());
            }
        }
        let refused = churn.table.stats().refused - before;
        assert!(
            refused <= u64::from(FLOWS / 10_000),
            "turnover {turnover}: {refused} of {FLOWS}"
        );
    }
    let stats = churn.table.stats();
    assert_eq!(stats.used, u64::from(FLOWS));
    assert!(stats.used * 100 >= stats.capacity * 76, "{stats:?}");
    assert_eq!(stats.evicted, [0; 3]);
    assert!(
        stats.displaced > 0,
        "a load at which nobody moves says little"
    );
}

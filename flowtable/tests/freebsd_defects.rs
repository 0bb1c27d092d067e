//! What was wrong with FreeBSD's flowtable(9), one test each, through the public interface.
//!
//! The list is that of the defects visible by reading its sources of 2009 to 2016. One of them is not the
//! business of this crate: that a flow's first packet took three route locks.

use flowtable::{
    Class, Dir, Entry, FlowHash, FlushCursor, Key, KeyV4, KeyV6, L4, Observed, PinWord, Seen,
    SlotNo, State, Table, TableSecret, Tick, Writer, flow_hash, owner_slot4,
};
use std::collections::HashSet;
use std::sync::Arc;

const SECRET: TableSecret = TableSecret([42; 16]);
const START: Tick = Tick(100);
const SLOT: SlotNo = SlotNo(17);
const UDP: Seen = Seen {
    l4: L4::Udp,
    bytes: 100,
    in_port: 0,
};

fn seconds(s: u32) -> Tick {
    Tick(START.0 + s * Tick::PER_SECOND)
}

fn tcp(flags: u8, seq: u32, ack: u32) -> Seen {
    Seen {
        l4: L4::Tcp {
            flags,
            seq,
            ack,
            window: 8192,
            len: 0,
        },
        bytes: 40,
        in_port: 0,
    }
}

fn table<K: Key>() -> (Arc<Table<K>>, Writer<K>) {
    let table = Table::new(4096, SECRET, START);
    let writer = table.writer([SLOT].into_iter());
    (table, writer)
}

fn hash<K: Key>(key: &K) -> FlowHash {
    flow_hash(&SECRET, key)
}

fn insert<K: Key>(writer: &mut Writer<K>, key: &K, dir: Dir, seen: &Seen) -> Entry {
    writer
        .insert(SLOT, hash(key), key, dir, seen, START)
        .expect("room")
}

/// A connection of which the whole handshake was seen.
fn established(writer: &mut Writer<KeyV4>) -> (KeyV4, Dir, Entry) {
    let (key, dir) = KeyV4::new(0, 6, 0x0a00_0001, 40_000, 0xc000_0201, 80);
    let entry = insert(writer, &key, dir, &tcp(L4::SYN, 1000, 0));
    assert_eq!(
        writer.observe(
            entry,
            dir.flip(),
            &tcp(L4::SYN | L4::ACK, 2000, 1001),
            START
        ),
        Observed::Normal
    );
    assert_eq!(
        writer.observe(entry, dir, &tcp(L4::ACK, 1001, 2001), START),
        Observed::Normal
    );
    writer.set_pin(entry, dir, PinWord(7), 1);
    (key, dir, entry)
}

fn state(table: &Table<KeyV4>, key: &KeyV4) -> State {
    table.find(SLOT, hash(key), key).expect("the flow").state
}

#[test]
fn defect_1_connections_to_one_destination_shared_a_flow() {
    let (_, mut writer) = table();
    let connections = [
        KeyV4::new(0, 6, 1, 1000, 9, 80).0,
        KeyV4::new(0, 6, 1, 1001, 9, 80).0,
        KeyV4::new(0, 6, 2, 1000, 9, 80).0,
        KeyV4::new(0, 17, 1, 1000, 9, 80).0,
    ];
    for (n, key) in (1..).zip(&connections) {
        let entry = insert(&mut writer, key, Dir::Fwd, &UDP);
        writer.set_pin(entry, Dir::Fwd, PinWord(n), 0);
    }
    for (n, key) in (1..).zip(&connections) {
        let entry = writer.lookup(SLOT, hash(key), key, START).unwrap();
        assert_eq!(writer.pin(entry, Dir::Fwd), PinWord(n));
    }
}

#[test]
fn defect_2_the_timeout_of_idle_connections_was_set_from_another_states() {
    let (table, mut writer) = table();
    let (key, ..) = established(&mut writer);
    table.timeouts().set(State::FinWait, 1);
    assert!(
        writer
            .lookup(SLOT, hash(&key), &key, seconds(7439))
            .is_some()
    );
    assert!(
        writer
            .lookup(SLOT, hash(&key), &key, seconds(7440))
            .is_none()
    );
    for state in State::ALL {
        table.timeouts().set(*state, 1000 + *state as u32);
    }
    for state in State::ALL {
        assert_eq!(
            table.timeouts().get(*state),
            1000 + *state as u32,
            "{state:?}"
        );
    }
}

#[test]
fn defect_3_a_forged_rst_or_fin_evicted_the_flow() {
    let (table, mut writer) = table();
    let (key, dir, entry) = established(&mut writer);
    for flags in [L4::RST, L4::RST | L4::ACK, L4::FIN, L4::FIN | L4::ACK] {
        let forged = tcp(flags, 0x7700_0000, 0x7700_0000);
        assert_eq!(
            writer.observe(entry, dir, &forged, seconds(1)),
            Observed::Normal
        );
        assert_eq!(state(&table, &key), State::Established);
    }
    assert!(
        writer
            .lookup(SLOT, hash(&key), &key, seconds(7000))
            .is_some()
    );
}

#[test]
fn defect_3_a_genuine_fin_evicted_the_flow_while_the_other_side_was_still_sending() {
    let (table, mut writer) = table();
    let (key, dir, entry) = established(&mut writer);
    let _ = writer.observe(entry, dir, &tcp(L4::FIN | L4::ACK, 1001, 2001), seconds(1));
    assert_eq!(state(&table, &key), State::FinWait);
    // A download that goes on for hours after its request's side has closed.
    for minute in 1..200 {
        let found = writer
            .lookup(SLOT, hash(&key), &key, seconds(60 * minute))
            .expect("unpinned");
        let _ = writer.observe(
            found,
            dir.flip(),
            &tcp(L4::ACK, 2001, 1002),
            seconds(60 * minute),
        );
        assert_eq!(writer.pin(found, dir), PinWord(7));
    }
}

#[test]
fn defect_3_flags_of_the_table_were_taken_for_flags_of_tcp() {
    // Every state is reached by its packets, and each has its own timeout.
    let (table, mut writer) = table();
    let (key, dir, entry) = established(&mut writer);
    let mut timeouts = HashSet::new();
    for (flags, want) in [
        (L4::ACK, State::Established),
        (L4::FIN | L4::ACK, State::FinWait),
        (L4::RST, State::Reset),
    ] {
        let _ = writer.observe(entry, dir, &tcp(flags, 1001, 2001), START);
        assert_eq!(state(&table, &key), want);
        timeouts.insert(table.find(SLOT, hash(&key), &key).unwrap().timeout_s);
    }
    assert_eq!(timeouts.len(), 3);
}

#[test]
fn defect_4_lifetimes_shrank_when_the_table_was_no_longer_full() {
    let table = Table::new(1 << 16, SECRET, START);
    let mut writer = table.writer([SLOT].into_iter());
    let capacity = table.stats().slot_capacity as usize;
    let mut n = 0;
    while writer.len() < capacity {
        let key = KeyV4::new(0, 17, n, 1, 0xc000_0201, 53).0;
        let _ = writer.insert(SLOT, hash(&key), &key, Dir::Fwd, &UDP, START);
        n += 1;
    }
    // Flows that are all idle for the same time: the hand frees them early while the table is full, less so
    // with every one that goes, and not at all below four fifths.
    for second in [2, 100, 200, 299] {
        let before = writer.len();
        let freed = writer.sweep(usize::MAX, seconds(second));
        assert!(freed > 0 && writer.len() == before - freed, "{second} s");
        assert_eq!(writer.sweep(usize::MAX, seconds(second)), 0, "{second} s");
        assert!(
            writer.len() * 5 >= capacity * 4 - 5,
            "{second} s: {} left",
            writer.len()
        );
    }
    let left = writer.len();
    assert_eq!(writer.sweep(usize::MAX, seconds(300)), left);
}

#[test]
fn defect_5_a_miss_in_a_chain_returned_somebody_elses_flow() {
    let (table, mut writer) = table::<KeyV4>();
    let mine = KeyV4::new(0, 6, 1, 1, 2, 2).0;
    let theirs = KeyV4::new(0, 6, 3, 3, 4, 4).0;
    insert(&mut writer, &mine, Dir::Fwd, &UDP);
    // The very same hash: same buckets, same tag.
    assert_eq!(writer.lookup(SLOT, hash(&mine), &theirs, START), None);
    assert_eq!(table.find(SLOT, hash(&mine), &theirs), None);
    let other = writer
        .insert(SLOT, hash(&mine), &theirs, Dir::Fwd, &UDP, START)
        .unwrap();
    assert_ne!(Some(other), writer.lookup(SLOT, hash(&mine), &mine, START));
    assert_eq!(
        Some(other),
        writer.lookup(SLOT, hash(&mine), &theirs, START)
    );
}

#[test]
fn defect_6_ipv6_took_the_source_for_the_destination() {
    let (table, mut writer) = table::<KeyV6>();
    let (src, dst) = (0x2001_0db8 << 96 | 9, 0x2001_0db8 << 96 | 5);
    let (key, dir) = KeyV6::new(0, 17, src, 1000, dst, 53);
    let entry = insert(&mut writer, &key, dir, &UDP);
    writer.set_pin(entry, dir, PinWord(11), 0);
    let view = table.find(SLOT, hash(&key), &key).unwrap();
    let (a, b) = view.key.ends();
    let destination = if dir == Dir::Fwd { b } else { a };
    assert_eq!(destination, "[2001:db8::5]:53".parse().unwrap());
    assert_eq!(view.pins[dir as usize], PinWord(11));
    assert_eq!(view.pins[dir.flip() as usize], PinWord::NONE);
}

#[test]
fn defect_7_hashing_had_no_secret_and_chains_no_end() {
    let (a, b) = (TableSecret([1; 16]), TableSecret([2; 16]));
    let key = |n| KeyV4::new(0, 17, n, 1, 2, 3).0;
    assert!((0..1000).all(|n| flow_hash(&a, &key(n)) != flow_hash(&b, &key(n))));
    let slots = |s| {
        (0..1000)
            .map(|n| owner_slot4(s, 17, n, 1, 2, 3))
            .collect::<Vec<_>>()
    };
    assert_ne!(slots(&a), slots(&b));
    // Should all flows collide after all, then two buckets hold 48 of them, and the rest goes unpinned.
    let (_, mut writer) = table::<KeyV4>();
    let same = FlowHash(0x1234_5678_9abc_def0);
    let mut fitted = 0;
    for n in 0..10_000 {
        if let Ok(entry) = writer.insert(SLOT, same, &key(n), Dir::Fwd, &UDP, START) {
            fitted += 1;
            let _ = writer.observe(entry, Dir::Rev, &UDP, START);
        }
    }
    assert!(fitted <= 48 && writer.len() == fitted, "{fitted}");
}

#[test]
fn defect_8_a_flow_that_was_used_this_second_survived_the_flush_of_its_route() {
    let (table, mut writer) = table();
    let (key, dir, entry) = established(&mut writer);
    let _ = writer.observe(entry, dir, &tcp(L4::ACK, 1001, 2001), seconds(9));
    let pinned = |e: &flowtable::EntryView<KeyV4>| e.pins.contains(&PinWord(7));
    assert!(writer.drain_matching(
        &mut FlushCursor::default(),
        usize::MAX,
        seconds(9),
        pinned,
        |_| {}
    ));
    assert_eq!(writer.lookup(SLOT, hash(&key), &key, seconds(9)), None);
    assert_eq!(table.stats().used, 0);
}

#[test]
fn defect_9_a_flow_whose_neighbour_was_not_known_was_inserted_again_and_again() {
    let (table, mut writer) = table::<KeyV4>();
    let (key, dir) = KeyV4::new(0, 17, 1, 2, 3, 4);
    // Nothing is known to pin yet; the flow's next packets still find its one entry.
    let entry = insert(&mut writer, &key, dir, &UDP);
    assert_eq!(writer.pin(entry, dir), PinWord::NONE);
    for _ in 0..10 {
        assert_eq!(insert(&mut writer, &key, dir, &UDP), entry);
    }
    let stats = table.stats();
    assert_eq!((stats.used, stats.inserts, stats.refused), (1, 1, 0));
    assert_eq!(
        table.find(SLOT, hash(&key), &key).unwrap().class,
        Class::Probation
    );
}

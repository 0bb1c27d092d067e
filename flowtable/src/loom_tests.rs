//! Models of a writer and a reader in every interleaving and memory order that loom can think of.

use crate::bucket::{PLACES, Tag};
use crate::hash::{FlowHash, SlotNo, TableSecret, flow_hash};
use crate::key::{Dir, KeyV4};
use crate::kind::Kind;
use crate::pin::PinWord;
use crate::state::{L4, Seen};
use crate::table::Table;
use crate::time::Tick;
use crate::writer::{Entry, Writer};
use loom::thread;
use std::sync::Arc;

pub(crate) const SLOT: SlotNo = SlotNo(0);
pub(crate) const UDP: Seen = Seen {
    l4: L4::Udp,
    bytes: 1,
    in_port: 0,
};

/// A table of two buckets and a flow in it whose two candidates differ, pinned to (5, 5).
pub(crate) fn one_flow() -> (Arc<Table<KeyV4>>, Writer<KeyV4>, KeyV4, FlowHash, Entry) {
    let table = Table::with_geometry(1, 2, TableSecret([7; 16]), (Tick(1), &|_| {}));
    let mut writer = table.writer([SLOT].into_iter());
    let (key, hash) = (0..)
        .map(|n| KeyV4::new(0, 17, n, 1, 1 << 31, 2).0)
        .map(|key| (key, flow_hash(table.secret(), &key)))
        .find(|(_, hash)| {
            let [first, second] = table.range(SLOT).candidates(*hash);
            first != second
        })
        .unwrap();
    let entry = writer
        .insert(SLOT, hash, &key, Dir::Fwd, &UDP, Tick(1))
        .unwrap();
    writer.set_pin(entry, Dir::Fwd, PinWord(5), 5);
    (table, writer, key, hash, entry)
}

#[test]
fn loom_a_displaced_flow_is_found_at_any_moment() {
    loom::model(|| {
        let (table, writer, key, hash, entry) = one_flow();
        let reader = thread::spawn(move || {
            let view = table
                .find(SLOT, hash, &key)
                .expect("displacement hid the flow");
            assert_eq!((view.pins[0], view.stamps[0]), (PinWord(5), 5));
        });
        let [first, second] = writer.table.range(SLOT).candidates(hash);
        let to = if entry.0.bucket() == first {
            second
        } else {
            first
        };
        writer.relocate(entry.0, to.place(PLACES - 1), Tag::of(hash), Tick(2));
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_stray_that_comes_home_is_found_at_any_moment() {
    loom::model(|| {
        let (table, writer, key, hash, entry) = one_flow();
        let [first, second] = writer.table.range(SLOT).candidates(hash);
        assert_eq!(entry.0.bucket(), first);
        writer.relocate(entry.0, second.place(1), Tag::of(hash), Tick(2));
        let reader = thread::spawn(move || {
            let view = table
                .find(SLOT, hash, &key)
                .expect("the way home hid the flow");
            assert_eq!((view.pins[0], view.stamps[0]), (PinWord(5), 5));
        });
        writer.relocate(second.place(1), first.place(2), Tag::of(hash), Tick(3));
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_pin_and_its_stamp_are_read_together() {
    loom::model(|| {
        let (table, mut writer, key, hash, entry) = one_flow();
        let reader = thread::spawn(move || {
            let view = table
                .find(SLOT, hash, &key)
                .expect("the flow was there all the time");
            assert_eq!(view.pins[0].0, u64::from(view.stamps[0]));
        });
        writer.set_pin(entry, Dir::Fwd, PinWord(6), 6);
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_kind_its_index_and_the_counts_are_read_together() {
    loom::model(|| {
        let (table, mut writer, key, hash, entry) = one_flow();
        let reader = thread::spawn(move || {
            let view = table
                .find(SLOT, hash, &key)
                .expect("the flow was there all the time");
            let kind = (view.kind.get(), view.aux);
            assert!(kind == (0, 0) || kind == (1, 0x0001_0001), "{kind:?}");
            assert_eq!(view.packets, [1, 0]);
        });
        assert!(writer.set_kind(entry, Kind::new(1), 0x0001_0001));
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_place_that_is_taken_again_never_shows_its_old_flow() {
    loom::model(|| {
        let (table, mut writer, key, hash, entry) = one_flow();
        writer.remove(entry);
        let reader = thread::spawn(move || {
            assert_eq!(table.find(SLOT, hash, &key), None);
        });
        // The same hash, so that tag and place are the same and only the key tells the flows apart.
        let other = KeyV4::new(0, 17, 77, 1, 1 << 31, 2).0;
        let taken = writer
            .insert(SLOT, hash, &other, Dir::Fwd, &UDP, Tick(1))
            .unwrap();
        assert_eq!(taken, entry);
        reader.join().unwrap();
    });
}

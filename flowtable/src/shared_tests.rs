use super::*;
use crate::fixture::{START, UDP};
use crate::hash::{flow_hash, owner_slot4};
use crate::key::{Dir, KeyV4, KeyV6};
use crate::kind::Kind;
use crate::pin::PinWord;

const ORIGIN: Origin = Origin {
    secret: TableSecret([0xa5; 16]),
    clock_base_ms: 123_456_789,
    start: START,
};
const CAPACITY: usize = 100_000;

/// A file without a name, of so many bytes.
fn file(bytes: u64) -> File {
    let name = format!(
        "flowtable-shared-{}-{}",
        std::process::id(),
        fastrand::u64(..)
    );
    let path = std::env::temp_dir().join(name);
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).open(&path);
    let file = file.expect("a directory for temporary files");
    std::fs::remove_file(&path).expect("it was made just now");
    file.set_len(bytes).expect("room");
    file
}

fn table_file<K: Key>() -> File {
    file(Table::<K>::file_bytes(CAPACITY))
}

fn key(n: u32) -> KeyV4 {
    KeyV4::new(0, 17, 0x0a00_0000 + n, 1000, 0xc000_0201, 53).0
}

#[test]
fn a_second_mapping_reads_what_the_writer_writes_while_it_writes() {
    let file = table_file::<KeyV4>();
    let table = Table::<KeyV4>::new_in(&file, CAPACITY, &ORIGIN, &|_| {}).unwrap();
    let mut writer = table.writer((0..SLOTS as u16).map(SlotNo));
    let place = |n: u32| {
        let slot = owner_slot4(table.secret(), 17, 0x0a00_0000 + n, 1000, 0xc000_0201, 53);
        (slot, flow_hash(table.secret(), &key(n)))
    };
    for n in 0..1000 {
        let (slot, hash) = place(n);
        let entry = writer.insert(slot, hash, &key(n), Dir::Fwd, &UDP, START);
        let entry = entry.expect("room");
        writer.set_pin(entry, Dir::Fwd, PinWord(u64::from(n) + 1), n);
        assert!(n % 3 != 0 || writer.set_kind(entry, Kind::new(2), n << 16));
    }
    let (given, origin) = table.file().expect("a file's");
    assert_eq!(origin, ORIGIN);
    let other = Table::<KeyV4>::open(given).unwrap();
    assert_eq!(other.secret(), &ORIGIN.secret);
    assert_eq!((other.stats().used, other.entries().count()), (1000, 1000));
    for n in 0..1000 {
        let (slot, hash) = place(n);
        let view = other.find(slot, hash, &key(n)).expect("it is there");
        assert_eq!(
            (view.pins[0], view.stamps[0]),
            (PinWord(u64::from(n) + 1), n)
        );
        let aux = if n % 3 == 0 { n << 16 } else { 0 };
        assert_eq!(view.aux, aux);
        assert_eq!(Some(view), table.find(slot, hash, &key(n)));
    }
    // What comes later is seen too, and what goes.
    let (slot, hash) = place(7);
    let entry = writer.lookup(slot, hash, &key(7), START).unwrap();
    assert!(writer.remove(entry));
    assert_eq!(other.find(slot, hash, &key(7)), None);
    // The one who looks is nobody's writer.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(other.writer([SlotNo(0)].into_iter()));
    }));
    assert!(caught.is_err(), "two writers of one slot");
}

#[test]
fn what_is_no_such_table_is_refused_with_one_line() {
    let refused = |file: &File| {
        let error = Table::<KeyV4>::open(file).map(drop).expect_err("refused");
        let line = error.to_string();
        assert!(line.lines().count() == 1 && line.len() < 200, "{line}");
        error
    };
    assert!(matches!(refused(&file(0)), OpenError::NoTable));
    assert!(matches!(refused(&file(4096)), OpenError::NoTable));
    assert!(matches!(
        refused(&table_file::<KeyV4>()),
        OpenError::NoTable
    ));
    let six = table_file::<KeyV6>();
    let _six = Table::<KeyV6>::new_in(&six, CAPACITY, &ORIGIN, &|_| {}).unwrap();
    assert!(matches!(refused(&six), OpenError::Layout { .. }));
    // A word of the head that is not as it was.
    let of_head = |at: usize, word: u64| {
        let file = table_file::<KeyV4>();
        drop(Table::<KeyV4>::new_in(&file, CAPACITY, &ORIGIN, &|_| {}).unwrap());
        Words::of_file(&file, 0, HEAD_WORDS)
            .unwrap()
            .store(at, word);
        file
    };
    assert!(Table::<KeyV4>::open(&of_head(AT_CLOCK, 1)).is_ok());
    assert!(matches!(refused(&of_head(AT_MAGIC, 0)), OpenError::NoTable));
    assert!(matches!(
        refused(&of_head(AT_VERSION, 9)),
        OpenError::Version(9)
    ));
    assert!(matches!(
        refused(&of_head(AT_LAYOUT, 9)),
        OpenError::Layout { is: 9, .. }
    ));
    assert!(matches!(
        refused(&of_head(AT_SLOTS, 255)),
        OpenError::Layout { .. }
    ));
    for (at, word) in [
        (AT_BYTES, 0),
        (AT_BYTES, u64::MAX),
        (AT_BUCKETS, 0),
        (AT_BUCKETS, 1),
        (AT_BUCKETS, u64::MAX),
    ] {
        assert!(matches!(
            refused(&of_head(at, word)),
            OpenError::Size { .. }
        ));
    }
    // Cut short, or longer than it says.
    for bytes in [2 << 20, Table::<KeyV4>::file_bytes(CAPACITY) + (2 << 20)] {
        let file = of_head(AT_CLOCK, 1);
        file.set_len(bytes).unwrap();
        assert!(matches!(refused(&file), OpenError::Size { .. }));
    }
}

#[test]
fn a_file_too_short_for_the_table_is_refused() {
    let short = file(Table::<KeyV4>::file_bytes(CAPACITY) - 1);
    let made = Table::<KeyV4>::new_in(&short, CAPACITY, &ORIGIN, &|_| {});
    assert_eq!(
        made.map(drop).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    assert_eq!(Table::<KeyV4>::file_bytes(0), Table::<KeyV4>::file_bytes(1));
    assert_ne!(Table::<KeyV4>::LAYOUT, Table::<KeyV6>::LAYOUT);
}

#[test]
fn a_table_of_no_file_has_none_to_give() {
    let table = Table::<KeyV4>::new(1, ORIGIN.secret, START);
    assert!(table.file().is_none());
}

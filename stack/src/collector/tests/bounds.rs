//! Bounds: what a flood may take, what is given up for what, and that memory comes back.

use super::*;

#[test]
fn a_collector_without_room_still_loses_nothing() {
    for (datagrams, pieces) in [(0, 0), (0, 4), (4, 0)] {
        let mut b = Bench::new(datagrams, pieces);
        assert_eq!(b.take(piece(1, 7, 9, 1), 0), (vec![], vec![1]));
        assert_eq!(b.take(piece(0, 7, 9, 0), 0), (vec![0], vec![]));
        let (ready, evicted) = b.take(piece(2, 7, 9, 2), 0);
        assert_eq!(ready.len() + evicted.len(), 1);
    }
}

#[test]
fn when_places_run_out_the_oldest_waiting_datagram_is_given_up() {
    let mut b = Bench::new(64, 4);
    for src in 0..4 {
        assert_eq!(
            b.take(piece(src, src, 1, 1), u64::from(src)),
            (vec![], vec![])
        );
    }
    assert_eq!(b.take(piece(9, 100, 1, 1), 9), (vec![], vec![0]));
    assert_eq!(b.take(piece(10, 101, 1, 1), 9), (vec![], vec![1]));
    assert_eq!((b.collector.waiting(), b.collector.stats().evicted), (4, 2));
    assert_eq!(b.collector.next_deadline(), Some(2 + WAIT));
}

#[test]
fn one_source_holds_at_most_its_share_of_the_places() {
    let mut b = Bench::new(256, 64);
    let mut refused = 0;
    for i in 0..200 {
        refused += b.take(piece(i, 7, i, 1), 0).1.len();
    }
    assert_eq!((b.collector.waiting(), refused), (16, 184));
    assert_eq!(b.collector.stats().refused, 184);
    let other = (1..20).find(|&src| b.take(piece(1_000, src, 1, 1), 0).1.is_empty());
    assert!(other.is_some(), "others still find places");
    assert!(b.poll(WAIT).len() == 17 && b.collector.waiting() == 0);
    assert_eq!(
        b.take(piece(1, 7, 1_000, 1), WAIT).1,
        vec![0u32; 0],
        "and its share comes back"
    );
}

#[test]
fn a_flood_of_later_pieces_leaves_known_tuples_alone_below_half_of_the_table() {
    let mut b = Bench::new(64, 256);
    for id in 0..32 {
        b.take(piece(id, 7, id, 0), 0);
    }
    for i in 0..5_000 {
        b.take(piece(i, i * 77, 1, 1), 1);
    }
    for id in 0..32 {
        assert_eq!(
            b.take(piece(id, 7, id, 1), 2).0,
            vec![id],
            "datagram {id} was forgotten"
        );
    }
    assert_eq!(b.collector.stats().forgotten, 0);
}

#[test]
fn a_flood_of_first_pieces_leaves_waiting_ones_alone_below_half_of_the_table() {
    let mut b = Bench::new(64, 256);
    for src in 0..32 {
        b.take(piece(src, src, 9, 1), 0);
    }
    for i in 0..5_000 {
        assert_eq!(b.take(piece(i, i * 77 + 1_000, 1, 0), 1).1, vec![0u32; 0]);
    }
    assert_eq!(b.collector.waiting(), 32);
    assert!(b.collector.stats().forgotten > 4_000);
    for src in 0..32 {
        assert_eq!(b.take(piece(99, src, 9, 0), 2).0, vec![99, src]);
    }
}

#[test]
fn the_kind_that_has_more_than_half_makes_room_for_the_other() {
    let mut b = Bench::new(64, 256);
    for id in 0..64 {
        b.take(piece(id, 7, id, 0), 0);
    }
    assert_eq!(b.take(piece(900, 8, 1, 1), 1), (vec![], vec![]));
    assert_eq!(
        (b.collector.waiting(), b.collector.stats().forgotten),
        (1, 1)
    );
    assert_eq!(
        b.take(piece(901, 7, 63, 1), 1).0,
        vec![901],
        "the oldest was forgotten"
    );

    let mut b = Bench::new(64, 256);
    for src in 0..64 {
        b.take(piece(src, src, 1, 1), 0);
    }
    assert_eq!(b.take(piece(900, 100, 1, 0), 1), (vec![900], vec![0]));
    assert_eq!(
        (b.collector.waiting(), b.collector.stats().forgotten),
        (63, 0)
    );
}

#[test]
fn datagrams_all_seen_are_the_first_to_be_forgotten() {
    let mut b = Bench::new(16, 64);
    for id in 0..8 {
        b.take(piece(id, 7, id, 0), 0);
    }
    for id in 100..1_000 {
        for n in 0..4 {
            b.take(piece(id, 7, id, n), 1);
        }
    }
    assert_eq!(b.collector.stats().forgotten, 0);
    for id in 0..8 {
        assert_eq!(
            b.take(piece(id, 7, id, 1), 2).0,
            vec![id],
            "datagram {id} was still open"
        );
    }
}

#[test]
fn memory_is_given_back_when_time_has_passed() {
    let mut b = Bench::new(64, 64);
    for src in 0..40 {
        b.take(piece(src, src, 1, u16::from(src % 2 == 0)), 5);
    }
    assert_eq!(b.collector.fills().datagrams, 40);
    assert_eq!(b.poll(5 + WAIT).len(), 20);
    b.poll(5 + WAIT + KEEP);
    let fills = b.collector.fills();
    assert_eq!((fills.datagrams, fills.pieces), (0, 0));
    for src in 0..64 {
        b.take(piece(src, src, 2, 0), 9_000);
    }
    assert_eq!(
        (b.collector.fills().datagrams, b.collector.stats().forgotten),
        (64, 0)
    );
}

use super::*;
use crate::pin::PinWord;
use std::collections::{HashMap, HashSet};
use std::sync::Barrier;

const SECRET: TableSecret = TableSecret([7; 16]);

fn client(n: u32) -> Client {
    Client::new(1, std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into(), 32)
}

/// A hand whose present round began now.
fn at(now: u32) -> Term {
    Term {
        timeout: 60,
        since: now,
        now,
    }
}

/// Takes with pins that hold.
fn take(writer: &TemplateWriter, n: u32, choice: u64, now: u32) -> Option<u64> {
    let taken = writer.take(&client(n), at(now), PinWord(choice), |_| true);
    taken.map(|pin| pin.0)
}

fn peek(table: &Templates, n: u32) -> Option<u64> {
    table.peek(&client(n)).map(|pin| pin.0)
}

/// Every hand has been round since `second`, and control sweeps at `now`.
fn pass(sweeper: &mut TemplateWriter, second: u32, now: u32) {
    sweeper.table().set_horizon(second);
    sweeper.sweep(usize::MAX, now);
}

fn check_books(table: &Templates, now: u32) {
    let stats = table.stats();
    assert_eq!(
        stats.claimed,
        stats.used + stats.expired + stats.flushed,
        "{stats:?}"
    );
    assert_eq!(table.views(now).count() as u64, stats.used, "{stats:?}");
}

#[test]
fn a_client_network_is_what_its_bits_say() {
    let of = |addr: &str, len| Client::new(1, addr.parse().unwrap(), len);
    assert_eq!(of("10.1.2.3", 24), of("10.1.2.99", 24));
    assert_ne!(of("10.1.2.3", 24), of("10.1.3.3", 24));
    assert_ne!(of("10.1.2.0", 24), of("10.1.2.0", 25));
    assert_ne!(
        of("10.1.2.0", 24),
        Client::new(2, "10.1.2.0".parse().unwrap(), 24)
    );
    assert_eq!(
        of("10.1.2.3", 128).network(),
        ("10.1.2.3".parse().unwrap(), 32)
    );
    assert_eq!(of("10.1.2.3", 0).network(), ("0.0.0.0".parse().unwrap(), 0));
    assert_eq!(
        of("2001:db8::77", 64).network(),
        ("2001:db8::".parse().unwrap(), 64)
    );
    assert_eq!(of("2001:db8::77", 0).network(), ("::".parse().unwrap(), 0));
}

#[test]
fn the_first_choice_holds_for_all_that_come_after() {
    let table = Templates::new(8000, SECRET);
    let (a, b) = (table.writer(), table.writer());
    for n in 0..500 {
        assert_eq!(take(&a, n, u64::from(n) + 1, 10), Some(u64::from(n) + 1));
        assert_eq!(take(&b, n, 7777, 20), Some(u64::from(n) + 1));
    }
    let listed: HashMap<_, _> = table.views(20).map(|v| (v.client, v.pin.0)).collect();
    assert_eq!(listed.len(), 500);
    assert!((0..500).all(|n| listed[&client(n)] == u64::from(n) + 1));
    check_books(&table, 20);
}

#[test]
fn a_pin_that_does_not_hold_gives_way_to_one_choice() {
    let table = Templates::new(8, SECRET);
    let writer = table.writer();
    take(&writer, 1, 5, 10);
    let dead = |pin: PinWord| pin.0 != 5;
    let other = |choice| writer.take(&client(1), at(11), PinWord(choice), dead);
    assert_eq!(other(6), Some(PinWord(6)));
    assert_eq!(other(7), Some(PinWord(6)), "the later one adopts");
    assert_eq!(table.stats().replaced, 1);
}

#[test]
fn a_clock_starts_when_every_hand_was_round_and_found_no_flow() {
    let table = Templates::new(8, SECRET);
    let (writer, mut sweeper) = (table.writer(), table.writer());
    take(&writer, 1, 5, 100);
    // However much time passes, as long as hands have not been round it says nothing.
    pass(&mut sweeper, 100, 10_000);
    assert!(!table.views(10_000).next().unwrap().idle);
    // A round that began later did not find one.
    pass(&mut sweeper, 101, 10_000);
    assert!(table.views(10_000).next().unwrap().idle);
    pass(&mut sweeper, 10_001, 10_060);
    assert_eq!(peek(&table, 1), Some(5), "60 seconds are not over");
    // A flow is found again: the clock stops, and starts anew.
    writer.renew(&client(1), at(10_060));
    pass(&mut sweeper, 10_061, 10_070);
    pass(&mut sweeper, 10_070, 10_131);
    assert_eq!(peek(&table, 1), Some(5), "no round began after the clock");
    pass(&mut sweeper, 10_071, 10_131);
    assert_eq!(peek(&table, 1), None);
    assert_eq!(take(&writer, 1, 9, 10_132), Some(9));
    check_books(&table, 10_132);
}

#[test]
fn a_template_is_written_once_a_round_however_many_flows_are_met() {
    let table = Templates::new(8, SECRET);
    let writer = table.writer();
    take(&writer, 1, 5, 100);
    let round = |now| Term {
        timeout: 60,
        since: 200,
        now,
    };
    for now in 200..300 {
        writer.renew(&client(1), round(now));
        assert_eq!(
            writer.take(&client(1), round(now), PinWord(9), |_| true),
            Some(PinWord(5))
        );
    }
    assert_eq!(table.stats().renewed, 1);
    writer.renew(&client(2), round(300));
    assert_eq!(table.stats().used, 1, "a hand makes no templates");
}

#[test]
fn another_timeout_holds_from_the_next_renewal() {
    let table = Templates::new(8, SECRET);
    let writer = table.writer();
    take(&writer, 1, 5, 100);
    let longer = Term {
        timeout: 600,
        ..at(100)
    };
    writer.renew(&client(1), longer);
    assert_eq!(table.views(100).next().unwrap().timeout, 600);
}

#[test]
fn a_full_bucket_gives_the_place_of_whose_clock_ran_out_first_or_none() {
    let table = Templates::new(8, SECRET);
    let (writer, mut sweeper) = (table.writer(), table.writer());
    for n in 0..8 {
        assert!(take(&writer, n, 5, 100).is_some());
    }
    assert_eq!(take(&writer, 50, 6, 101), None);
    assert_eq!((table.stats().full, table.stats().used), (1, 8));
    // Client 3 is idle first, then the others but 0.
    (0..8)
        .filter(|n| *n != 3)
        .for_each(|n| writer.renew(&client(n), at(110)));
    pass(&mut sweeper, 105, 120);
    writer.renew(&client(0), at(125));
    pass(&mut sweeper, 120, 130);
    table.set_horizon(1000);
    assert_eq!(take(&writer, 51, 6, 1000), Some(6));
    assert_eq!(peek(&table, 3), None);
    assert_eq!(table.stats().used, 8);
    // Client 0 lives until hands say otherwise, so six places are left.
    for n in 60..66 {
        assert!(take(&writer, n, 6, 1000).is_some(), "client {n}");
    }
    assert_eq!(take(&writer, 70, 6, 1000), None);
    assert_eq!(peek(&table, 0), Some(5));
    check_books(&table, 1000);
}

#[test]
fn a_flush_forgets_what_it_chooses() {
    let table = Templates::new(8000, SECRET);
    let writer = table.writer();
    (0..100).for_each(|n| assert!(take(&writer, n, 5, 10).is_some()));
    let odd: HashSet<_> = (0..100).filter(|n| n % 2 == 1).map(client).collect();
    assert_eq!(writer.flush(10, |view| odd.contains(&view.client)), 50);
    assert!((0..100).all(|n| peek(&table, n).is_some() == (n % 2 == 0)));
    check_books(&table, 10);
}

#[test]
fn a_claim_that_nobody_settled_is_given_up() {
    let table = Templates::new(8, SECRET);
    let mut sweeper = table.writer();
    let (print, bucket) = table.place_of(&client(1));
    let place = bucket.places().next().unwrap();
    assert!(table.places.claim(place, print));
    pass(&mut sweeper, 1, 61);
    assert_eq!(table.places.print(place), 0);
    check_books(&table, 61);
}

/// Control need not visit a table without templates: it is told of the first one, and counts the last one out.
#[test]
fn a_table_is_in_use_from_its_first_template_until_a_count_after_its_last() {
    let table = Templates::new(8, SECRET);
    let mut sweeper = table.writer();
    sweeper.sweep(0, 10);
    assert!(!table.in_use());
    assert_eq!(take(&table.writer(), 1, 7, 10), Some(7));
    assert!(table.in_use());
    sweeper.sweep(0, 11);
    assert!(table.in_use());
    assert_eq!(sweeper.flush(12, |_| true), 1);
    sweeper.sweep(0, 12);
    assert!(!table.in_use());
    assert_eq!(take(&table.writer(), 2, 8, 13), Some(8));
    assert!(table.in_use());
}

/// Threads that take templates of few clients in few places, while others forget them: at each round, all flows of
/// a client that got a template at all went one way.
#[test]
fn threads_agree_while_templates_come_and_go() {
    const THREADS: usize = 4;
    const ROUNDS: u32 = 300;
    let table = Templates::new(16, SECRET);
    let barrier = Barrier::new(THREADS + 1);
    let thread = |no: usize| {
        let (writer, barrier) = (table.writer(), &barrier);
        move || {
            let mut went = Vec::new();
            for round in 0..ROUNDS {
                barrier.wait();
                // Choices of this round; those of earlier rounds do not hold any more for every third client.
                let choice = u64::from(round) << 8 | no as u64 | 1 << 30;
                for n in 0..12 {
                    let n = (n + no as u32 * 3) % 12;
                    let keeps = |pin: PinWord| {
                        !n.is_multiple_of(3) || pin.0 >> 8 & 0xffff == u64::from(round)
                    };
                    let got = writer.take(&client(n), at(round), PinWord(choice), keeps);
                    went.push((round, n, got));
                }
                barrier.wait();
            }
            went
        }
    };
    let went: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|no| scope.spawn(thread(no))).collect();
        let mut sweeper = table.writer();
        for round in 0..ROUNDS {
            barrier.wait();
            barrier.wait();
            check_books(&table, round);
            // Between rounds some are forgotten, so that claims meet free places among others.
            sweeper.flush(round, |view| {
                (view.pin.0 ^ view.client.words()[2]).is_multiple_of(3)
            });
            sweeper.sweep(usize::MAX, round);
        }
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let mut of: HashMap<(u32, u32), HashSet<u64>> = HashMap::new();
    for (round, n, pin) in went {
        of.entry((round, n))
            .or_default()
            .extend(pin.map(|pin| pin.0));
    }
    assert!(of.values().all(|pins| pins.len() <= 1), "{of:?}");
    assert!(table.stats().claimed > 100, "{:?}", table.stats());
}

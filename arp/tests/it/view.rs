//! The workers' view under a writer that reuses slots as fast as it can.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use arp::{Config, Mac, NeighState, NeighWord};

use crate::rig::{P0, Rig};

/// Addresses and MACs that belong together.
fn pair(number: u32) -> (IpAddr, Mac) {
    let [a, b, c, d] = number.to_be_bytes();
    (
        Ipv4Addr::new(10, b | 0x40, c, d).into(),
        Mac([2, a, b | 0x40, c, d, 0x77]),
    )
}

#[test]
fn readers_never_see_one_neighbours_address_with_anothers_mac() {
    let cfg = Config {
        limit: 64,
        ..Config::default()
    };
    let (mut table, view) = arp::new(cfg, 7);
    table.set_port(Rig::info(true), 0, &mut Vec::new());
    let stop = AtomicBool::new(false);
    // Few slots, many owners, on every one of which readers look.
    let rounds = if cfg!(miri) { 200 } else { 200_000 };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2u64)
            .map(|reader| {
                let (view, stop) = (&view, &stop);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(reader);
                    let mut found = 0u64;
                    while !stop.load(Ordering::Relaxed) {
                        let (addr, mac) = pair(rng.u32(0..256));
                        let Some((idx, word)) = view.resolve(P0, &addr) else {
                            continue;
                        };
                        if word.usable() {
                            assert_eq!(word.mac(), mac, "{addr}");
                            found += 1;
                        }
                        let later = view.word(idx);
                        if later.usable() && later.generation() == word.generation() {
                            assert_eq!(later.mac(), mac, "{addr}, loaded later");
                        }
                    }
                    found
                })
            })
            .collect();
        let mut rng = fastrand::Rng::with_seed(99);
        for _ in 0..rounds {
            let (addr, mac) = pair(rng.u32(0..256));
            if table.delete(Some(P0), &addr).is_err() {
                // A full table refuses; somebody else goes then.
                let _ = table.set_static(P0, addr, mac, false);
            }
        }
        stop.store(true, Ordering::Relaxed);
        let found: u64 = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        assert!(found > 0, "the readers saw nothing");
    });
}

#[test]
fn every_neighbour_of_a_full_table_is_found_and_no_other() {
    let cfg = Config::default();
    let limit = cfg.limit as u32;
    for seed in 0..8 {
        let (mut table, view) = arp::new(cfg.clone(), seed);
        table.set_port(Rig::info(true), 0, &mut Vec::new());
        for number in 0..limit {
            let (addr, mac) = pair(number);
            table.set_static(P0, addr, mac, false).unwrap();
        }
        assert_eq!(table.fills(), (cfg.limit, cfg.limit));
        for number in 0..limit {
            let (addr, mac) = pair(number);
            let (idx, word) = view.resolve(P0, &addr).unwrap();
            assert_eq!(
                (view.lookup(P0, &addr), word.mac()),
                (Some(idx), mac),
                "seed {seed}"
            );
            assert_eq!(view.lookup(P0, &pair(number + limit).0), None);
            assert_eq!(view.lookup(arp::PortId(1), &addr), None);
        }
        let mapped = Ipv4Addr::new(10, 0x40, 0, 1).to_ipv6_mapped().into();
        assert_eq!(
            view.lookup(P0, &mapped),
            None,
            "another family is another neighbour"
        );
    }
}

#[test]
fn an_index_that_no_table_gave_is_a_free_slot() {
    let (_table, view) = arp::new(
        Config {
            limit: 4,
            ..Config::default()
        },
        0,
    );
    for idx in [0, 3, 4, u32::MAX] {
        let word: NeighWord = view.word(arp::NeighIdx(idx));
        assert_eq!((word.state(), word.usable()), (NeighState::Free, false));
    }
    assert_eq!(view.limit(), 4);
}

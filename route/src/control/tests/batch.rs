//! Batches: only what differs is touched, and a batch that is refused or undone was never there.

use super::*;
use crate::control::{Batch, BatchDone, BatchSet, BatchSpec, BatchState};
use crate::error::RouteError;
use crate::nhgrp::OptionsAsked;
use crate::nhop::NhopInfo;

fn set(paths: &[Path]) -> BatchSet {
    BatchSet {
        paths: paths.to_vec(),
        options: OptionsAsked::default(),
    }
}

fn spec(sets: &[&[Path]], routes: &[(&str, u32)]) -> BatchSpec {
    let mut routes: Vec<_> = routes.iter().map(|(text, set)| (net(text), *set)).collect();
    routes.sort_unstable();
    BatchSpec {
        sets: sets.iter().map(|paths| set(paths)).collect(),
        routes,
        ..BatchSpec::default()
    }
}

fn replacing(spec: BatchSpec) -> BatchSpec {
    BatchSpec {
        replace_v4: true,
        replace_v6: true,
        ..spec
    }
}

fn run(lab: &mut Lab, spec: BatchSpec, units: usize) -> Result<BatchDone, RouteError> {
    let mut batch = Batch::new(spec);
    while batch.step(&mut lab.control, units, lab.now) != BatchState::Ended {}
    batch.outcome().map(|(done, _)| done)
}

const fn done(added: u64, changed: u64, deleted: u64) -> BatchDone {
    BatchDone {
        fib: crate::ids::FibId(0),
        added,
        changed,
        deleted,
    }
}

/// Prefixes with their groups, and next hops: what a refused batch must leave as it was.
fn snapshot(lab: &Lab) -> (Vec<crate::info::RouteInfo>, Vec<NhopInfo>, Vec<u64>) {
    let fills = lab.control.fills();
    (
        lab.control.routes().collect(),
        lab.control.nhops().collect(),
        [0, 1, 5, 6].map(|at: usize| fills[at].used).to_vec(),
    )
}

#[test]
fn routes_with_equal_paths_share_a_group_and_what_is_equal_stays_in_its_own() {
    for units in [1, 2, 100] {
        let mut lab = Lab::new();
        lab.add("10.0.0.0/8", &[via(1), via(2)]);
        lab.add("11.0.0.0/8", &[via(1)]);
        lab.add("12.0.0.0/8", &[via(1)]);
        let stays = lab.group("10.0.0.1").unwrap().id();
        let stamp = lab.stamp("10.0.0.1");
        let table = spec(
            &[&[via(2), via(1)], &[via(3)]],
            &[
                ("10.0.0.0/8", 0),
                ("10.1.0.0/16", 0),
                ("12.0.0.0/8", 1),
                ("2001:db8::/32", 1),
            ],
        );
        assert_eq!(run(&mut lab, table, units), Ok(done(2, 1, 0)), "{units}");
        assert_eq!(lab.group("10.0.0.1").unwrap().id(), stays);
        assert_eq!(lab.group("10.1.0.1").unwrap().id(), stays);
        assert_eq!(lab.stamp("10.0.0.1"), stamp, "not touched");
        assert_eq!(
            lab.control.get(net("12.0.0.0/8")).unwrap().paths[0].key,
            key(3)
        );
        assert_eq!(
            lab.control.get(net("11.0.0.0/8")).unwrap().paths[0].key,
            key(1)
        );
        let groups: Vec<u32> = lab
            .control
            .groups()
            .map(|id| lab.control.group_info(id).unwrap().routes)
            .collect();
        assert_eq!(groups.iter().sum::<u32>(), 5, "each route is one use");
    }
}

#[test]
fn a_replacing_batch_deletes_the_rest_of_its_families_but_what_is_kept() {
    for units in [1, 3, 100] {
        let mut lab = Lab::new();
        for prefix in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "11.0.0.0/8",
            "::/0",
            "2001:db8::/32",
        ] {
            lab.add(prefix, &[via(1)]);
        }
        lab.add("192.0.2.0/24", &[via(9)]);
        let mut table = replacing(spec(&[&[via(1)]], &[("11.0.0.0/8", 0)]));
        table.replace_v6 = false;
        table.keep.insert(net("192.0.2.0/24"));
        assert_eq!(run(&mut lab, table, units), Ok(done(0, 0, 2)));
        let left: Vec<String> = lab.control.routes().map(|r| r.prefix.to_string()).collect();
        assert_eq!(
            left,
            ["11.0.0.0/8", "192.0.2.0/24", "::/0", "2001:db8::/32"]
        );
        assert!(lab.group("10.0.0.1").is_none());
        let mut only6 = replacing(spec(&[], &[]));
        only6.replace_v4 = false;
        assert_eq!(run(&mut lab, only6, units), Ok(done(0, 0, 2)));
        assert_eq!(
            run(&mut lab, replacing(spec(&[], &[])), units),
            Ok(done(0, 0, 2))
        );
        assert_eq!(lab.control.nhops().count(), 0);
        assert_eq!(lab.control.groups().count(), 0);
    }
}

#[test]
fn a_change_of_members_moves_the_buckets_of_those_who_left_and_no_others() {
    let mut lab = Lab::new();
    for prefix in ["10.0.0.0/8", "11.0.0.0/8"] {
        lab.add(prefix, &[via(1), via(2), via(3)]);
    }
    let (before, pin) = (lab.owners("10.0.0.1"), lab.pin(1));
    let table = spec(
        &[&[via(1), via(2)]],
        &[("10.0.0.0/8", 0), ("11.0.0.0/8", 0)],
    );
    assert_eq!(run(&mut lab, table, 1), Ok(done(0, 2, 0)));
    let after = lab.owners("10.0.0.1");
    assert_eq!(moved(&before, &after), count(&before, 3));
    let group = lab.group("10.0.0.1").unwrap();
    assert!(group.has_member(pin));
    assert_eq!(
        group.id(),
        lab.group("11.0.0.1").unwrap().id(),
        "one copy for both"
    );
    assert_eq!(lab.control.nhop(&key(3)), None, "nobody names it any more");
}

#[test]
fn a_batch_that_is_refused_has_changed_nothing() {
    let small = Config {
        max_nhops: 3,
        max_groups: 3,
        default_buckets: 8,
        max_lines: 32,
        max_routes: 3,
        ..Config::default()
    };
    /// What is said, and about which route; sets of paths, routes with the number of their set.
    type Case<'a> = (
        (&'a str, Option<&'a str>),
        &'a [&'a [Path]],
        &'a [(&'a str, u32)],
    );
    let refused: [Case<'_>; 5] = [
        (
            ("next hops", Some("13.0.0.0/8")),
            &[&[via(1)], &[via(7), via(8), via(9)]],
            &[("12.0.0.0/8", 0), ("13.0.0.0/8", 1)],
        ),
        (
            ("next-hop groups", Some("13.0.0.0/8")),
            &[&[via(3)], &[via(1), via(3)], &[weighted(2, 9)]],
            &[("12.0.0.0/8", 0), ("13.0.0.0/8", 1), ("14.0.0.0/8", 2)],
        ),
        (
            ("routes", None),
            &[&[via(1)]],
            &[("12.0.0.0/8", 0), ("13.0.0.0/8", 0), ("14.0.0.0/8", 0)],
        ),
        (
            ("needs a path", Some("12.0.0.0/8")),
            &[&[]],
            &[("12.0.0.0/8", 0)],
        ),
        (
            ("out of range", Some("12.0.0.0/8")),
            &[&[weighted(1, 1 << 24)]],
            &[("12.0.0.0/8", 0)],
        ),
    ];
    for ((what, at), sets, routes) in refused {
        let mut lab = Lab::with(small);
        lab.add("10.0.0.0/8", &[via(1)]);
        lab.add("11.0.0.0/8", &[via(2)]);
        let before = snapshot(&lab);
        let mut batch = Batch::new(spec(sets, routes));
        while batch.step(&mut lab.control, 1, lab.now) != BatchState::Ended {}
        let error = batch.outcome().unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
        assert_eq!(batch.refused_at(), at.map(net), "{what}");
        assert_eq!(snapshot(&lab), before, "{what}");
        lab.control.tick(lab.now);
        assert_eq!(lab.control.fills()[2].used, 2, "{what}");
        assert_eq!(lab.control.fills()[3].used, 2, "{what}");
    }
}

/// So many host routes, far from each other.
fn scattered(count: u32, set: u32) -> Vec<(Prefix, u32)> {
    let host = |i: u32| Prefix::host(IpAddr::V4(Ipv4Addr::from_bits(i << 14 | 1)));
    (0..count).map(|i| (host(i), set)).collect()
}

#[test]
fn a_batch_that_finds_no_room_in_the_middle_is_undone() {
    let cfg = Config {
        max_fib_bytes: 4 << 10,
        default_buckets: BUCKETS,
        ..Config::default()
    };
    for units in [1, 7, 1000] {
        let mut lab = Lab::with(cfg);
        lab.add("10.0.0.0/8", &[via(1), via(2)]);
        lab.add("0.0.0.0/0", &[via(1)]);
        lab.add("99.0.0.0/24", &[via(2)]);
        lab.change("10.0.0.0/8", &[weighted(1, 5)]);
        let before = (snapshot(&lab), lab.owners("10.0.0.1"));
        let mut routes = scattered(3000, 1);
        routes.extend([(net("10.0.0.0/8"), 0), (net("0.0.0.0/0"), 0)]);
        routes.sort_unstable();
        let table = BatchSpec {
            sets: vec![set(&[via(3), via(4)]), set(&[via(5)])],
            routes,
            replace_v4: true,
            ..BatchSpec::default()
        };
        let error = run(&mut lab, table, units).unwrap_err().to_string();
        assert!(error.contains("FIB"), "{error}");
        let after = (snapshot(&lab), lab.owners("10.0.0.1"));
        assert_eq!(after.0.0, before.0.0);
        assert_eq!(after.0.1, before.0.1);
        assert_eq!(after.1, before.1);
        assert_eq!(after.0.2[..2], before.0.2[..2]);
        let small = spec(&[&[via(3)]], &[("10.0.0.0/8", 0)]);
        assert_eq!(run(&mut lab, small, units), Ok(done(0, 1, 0)));
    }
}

#[test]
fn a_reader_that_holds_on_delays_deletions_and_nothing_is_lost() {
    let mut lab = Lab::with(Config {
        max_fib_bytes: 16 << 10,
        readers: 1,
        ..Config::default()
    });
    let reader = lab.view.qsbr().reader(0);
    reader.online();
    let table = BatchSpec {
        sets: vec![set(&[via(1)])],
        routes: scattered(150, 0),
        ..BatchSpec::default()
    };
    assert_eq!(run(&mut lab, table, 50), Ok(done(150, 0, 0)));
    let mut flush = Batch::new(replacing(BatchSpec::default()));
    for _ in 0..10_000 {
        flush.step(&mut lab.control, 50, lab.now);
    }
    reader.quiescent();
    while flush.step(&mut lab.control, 50, lab.now) != BatchState::Ended {
        reader.quiescent();
    }
    assert_eq!(flush.outcome().unwrap().0, done(0, 0, 150));
    assert_eq!(lab.control.routes().count(), 0);
}

#[test]
fn random_batches_end_as_single_changes_would() {
    let mut rng = fastrand::Rng::with_seed(31);
    for _ in 0..60 {
        let (mut lab, mut model) = (Lab::new(), std::collections::BTreeMap::new());
        for _ in 0..8 {
            let sets: Vec<Vec<Path>> = (0..4)
                .map(|_| {
                    let count = rng.u8(1..4);
                    (0..count)
                        .map(|n| weighted(1 + 3 * n + rng.u8(0..3), rng.u32(1..3)))
                        .collect()
                })
                .collect();
            let mut routes = std::collections::BTreeMap::new();
            for _ in 0..rng.usize(0..40) {
                let len = rng.u8(0..=32);
                let addr = IpAddr::V4(Ipv4Addr::from_bits(
                    0x0a00_0000 | rng.u32(0..4) << 16 | rng.u32(0..1 << 10),
                ));
                routes.insert(Prefix::masked(addr, len), rng.u32(0..4));
            }
            let replace = rng.bool();
            let spec = BatchSpec {
                sets: sets.iter().map(|paths| set(paths)).collect(),
                routes: routes.iter().map(|(prefix, set)| (*prefix, *set)).collect(),
                replace_v4: replace,
                ..BatchSpec::default()
            };
            run(&mut lab, spec, rng.usize(1..50)).unwrap();
            if replace {
                model.clear();
            }
            for (prefix, set) in routes {
                let mut keys: Vec<_> = sets[set as usize]
                    .iter()
                    .map(|p| (p.key, p.weight))
                    .collect();
                keys.sort_unstable();
                model.insert(prefix, keys);
            }
            let table: std::collections::BTreeMap<_, _> = lab
                .control
                .routes()
                .map(|route| {
                    let mut keys: Vec<_> = route.paths.iter().map(|p| (p.key, p.weight)).collect();
                    keys.sort_unstable();
                    (route.prefix, keys)
                })
                .collect();
            assert_eq!(table, model);
            for _ in 0..50 {
                let addr =
                    Ipv4Addr::from_bits(0x0a00_0000 | rng.u32(0..4) << 16 | rng.u32(0..1 << 10));
                let seen = lab.view.lookup4(addr.to_bits());
                assert_eq!(
                    seen,
                    lab.control.lookup(addr.into()).map(|route| route.group)
                );
            }
        }
    }
}

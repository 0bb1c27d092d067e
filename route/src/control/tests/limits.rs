use super::*;
use crate::error::{KindError, RouteError};
use crate::info::NhopKeyMatch;
use crate::qsbr::Reader;

fn small() -> Config {
    Config {
        max_nhops: 3,
        max_groups: 3,
        default_buckets: 8,
        max_lines: 16,
        max_routes: 4,
        ..Config::default()
    }
}

#[test]
fn memory_of_routes_is_counted_and_comes_back() {
    let mut lab = Lab::with(Config {
        default_buckets: 8,
        ..Config::default()
    });
    let bytes = |lab: &Lab| lab.control.memory().map(|of| of.bytes);
    let none = bytes(&lab);
    let count = 20_000_u32;
    for n in 0..count {
        let host = Prefix::host(IpAddr::from((0x0a00_0000 + n * 7).to_be_bytes()));
        lab.control.add(host, &[via(1)], lab.now).unwrap();
    }
    let [rib, fib, _, books, _] = lab.control.memory();
    assert_eq!(
        [rib.routes, fib.routes, books.routes],
        [u64::from(count); 3]
    );
    let each = (
        rib.bytes / rib.routes,
        (books.bytes - none[3]) / books.routes,
    );
    assert!(
        (24..64).contains(&each.0) && (8..256).contains(&each.1),
        "{each:?}"
    );
    for n in 0..count {
        let host = Prefix::host(IpAddr::from((0x0a00_0000 + n * 7).to_be_bytes()));
        lab.control.delete(host, None, lab.now).unwrap();
    }
    let after = bytes(&lab);
    assert_eq!((after[0], after[1]), (0, none[1]));
    // Empty nodes are kept for the next, their lists are not.
    assert!(after[3] < books.bytes, "{after:?}");
}

/// What a refused operation must leave as it was.
fn snapshot(lab: &Lab) -> (Vec<crate::info::RouteInfo>, Vec<crate::nhop::NhopInfo>) {
    (
        lab.control.routes().collect(),
        lab.control.nhops().collect(),
    )
}

fn refused(lab: &mut Lab, prefix: &str, paths: &[Path]) -> RouteError {
    let before = snapshot(lab);
    let refusal = lab.control.add(net(prefix), paths, lab.now).unwrap_err();
    assert_eq!(snapshot(lab), before);
    refusal
}

#[test]
fn every_full_table_refuses_by_name_and_changes_nothing() {
    let mut lab = Lab::with(small());
    let full = |refusal| match refusal {
        RouteError::Full { what, limit } => (what, limit),
        other => panic!("{other}"),
    };
    lab.add("10.0.0.0/8", &[via(1)]);
    assert_eq!(
        full(refused(&mut lab, "11.0.0.0/8", &[via(2), via(3), via(4)])),
        ("next hops", 3)
    );
    lab.control.tick(lab.now);
    lab.add("11.0.0.0/8", &[via(2), via(3)]);
    let refusal = full(refused(&mut lab, "12.0.0.0/8", &[via(1), via(3)]));
    assert_eq!(refusal, ("lines of next-hop groups", 16));
    lab.add("12.0.0.0/8", &[via(3)]);
    assert_eq!(
        full(refused(&mut lab, "13.0.0.0/8", &[via(2)])),
        ("next-hop groups", 3)
    );
    lab.add("13.0.0.0/8", &[via(1)]);
    assert_eq!(
        full(refused(&mut lab, "14.0.0.0/8", &[via(1)])),
        ("routes", 4)
    );
    let used: Vec<u64> = lab.control.fills().iter().map(|f| f.used).collect();
    assert_eq!(used[..4], [4, 0, 3, 3]);
}

#[test]
fn a_full_fib_refuses_and_changes_nothing() {
    let mut lab = Lab::with(Config {
        max_fib_bytes: 1 << 10,
        ..Config::default()
    });
    let mut refusal = None;
    for i in 0..10_000u32 {
        let prefix = Prefix::host(IpAddr::V4(Ipv4Addr::from_bits(i << 14 | 1)));
        let before = lab.control.fills()[3];
        if let Err(error) = lab
            .control
            .add(prefix, &[weighted((i % 250) as u8, 1)], lab.now)
        {
            assert!(lab.control.get(prefix).is_none());
            lab.control.tick(lab.now);
            assert_eq!(lab.control.fills()[3], before);
            refusal = Some(error);
            break;
        }
    }
    assert!(refusal.unwrap().to_string().contains("FIB nodes"));
}

#[test]
fn what_readers_may_still_look_at_is_not_used_again() {
    let mut lab = Lab::with(small());
    let reader: Reader = lab.view.qsbr().reader(0);
    reader.online();
    for host in 1..=3 {
        lab.add("10.0.0.0/8", &[via(host)]);
        lab.control
            .delete(net("10.0.0.0/8"), None, lab.now)
            .unwrap();
    }
    lab.control.tick(lab.now);
    assert!(matches!(
        refused(&mut lab, "10.0.0.0/8", &[via(4)]),
        RouteError::Full {
            what: "next hops",
            ..
        }
    ));
    reader.quiescent();
    lab.add("10.0.0.0/8", &[via(4)]);
}

#[test]
fn after_many_changes_every_table_is_as_full_as_at_the_start() {
    let mut lab = Lab::new();
    lab.add("0.0.0.0/0", &[via(1)]);
    lab.control.tick(lab.now);
    let start = lab.control.fills();
    let mut rng = fastrand::Rng::with_seed(11);
    for round in 0..20 {
        let v4 = |rng: &mut fastrand::Rng| IpAddr::V4(rng.u32(..).into());
        let v6 = |rng: &mut fastrand::Rng| IpAddr::V6(rng.u128(..).into());
        let mut prefixes = Vec::new();
        for _ in 0..50 {
            prefixes.push(Prefix::masked(v4(&mut rng), rng.u8(1..=32)));
            prefixes.push(Prefix::masked(v6(&mut rng), rng.u8(..=128)));
        }
        for prefix in &prefixes {
            let paths: Vec<Path> = (1..=rng.u8(1..5)).map(|i| via(i * rng.u8(1..20))).collect();
            // Chance may name a path or a prefix twice; that is refused.
            let _ = lab.control.add(*prefix, &paths, lab.now);
            let _ = lab
                .control
                .change(*prefix, &[via(rng.u8(1..99))], None, lab.now);
            let _ = lab.control.add(*prefix, &[via(rng.u8(1..99))], lab.now);
            lab.now.0 += 1;
        }
        for prefix in &prefixes {
            while let Some(route) = lab.control.get(*prefix) {
                let key = route.paths[0].key;
                let which = NhopKeyMatch {
                    gateway: key.gateway,
                    port: Some(key.port),
                };
                lab.control.delete(*prefix, Some(&which), lab.now).unwrap();
            }
        }
        lab.control.tick(lab.now);
        assert_eq!(lab.control.fills(), start, "round {round}");
    }
}

#[test]
fn paths_that_cannot_be_are_refused_with_what_would_be_right() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    lab.add("11.0.0.0/8", &[alone(NhopKind::Blackhole)]);
    let no_gateway = Path {
        key: NhopKey {
            gateway: None,
            ..key(1)
        },
        ..via(1)
    };
    let with_gateway = Path {
        key: NhopKey {
            kind: NhopKind::Iface,
            ..key(1)
        },
        ..via(1)
    };
    let too_many: Vec<Path> = (0..=BUCKETS as u8).map(via).collect();
    let refusals: [(&str, &[Path], &str); 9] = [
        (
            "10.0.0.0/8",
            &[via(2), via(1)],
            "gateway 192.0.2.1 is already a path of 10.0.0.0/8: ",
        ),
        (
            "12.0.0.0/8",
            &[via(2), via(2)],
            "gateway 192.0.2.2 is already a path of 12.0.0.0/8: ",
        ),
        ("12.0.0.0/8", &[], "12.0.0.0/8: a route needs a path: "),
        (
            "12.0.0.0/8",
            &[no_gateway],
            "12.0.0.0/8: a gateway path needs the gateway's address",
        ),
        (
            "12.0.0.0/8",
            &[with_gateway],
            "12.0.0.0/8: paths of kind interface have no ",
        ),
        (
            "12.0.0.0/8",
            &[via(1), alone(NhopKind::Reject)],
            "12.0.0.0/8: a path of kind reject stands ",
        ),
        (
            "11.0.0.0/8",
            &[via(1)],
            "11.0.0.0/8: a path of kind blackhole stands alone: ",
        ),
        (
            "12.0.0.0/8",
            &[weighted(1, 1 << 24)],
            "weight 16777216 is out of range: 1 to 16777215",
        ),
        (
            "12.0.0.0/8",
            &too_many,
            "12.0.0.0/8 would have 65 paths: the most is 64",
        ),
    ];
    for (prefix, paths, message) in refusals {
        let refusal = refused(&mut lab, prefix, paths).to_string();
        assert!(refusal.starts_with(message), "{refusal}");
    }
    let zero = refused(&mut lab, "12.0.0.0/8", &[weighted(1, 0)]);
    assert_eq!(zero, RouteError::BadWeight { weight: 0 });
    let alone_beside = refused(&mut lab, "10.0.0.0/8", &[alone(NhopKind::Blackhole)]);
    assert!(matches!(
        alone_beside,
        RouteError::Kind(KindError::Alone("blackhole"), _)
    ));
}

#[test]
fn a_change_that_cannot_be_is_refused() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    let before = snapshot(&lab);
    let change = |lab: &mut Lab, prefix: &str, paths: &[Path]| {
        lab.control
            .change(net(prefix), paths, None, lab.now)
            .unwrap_err()
    };
    assert_eq!(
        change(&mut lab, "11.0.0.0/8", &[via(1)]),
        RouteError::NotFound {
            prefix: net("11.0.0.0/8")
        }
    );
    assert_eq!(
        change(&mut lab, "10.0.0.0/8", &[via(1), weighted(3, 0)]),
        RouteError::BadWeight { weight: 0 }
    );
    assert!(matches!(
        change(&mut lab, "10.0.0.0/8", &[via(3), alone(NhopKind::Local)]),
        RouteError::Kind(KindError::Alone("local"), _)
    ));
    assert_eq!(snapshot(&lab), before);
    assert!(
        lab.control
            .delete(net("12.0.0.0/8"), None, lab.now)
            .is_err()
    );
}

//! Several FIBs: equal prefixes that know nothing of each other.

use super::*;
use crate::control::{Batch, BatchSet, BatchSpec, BatchState};
use crate::error::RouteError;
use crate::ids::FibId;

const F1: FibId = FibId(1);

fn two() -> Lab {
    Lab::with(Config {
        fibs: 2,
        default_buckets: BUCKETS,
        ..Config::default()
    })
}

fn in_1(prefix: &str) -> Prefix {
    net(prefix).in_fib(F1)
}

/// The host that packets to `dst` take in a FIB, of a route with one path.
fn host(lab: &Lab, fib: FibId, dst: &str) -> Option<u8> {
    let dst = dst.parse::<Ipv4Addr>().unwrap().to_bits();
    let view = lab.view.fib(fib);
    let id = view.lookup4(dst)?;
    let (mut burst, mut found) = (vec![dst; 70], vec![None; 70]);
    burst.push(0);
    found.push(None);
    view.lookup4_burst(&burst, &mut found);
    assert!(found[..70].iter().all(|group| *group == Some(id)));
    let control = lab.control.lookup_in(fib, IpAddr::V4(dst.into()));
    assert_eq!(control.map(|route| route.group), Some(id));
    lab.view.group(id).owner(0).map(|pin| lab.host(pin))
}

#[test]
fn equal_prefixes_lead_elsewhere_in_each_fib() {
    let mut lab = two();
    lab.add("10.0.0.0/8", &[via(1)]);
    lab.control
        .add(in_1("10.0.0.0/8"), &[via(2)], lab.now)
        .unwrap();
    lab.control
        .add(in_1("0.0.0.0/0"), &[via(3)], lab.now)
        .unwrap();
    assert_eq!(host(&lab, FibId(0), "10.1.1.1"), Some(1));
    assert_eq!(host(&lab, F1, "10.1.1.1"), Some(2));
    assert_eq!(
        (host(&lab, FibId(0), "11.0.0.1"), host(&lab, F1, "11.0.0.1")),
        (None, Some(3))
    );
    lab.control
        .delete(net("10.0.0.0/8"), None, lab.now)
        .unwrap();
    assert_eq!(
        (host(&lab, FibId(0), "10.1.1.1"), host(&lab, F1, "10.1.1.1")),
        (None, Some(2))
    );
    lab.control
        .delete(in_1("10.0.0.0/8"), None, lab.now)
        .unwrap();
    assert_eq!(host(&lab, F1, "10.1.1.1"), Some(3));
    let left: Vec<_> = lab.control.routes_of(F1, None).map(|r| r.prefix).collect();
    assert_eq!(left, [in_1("0.0.0.0/0")]);
    assert_eq!(lab.control.routes_of(FibId(0), None).count(), 0);
}

#[test]
fn a_change_in_one_fib_makes_no_flow_of_another_look_again() {
    let mut lab = two();
    lab.add("10.0.0.0/8", &[via(1)]);
    let all: Vec<u32> = (0..=u16::MAX).map(|net| u32::from(net) << 16).collect();
    let stamps = |fib: FibId| -> Vec<u32> {
        let view = lab.view.fib(fib);
        all.iter().map(|dst| view.stamp4(*dst)).collect()
    };
    let (before, other) = (stamps(FibId(0)), stamps(F1));
    lab.control.recheck(Some(&in_1("0.0.0.0/0")));
    assert_eq!(
        stamps(FibId(0)),
        before,
        "a default route has a counter of its own"
    );
    assert!(stamps(F1).iter().zip(&other).all(|(a, b)| a != b));
    lab.control.recheck(Some(&in_1("10.7.0.0/16")));
    let after = stamps(FibId(0));
    let hit = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert_eq!(hit, 1, "the one /16 that shares the counter");
    assert_eq!(after[0x0a07], before[0x0a07], "and that is another one");
}

#[test]
fn routes_within_another_are_of_its_fib() {
    let mut lab = two();
    for prefix in [net("::/0"), in_1("::/0"), in_1("2001:db8::/32")] {
        lab.control.add(prefix, &[via(1)], lab.now).unwrap();
    }
    let within = |of| lab.control.routes_within(of, None, 10);
    assert!(within(net("::/0")).is_empty());
    assert_eq!(within(in_1("::/0")), [in_1("2001:db8::/32")]);
}

#[test]
fn a_fib_that_is_not_there_is_refused_and_named() {
    let mut lab = two();
    let prefix = net("10.0.0.0/8").in_fib(FibId(2));
    let refused = lab.control.add(prefix, &[via(1)], lab.now).unwrap_err();
    assert_eq!(
        refused,
        RouteError::NoFib {
            fib: FibId(2),
            last: 1
        }
    );
    assert_eq!(
        refused.to_string(),
        "FIB 2 is out of range: FIBs go from 0 to 1 (fibs in [gateway] says how many there are)"
    );
    assert_eq!(
        lab.control.lookup_in(FibId(2), "10.0.0.1".parse().unwrap()),
        None
    );
    assert_eq!(lab.view.fib(FibId(2)).lookup4(0x0a00_0001), None);
}

#[test]
fn a_batch_replaces_the_routes_of_its_fib_alone() {
    let mut lab = two();
    for prefix in ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"] {
        lab.add(prefix, &[via(1)]);
        lab.control.add(in_1(prefix), &[via(2)], lab.now).unwrap();
    }
    for (fib, owner) in [(F1, 3), (FibId(0), 4)] {
        let set = BatchSet {
            paths: vec![via(owner)],
            ..BatchSet::default()
        };
        let mut batch = Batch::new(BatchSpec {
            fib,
            sets: vec![set],
            routes: vec![(net("11.0.0.0/8").in_fib(fib), 0)],
            replace_v4: true,
            replace_v6: true,
            ..BatchSpec::default()
        });
        while batch.step(&mut lab.control, 2, lab.now) != BatchState::Ended {}
        let (done, _) = batch.outcome().unwrap();
        assert_eq!(
            (done.fib, done.added, done.changed, done.deleted),
            (fib, 0, 1, 2)
        );
        assert_eq!(host(&lab, fib, "11.0.0.1"), Some(owner));
        assert_eq!(host(&lab, fib, "10.0.0.1"), None);
        let other = if fib == F1 { (FibId(0), 1) } else { (F1, 3) };
        assert_eq!(host(&lab, other.0, "11.0.0.1"), Some(other.1));
    }
}

#[test]
fn fills_tell_each_fib_and_empty_ones_are_small() {
    let lab = Lab::with(Config {
        fibs: 16,
        ..Config::default()
    });
    let fills = lab.control.fills();
    let tables = fills.iter().filter(|fill| fill.name.ends_with("FIB bytes"));
    assert_eq!(tables.clone().count(), 32);
    for fib in (0..16).map(FibId) {
        let bytes: u64 = tables
            .clone()
            .filter(|f| f.fib == fib)
            .map(|f| f.used)
            .sum();
        assert!(bytes < 2 << 20, "FIB {fib}: {bytes} bytes");
    }
}

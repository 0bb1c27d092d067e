//! Random histories: what workers see against what control knows, and flows that live through them.

use super::*;
use crate::info::NhopKeyMatch;
use crate::nhop::{Admin, Health, PinState};

const HOSTS: u8 = 5;
const IDLE: u32 = 300;
const PREFIXES: [&str; 6] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "10.128.0.0/9",
];

/// One random operation. Refusals are part of life.
fn operate(lab: &mut Lab, rng: &mut fastrand::Rng) {
    let prefix = net(PREFIXES[rng.usize(..PREFIXES.len())]);
    let mut hosts: Vec<u8> = (1..=HOSTS).collect();
    rng.shuffle(&mut hosts);
    hosts.truncate(rng.usize(1..4));
    let paths: Vec<Path> = hosts.iter().map(|h| weighted(*h, rng.u32(1..4))).collect();
    let now = lab.now;
    let deadline = rng.bool().then(|| now.after(rng.u32(1..10)));
    let idx = lab.control.nhop(&key(hosts[0]));
    match rng.u8(0..12) {
        0..=2 => drop(lab.control.add(prefix, &paths, now)),
        3 => drop(lab.control.change(prefix, &paths, None, now)),
        4 | 5 => {
            let path = weighted(hosts[0], rng.u32(0..3));
            drop(lab.control.change(prefix, &[path], deadline, now));
        }
        6 | 7 => {
            let which = NhopKeyMatch {
                gateway: key(hosts[0]).gateway,
                port: None,
            };
            drop(lab.control.delete(prefix, Some(&which), now));
        }
        8 => {
            let _ = idx.map(|i| lab.control.set_health(i, Health::Dead, now));
        }
        9 | 10 => {
            let _ = idx.map(|i| lab.control.set_health(i, Health::Up, now));
        }
        _ => {
            let admin = [Admin::In, Admin::In, Admin::Draining, Admin::Drained][rng.usize(..4)];
            let _ = idx.map(|i| lab.control.set_admin(i, admin, now));
        }
    }
    lab.control.tick(now);
}

/// A flow as a worker treats it: a pin with the stamp read before its lookup.
struct Flow {
    dst: u32,
    hash: u64,
    pin: Pin,
    stamp: u32,
}

impl Flow {
    fn random(rng: &mut fastrand::Rng) -> Self {
        let dst = [
            0x0a01_0203,
            0x0a01_0204,
            0x0a01_ffff,
            0x0a02_0000,
            0x0a80_0001,
            0xc000_0201,
        ];
        Self {
            dst: dst[rng.usize(..dst.len())],
            hash: rng.u64(..),
            pin: Pin::NONE,
            stamp: 0,
        }
    }

    /// One packet, by the rules of design section 4.
    fn packet(&mut self, view: &View) {
        if view.judge(self.pin) == PinState::Live {
            let stamp = view.stamp4(self.dst);
            if stamp == self.stamp {
                return;
            }
            let id = view.lookup4(self.dst);
            if id.is_some_and(|id| view.group(id).has_member(self.pin)) {
                self.stamp = stamp;
                return;
            }
        }
        let stamp = view.stamp4(self.dst);
        let Some(id) = view.lookup4(self.dst) else {
            return;
        };
        let group = view.group(id);
        if let Some(owner) = group.owner(group.bucket(self.hash)) {
            (self.pin, self.stamp) = (owner, stamp);
        }
    }

    /// The paths that it may have, by control's truth.
    fn paths(&self, lab: &Lab) -> Vec<PathInfo> {
        let route = lab.control.lookup(IpAddr::V4(self.dst.into()));
        let keeps = |p: &PathInfo| p.health != Health::Dead && p.admin != Admin::Drained;
        route
            .map_or_else(Vec::new, |r| r.paths)
            .into_iter()
            .filter(keeps)
            .collect()
    }
}

#[test]
fn no_flow_moves_that_need_not_and_none_stays_where_it_must_not() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::new();
        lab.add("0.0.0.0/0", &[via(1), via(2)]);
        let mut flows: Vec<Flow> = (0..60).map(|_| Flow::random(&mut rng)).collect();
        for step in 0..60 {
            operate(&mut lab, &mut rng);
            lab.now.0 += 1;
            for flow in &mut flows {
                let before = flow.pin;
                flow.packet(&lab.view);
                let paths = flow.paths(&lab);
                let has = |pin: Pin| paths.iter().any(|p| p.pin() == pin);
                let at = format!("seed {seed} step {step} dst {:x}", flow.dst);
                assert!(
                    flow.pin == before || !has(before),
                    "{at}: moved, and need not"
                );
                if paths.iter().any(|p| p.weight > 0 && p.admin == Admin::In) {
                    assert!(has(flow.pin), "{at}: not where its route leads");
                }
            }
        }
    }
}

#[test]
fn a_flow_without_a_pin_moves_only_when_it_must() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::new();
        lab.add("0.0.0.0/0", &[via(1), via(2)]);
        let mut flows: Vec<Flow> = (0..60).map(|_| Flow::random(&mut rng)).collect();
        let mut routes: Vec<Option<Prefix>> = vec![None; flows.len()];
        for step in 0..60 {
            operate(&mut lab, &mut rng);
            lab.now.0 += 4;
            for (flow, route) in flows.iter_mut().zip(&mut routes) {
                let prefix = lab
                    .control
                    .lookup(IpAddr::V4(flow.dst.into()))
                    .map(|r| r.prefix);
                let same_route = std::mem::replace(route, prefix) == prefix;
                let Some(id) = lab.view.lookup4(flow.dst) else {
                    continue;
                };
                let bucket = lab.view.group(id).bucket(flow.hash);
                let answer = lab.view.group(id).stateless(bucket, lab.now, IDLE);
                let before = flow.pin;
                let could_stay = flow.paths(&lab).iter().any(|p| p.pin() == before);
                flow.pin = answer.map_or(Pin::NONE, |a| a.pin);
                assert!(
                    flow.pin == before || !same_route || !could_stay,
                    "seed {seed} step {step}: {before:?} to {answer:?}"
                );
            }
        }
    }
}

#[test]
fn workers_see_what_control_knows() {
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::new();
        for step in 0..80 {
            operate(&mut lab, &mut rng);
            lab.now.0 += 1;
            let at = format!("seed {seed} step {step}");
            for _ in 0..20 {
                let dst = Flow::random(&mut rng).dst ^ rng.u32(..8);
                let truth = lab.control.lookup(IpAddr::V4(dst.into())).map(|r| r.group);
                assert_eq!(lab.view.lookup4(dst), truth, "{at}");
            }
            for route in lab.control.routes() {
                let group = lab.view.group(route.group);
                let eligible = |p: &&PathInfo| {
                    p.weight > 0 && p.health != Health::Dead && p.admin == Admin::In
                };
                let mut owned = 0;
                for path in &route.paths {
                    assert!(group.has_member(path.pin()), "{at}");
                    owned += path.buckets;
                }
                let alive = route.paths.iter().filter(eligible).count() > 0;
                assert!(!alive || owned == group.buckets(), "{at}");
                for bucket in 0..group.buckets() {
                    let owner = group.owner(bucket);
                    assert_eq!(owner.is_some(), alive, "{at}");
                    let owns = |p: &PathInfo| Some(p.pin()) == owner;
                    assert!(
                        !alive || route.paths.iter().filter(eligible).any(owns),
                        "{at}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_worker_beside_a_change_sees_the_old_route_or_the_new_one() {
    let cfg = Config {
        default_buckets: BUCKETS,
        readers: 2,
        ..Config::default()
    };
    let mut lab = Lab::with(cfg);
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    let dst = 0x0a00_0001;
    let done = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        for number in 0..2 {
            let (view, done) = (Arc::clone(&lab.view), &done);
            scope.spawn(move || {
                let reader = view.qsbr().reader(number);
                let mut hash = number as u64;
                while !done.load(ordering) {
                    reader.quiescent();
                    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
                    let id = view.lookup4(dst).expect("the prefix is always there");
                    let group = view.group(id);
                    let answer = group.stateless(group.bucket(hash), Secs(1000), IDLE);
                    // Who leaves may be gone between the choice and the look at it.
                    let pins = answer.map(|a| a.pin).into_iter().chain(group.owner(0));
                    for pin in pins {
                        let attrs = view.attrs(pin.idx());
                        assert!(matches!(attrs.neigh, 1..=4) && attrs.port == PortId(1));
                    }
                }
            });
        }
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..3000 {
            let (a, b) = (rng.u8(1..=4), rng.u8(1..=4));
            let paths = if a == b {
                vec![via(a)]
            } else {
                vec![via(a), weighted(b, 3)]
            };
            let _ = lab.control.change(net("10.0.0.0/8"), &paths, None, lab.now);
            let _ = lab.control.add(net("10.1.0.0/16"), &paths, lab.now);
            let _ = lab.control.delete(net("10.1.0.0/16"), None, lab.now);
            lab.control.tick(lab.now);
        }
        done.store(true, ordering);
    });
}

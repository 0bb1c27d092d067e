//! Recursive next hops: who they are stays, where they lead follows the routes.

use super::*;
use crate::control::MAX_CHAIN;
use crate::ids::FibId;
use crate::nhop::{Health, NhopAttrs, PinState, Through};

/// What stands for no neighbour here.
const NONE: u32 = u32::MAX;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn far(gateway: &str) -> NhopKey {
    NhopKey::recursive(FibId(0), ip(gateway))
}

/// A path by a gateway that the routes lead to, not resolved yet.
fn by(gateway: &str) -> Path {
    Path {
        key: far(gateway),
        neigh: NONE,
        mtu: 65_535,
        ..via(0)
    }
}

fn iface(port: u16) -> Path {
    let key = NhopKey {
        kind: NhopKind::Iface,
        port: PortId(port),
        gateway: None,
    };
    Path { key, ..via(0) }
}

/// Numbers a neighbour by its address.
fn number(gateway: IpAddr) -> u32 {
    match gateway {
        IpAddr::V4(v4) => u32::from(v4.octets()[3]),
        IpAddr::V6(v6) => u32::from(v6.octets()[15]),
    }
}

impl Lab {
    /// As the stack settles: where it leads, then whether it lives. Returns how many lead elsewhere.
    fn settle(&mut self) -> usize {
        let mut changed = 0;
        while self.control.take_unsettled() {
            for (idx, through) in self.control.resolve(|_| true) {
                let is = self.control.nhop_info(idx).unwrap();
                if is.through == through {
                    continue;
                }
                changed += 1;
                let neigh = through.map_or(NONE, |to| number(to.gateway));
                if through.is_none() {
                    self.control.set_health(idx, Health::Dead, self.now);
                }
                assert_eq!(
                    self.control.set_through(idx, through, neigh),
                    Some(is.neigh)
                );
                if through.is_some() {
                    self.control.set_health(idx, Health::Up, self.now);
                }
            }
        }
        changed
    }

    fn far_idx(&self, gateway: &str) -> NhopIdx {
        self.control.nhop(&far(gateway)).unwrap()
    }

    fn far_pin(&self, gateway: &str) -> Pin {
        let info = self.control.nhop_info(self.far_idx(gateway)).unwrap();
        Pin::new(info.idx, info.generation)
    }

    fn through(&self, gateway: &str) -> Option<Through> {
        let info = self.control.nhop_info(self.far_idx(gateway));
        info.unwrap().through
    }

    /// To which neighbour packets of a recursive next hop go.
    fn to(&self, gateway: &str) -> Option<String> {
        self.through(gateway).map(|to| to.gateway.to_string())
    }

    fn attrs(&self, gateway: &str) -> NhopAttrs {
        self.view.attrs(self.far_idx(gateway))
    }

    fn delete(&mut self, prefix: &str) {
        self.control.delete(net(prefix), None, self.now).unwrap();
    }
}

#[test]
fn a_recursive_next_hop_keeps_its_pins_while_the_way_to_it_changes() {
    let mut lab = Lab::new();
    lab.add("10.9.0.0/16", &[via(1)]);
    lab.add("203.0.113.0/24", &[by("10.9.9.9")]);
    assert_eq!(lab.view.judge(lab.far_pin("10.9.9.9")), PinState::Dead);
    assert_eq!(lab.settle(), 1);
    let pin = lab.far_pin("10.9.9.9");
    assert_eq!(lab.view.judge(pin), PinState::Live);
    let attrs = lab.attrs("10.9.9.9");
    assert_eq!((attrs.kind, attrs.port), (NhopKind::Gateway, PortId(1)));
    assert_eq!((attrs.neigh, attrs.mtu), (1, 1500));
    assert!(lab.group("203.0.113.7").unwrap().has_member(pin));

    lab.change("10.9.0.0/16", &[via(2)]);
    assert_eq!(lab.settle(), 1);
    assert_eq!(lab.attrs("10.9.9.9").neigh, 2);
    lab.add("10.9.9.0/24", &[via(3)]);
    assert_eq!(lab.settle(), 1, "a longer match");
    assert_eq!(lab.attrs("10.9.9.9").neigh, 3);
    lab.add("10.9.9.9", &[iface(4)]);
    assert_eq!(lab.settle(), 1, "on-link");
    let on_link = lab.through("10.9.9.9").unwrap();
    assert!(on_link.on_link && on_link.port == PortId(4));
    assert_eq!(lab.to("10.9.9.9").unwrap(), "10.9.9.9");
    lab.delete("10.9.9.9");
    lab.delete("10.9.9.0/24");
    assert_eq!(lab.settle(), 1);
    assert_eq!(lab.far_pin("10.9.9.9"), pin, "the same next hop all along");
    assert_eq!(lab.view.judge(pin), PinState::Live);

    lab.delete("10.9.0.0/16");
    assert_eq!(lab.settle(), 1);
    assert_eq!(lab.view.judge(pin), PinState::Dead);
    lab.add("0.0.0.0/0", &[via(1)]);
    assert_eq!(lab.settle(), 1);
    assert_eq!(
        lab.view.judge(pin),
        PinState::Live,
        "silent flows get it back"
    );
}

#[test]
fn what_cannot_concern_it_settles_nothing() {
    let mut lab = Lab::new();
    lab.add("10.9.0.0/16", &[via(1)]);
    assert!(!lab.control.take_unsettled(), "there is nobody to resolve");
    lab.add("203.0.113.0/24", &[by("10.9.9.9")]);
    lab.add("198.51.100.0/24", &[by("10.9.9.9")]);
    lab.settle();
    for other in ["10.8.0.0/16", "10.9.9.8", "2001:db8::/32", "10.10.0.0/16"] {
        lab.add(other, &[via(2)]);
        assert!(!lab.control.take_unsettled(), "{other}");
        lab.delete(other);
        assert!(!lab.control.take_unsettled(), "{other}");
    }
    let other_fib = net("10.9.9.0/24").in_fib(FibId(0));
    lab.control.add(other_fib, &[via(3)], lab.now).unwrap();
    assert!(lab.control.take_unsettled());
    // Another route by a next hop that is resolved already needs nothing either.
    lab.add("192.0.3.0/24", &[by("10.9.9.9")]);
    assert!(!lab.control.take_unsettled());
}

#[test]
fn blackholes_rejects_own_addresses_and_itself_are_no_way() {
    let mut lab = Lab::new();
    lab.add("203.0.113.0/24", &[by("10.9.9.9")]);
    lab.settle();
    for kind in [NhopKind::Blackhole, NhopKind::Reject, NhopKind::Local] {
        lab.add("10.9.9.0/24", &[alone(kind)]);
        assert_eq!((lab.settle(), lab.to("10.9.9.9")), (0, None), "{kind:?}");
        lab.delete("10.9.9.0/24");
    }
    lab.add("10.0.0.0/8", &[by("10.9.9.9")]);
    assert_eq!((lab.settle(), lab.to("10.9.9.9")), (0, None));
    // Two that lead to each other.
    lab.add("10.8.0.0/16", &[by("10.9.9.9")]);
    lab.add("10.9.0.0/16", &[by("10.8.8.8")]);
    assert_eq!(lab.settle(), 0);
    // And a way out for one of them is one for both.
    lab.add("10.8.8.8", &[via(5)]);
    assert_eq!(lab.settle(), 2);
    let out = Some("192.0.2.5".to_owned());
    assert_eq!((lab.to("10.9.9.9"), lab.to("10.8.8.8")), (out.clone(), out));
    assert_eq!(lab.through("10.9.9.9").unwrap().chain, 2);
}

#[test]
fn a_chain_ends_at_its_limit() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/16", &[via(1)]);
    for n in 0..=MAX_CHAIN {
        lab.add(
            &format!("10.{}.0.0/16", n + 1),
            &[by(&format!("10.{n}.0.1"))],
        );
    }
    lab.settle();
    for n in 0..MAX_CHAIN {
        let through = lab.through(&format!("10.{n}.0.1")).unwrap();
        assert_eq!(through.chain, n + 1);
    }
    assert_eq!(lab.to(&format!("10.{MAX_CHAIN}.0.1")), None);
}

#[test]
fn of_several_members_each_draws_one_by_weight_and_leaves_it_only_if_it_must() {
    let mut lab = Lab::new();
    lab.add(
        "10.0.0.0/8",
        &[weighted(1, 1), weighted(2, 1), weighted(3, 2)],
    );
    let gateways: Vec<String> = (0..400)
        .map(|n| format!("10.1.{}.{}", n / 250, n % 250 + 1))
        .collect();
    for (n, gateway) in (0u32..).zip(&gateways) {
        lab.add(&format!("203.0.{}.{}", n / 250, n % 250), &[by(gateway)]);
    }
    lab.settle();
    let ways = |lab: &Lab| -> Vec<u32> { gateways.iter().map(|g| lab.attrs(g).neigh).collect() };
    let before = ways(&lab);
    let share = |of: &[u32], host| of.iter().filter(|n| **n == host).count();
    assert!((70..=130).contains(&share(&before, 1)) && (160..=240).contains(&share(&before, 3)));

    lab.control.set_health(lab.idx(2), Health::Dead, lab.now);
    assert_eq!(lab.settle(), share(&before, 2), "only its own go elsewhere");
    let without = ways(&lab);
    assert!(before.iter().zip(&without).all(|(b, w)| *b == 2 || b == w));
    assert!(!without.contains(&2));
    lab.control.set_health(lab.idx(2), Health::Up, lab.now);
    lab.settle();
    assert_eq!(ways(&lab), before, "and come back");

    // One that drains is taken only if nobody else is there.
    lab.change("10.0.0.0/8", &[weighted(1, 0), weighted(2, 0)]);
    lab.settle();
    assert!(ways(&lab).iter().all(|n| *n == 3));
    lab.control.set_health(lab.idx(3), Health::Dead, lab.now);
    lab.settle();
    assert!(ways(&lab).iter().all(|n| [1, 2].contains(n)));
}

#[test]
fn the_smallest_mtu_of_the_way_counts_and_the_one_asked_for_is_kept() {
    let mut lab = Lab::new();
    let asked = Path {
        mtu: 9000,
        ..by("10.9.9.9")
    };
    lab.add("10.9.0.0/16", &[via(1)]);
    lab.add("203.0.113.0/24", &[asked]);
    lab.settle();
    assert_eq!(lab.attrs("10.9.9.9").mtu, 1500);
    let info = lab.control.nhop_info(lab.far_idx("10.9.9.9")).unwrap();
    assert_eq!(
        (info.mtu, info.mtu_now(), info.port()),
        (9000, 1500, PortId(1))
    );
    lab.change("203.0.113.0/24", &[Path { mtu: 1400, ..asked }]);
    assert_eq!(lab.attrs("10.9.9.9").mtu, 1400);
}

#[test]
fn ipv6_is_resolved_likewise_and_by_an_ipv4_route_through_ipv6() {
    let mut lab = Lab::new();
    let near = |n: u16| {
        let gateway = Some(ip(&format!("2001:db8::{n}")));
        let key = NhopKey {
            gateway,
            ..via(0).key
        };
        Path {
            key,
            neigh: u32::from(n),
            ..via(0)
        }
    };
    lab.add("2001:db8:9::/48", &[near(7)]);
    lab.add("2001:db8:ff::/48", &[by("2001:db8:9::9")]);
    lab.add("203.0.113.0/24", &[by("2001:db8:9::9")]);
    lab.add("10.9.0.0/16", &[near(8)]);
    lab.add("198.51.100.0/24", &[by("10.9.9.9")]);
    lab.settle();
    assert_eq!(lab.attrs("2001:db8:9::9").neigh, 7);
    assert_eq!(lab.to("10.9.9.9").unwrap(), "2001:db8::8", "RFC 8950");
    let shared = lab.control.nhop_info(lab.far_idx("2001:db8:9::9")).unwrap();
    assert_eq!(shared.groups, 1, "one next hop, one group for both routes");
}

#[test]
fn each_fib_resolves_its_own() {
    let mut lab = Lab::with(Config {
        fibs: 2,
        default_buckets: BUCKETS,
        ..Config::default()
    });
    lab.add("10.9.0.0/16", &[via(1)]);
    let other = |text: &str| net(text).in_fib(FibId(1));
    let key = NhopKey::recursive(FibId(1), ip("10.9.9.9"));
    assert_eq!(key.resolved(), Some((FibId(1), ip("10.9.9.9"))));
    let there = Path {
        key,
        ..by("10.9.9.9")
    };
    lab.add("203.0.113.0/24", &[by("10.9.9.9")]);
    lab.control
        .add(other("203.0.113.0/24"), &[there], lab.now)
        .unwrap();
    lab.settle();
    let idx = lab.control.nhop(&key).unwrap();
    assert_eq!(lab.to("10.9.9.9").unwrap(), "192.0.2.1");
    assert_eq!(lab.control.nhop_info(idx).unwrap().through, None);
    lab.control
        .add(other("10.0.0.0/8"), &[via(2)], lab.now)
        .unwrap();
    assert_eq!(lab.settle(), 1);
    assert_eq!(lab.view.attrs(idx).neigh, 2);
    assert_eq!(lab.to("10.9.9.9").unwrap(), "192.0.2.1");
}

#[test]
fn a_new_one_is_resolved_before_its_route_is_there_and_not_through_that() {
    let mut lab = Lab::new();
    lab.add("0.0.0.0/0", &[via(1)]);
    let new = |lab: &Lab, prefix: &str| {
        let key = far("10.9.9.9");
        lab.control.resolve_new(&net(prefix), &key, |_| true)
    };
    let through = new(&lab, "203.0.113.0/24");
    assert_eq!(through.unwrap().gateway, ip("192.0.2.1"));
    assert_eq!(
        new(&lab, "10.0.0.0/8"),
        None,
        "it would lead through itself"
    );
    lab.add("10.9.0.0/16", &[via(2)]);
    assert_eq!(new(&lab, "10.0.0.0/8").unwrap().gateway, ip("192.0.2.2"));
    let path = Path {
        through,
        neigh: 1,
        ..by("10.9.9.9")
    };
    lab.add("203.0.113.0/24", &[path]);
    assert_eq!(lab.view.judge(lab.far_pin("10.9.9.9")), PinState::Live);
    assert_eq!(new(&lab, "203.0.113.0/24"), through, "it has what it has");
    assert_eq!(lab.settle(), 1);
    assert_eq!(lab.to("10.9.9.9").unwrap(), "192.0.2.2");
}

#[test]
fn one_that_ended_is_resolved_no_more() {
    let mut lab = Lab::new();
    lab.add("10.9.0.0/16", &[via(1)]);
    lab.add("203.0.113.0/24", &[by("10.9.9.9")]);
    lab.settle();
    let ended = lab.control.delete(net("203.0.113.0/24"), None, lab.now);
    let ended = ended.unwrap().removed_nhops;
    assert_eq!(ended[0].1, far("10.9.9.9"));
    assert_eq!(ended[0].2, 1, "with the neighbour that it had last");
    lab.change("10.9.0.0/16", &[via(2)]);
    assert!(!lab.control.take_unsettled());
    assert_eq!(lab.control.resolve(|_| true), []);
}

/// A route as the oracle keeps it.
type Line = (Prefix, Vec<Path>);

/// Slow and plain: who is resolved, to which neighbours it may be, and through how many.
struct Oracle<'a> {
    routes: &'a [Line],
    dead: &'a [u8],
}

impl Oracle<'_> {
    /// The members of the longest match, by looking at every route.
    fn members(&self, addr: IpAddr) -> &[Path] {
        let matching = self
            .routes
            .iter()
            .filter(|(prefix, _)| prefix.contains(addr));
        let longest = matching.max_by_key(|(prefix, _)| prefix.len());
        longest.map_or(&[], |(_, paths)| paths)
    }

    /// All neighbours that an address may be resolved to with so many more recursive next hops on the way.
    fn neighbours(&self, addr: IpAddr, more: u8) -> Vec<IpAddr> {
        let mut all = Vec::new();
        for path in self.members(addr) {
            match (path.key.kind, path.key.gateway, path.key.resolved()) {
                (_, Some(gateway), Some(_)) if more > 0 => {
                    all.extend(self.neighbours(gateway, more - 1));
                }
                (_, Some(gateway), None) if !self.dead.contains(&(number(gateway) as u8)) => {
                    all.push(gateway);
                }
                (NhopKind::Iface, ..) => all.push(addr),
                _ => {}
            }
        }
        all
    }

    /// The fewest recursive next hops on a way from an address, itself counted.
    fn chain(&self, addr: IpAddr) -> Option<u8> {
        (0..MAX_CHAIN)
            .find(|more| !self.neighbours(addr, *more).is_empty())
            .map(|more| more + 1)
    }
}

#[test]
fn random_histories_resolve_as_a_linear_search_does() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::new();
        let (mut routes, mut dead): (Vec<Line>, Vec<u8>) = (Vec::new(), Vec::new());
        let gateways = [
            "10.1.1.1", "10.1.2.1", "10.2.1.1", "10.2.2.1", "10.3.3.3", "10.4.4.4",
        ];
        for (n, gateway) in gateways.iter().enumerate() {
            lab.add(&format!("203.0.113.{n}"), &[by(gateway)]);
            routes.push((net(&format!("203.0.113.{n}")), vec![by(gateway)]));
        }
        let pins: Vec<Pin> = gateways.iter().map(|g| lab.far_pin(g)).collect();
        for step in 0..120 {
            random_step(&mut rng, &mut lab, &mut routes, &mut dead, &gateways);
            lab.settle();
            let oracle = Oracle {
                routes: &routes,
                dead: &dead,
            };
            for (gateway, pin) in gateways.iter().zip(&pins) {
                let told = format!("seed {seed}, step {step}, {gateway}");
                let through = lab.through(gateway);
                assert_eq!(lab.far_pin(gateway), *pin, "{told}");
                assert_eq!(
                    through.map(|to| to.chain),
                    oracle.chain(ip(gateway)),
                    "{told}"
                );
                let state = lab.view.judge(*pin);
                let Some(to) = through else {
                    assert_eq!(state, PinState::Dead, "{told}");
                    continue;
                };
                assert_eq!(state, PinState::Live, "{told}");
                let may = oracle.neighbours(ip(gateway), to.chain - 1);
                assert!(may.contains(&to.gateway), "{told}: {to:?} of {may:?}");
                assert_eq!(lab.attrs(gateway).neigh, number(to.gateway), "{told}");
            }
        }
    }
}

/// A route comes, changes or goes, or a next hop dies or returns.
fn random_step(
    rng: &mut fastrand::Rng,
    lab: &mut Lab,
    routes: &mut Vec<Line>,
    dead: &mut Vec<u8>,
    gateways: &[&str],
) {
    let host = rng.u8(1..=4);
    if rng.u8(..4) == 0
        && let Some(idx) = lab.control.nhop(&key(host))
    {
        let health = if dead.contains(&host) {
            Health::Up
        } else {
            Health::Dead
        };
        lab.control.set_health(idx, health, lab.now);
        dead.retain(|d| *d != host);
        dead.extend((health == Health::Dead).then_some(host));
        return;
    }
    let lengths = [8, 15, 16, 24, 32];
    let prefix = Prefix::masked(
        ip(gateways[rng.usize(..gateways.len())]),
        lengths[rng.usize(..5)],
    );
    let at = routes.iter().position(|(known, _)| *known == prefix);
    if let Some(at) = at.filter(|_| rng.bool()) {
        let (_, paths) = routes.remove(at);
        for path in paths {
            let which = crate::info::NhopKeyMatch {
                gateway: path.key.gateway,
                port: Some(path.key.port),
            };
            lab.control.delete(prefix, Some(&which), lab.now).unwrap();
        }
    } else {
        let paths = random_paths(rng, gateways);
        match at {
            Some(at) => {
                lab.control.change(prefix, &paths, None, lab.now).unwrap();
                // Members already: their weights alone would change.
                let is = &mut routes[at].1;
                if !paths.iter().all(|path| is.contains(path)) {
                    *is = paths;
                }
            }
            None => {
                lab.control.add(prefix, &paths, lab.now).unwrap();
                routes.push((prefix, paths));
            }
        }
    }
    // A next hop that nobody names any more is another one when it comes again.
    dead.retain(|host| lab.control.nhop(&key(*host)).is_some());
}

fn random_paths(rng: &mut fastrand::Rng, gateways: &[&str]) -> Vec<Path> {
    match rng.u8(..8) {
        0 => vec![alone(NhopKind::Blackhole)],
        1 => vec![iface(2)],
        _ => {
            let mut paths = Vec::new();
            for _ in 0..rng.u8(1..=3) {
                let path = if rng.bool() {
                    via(rng.u8(1..=4))
                } else {
                    by(gateways[rng.usize(..gateways.len())])
                };
                if paths.iter().all(|p: &Path| p.key != path.key) {
                    paths.push(path);
                }
            }
            paths
        }
    }
}

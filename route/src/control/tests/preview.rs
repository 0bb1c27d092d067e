//! Whatever the history: a change does what its preview said.

use super::*;
use crate::error::RouteError;
use crate::ids::FibId;
use crate::info::{Changed, NhopKeyMatch};
use crate::nhgrp::{OptionsAsked, Selection};
use crate::nhop::{Admin, Health};

const HOSTS: u8 = 6;
const IDLE: u32 = 300;
const PREFIXES: [&str; 7] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "10.128.0.0/9",
    "192.168.0.0/16",
];

/// A change of one route.
#[derive(Clone, Debug)]
enum Op {
    Add(Vec<Path>, OptionsAsked),
    Change(Vec<Path>, OptionsAsked, Option<Secs>),
    Delete(Option<NhopKeyMatch>),
}

impl Op {
    fn random(rng: &mut fastrand::Rng, now: Secs) -> Self {
        let mut hosts: Vec<u8> = (1..=HOSTS).collect();
        rng.shuffle(&mut hosts);
        hosts.truncate(rng.usize(1..4));
        let mut paths: Vec<Path> = hosts.iter().map(|h| weighted(*h, rng.u32(1..4))).collect();
        paths[0].mtu = [1500, 1500, 1400][rng.usize(..3)];
        let options = OptionsAsked {
            selection: rng.bool().then(|| Selection::ALL[rng.usize(..4)]),
            slow_start: (rng.u8(..4) == 0).then(|| rng.u32(0..2) * 60),
            ..OptionsAsked::default()
        };
        let none = OptionsAsked::default();
        let some = if rng.bool() { options } else { none };
        let gateway = key(hosts[0]).gateway;
        let which = NhopKeyMatch {
            gateway,
            port: None,
        };
        match rng.u8(0..12) {
            0..=3 => Self::Add(paths, some),
            4 => Self::Add(vec![alone(NhopKind::Blackhole)], none),
            5 => Self::Change(vec![alone(NhopKind::Reject)], none, None),
            6 => Self::Change(paths, options, None),
            7 | 8 => {
                paths.truncate(1);
                paths[0].weight = rng.u32(0..3);
                let deadline = rng.bool().then(|| now.after(rng.u32(1..10)));
                Self::Change(paths, some, deadline)
            }
            9 => Self::Delete(None),
            _ => Self::Delete(Some(which)),
        }
    }

    /// What a sketch must know.
    fn names(&self) -> (&[Path], OptionsAsked) {
        match self {
            Self::Add(paths, options) | Self::Change(paths, options, _) => (paths, *options),
            Self::Delete(_) => (&[], OptionsAsked::default()),
        }
    }

    fn make(&self, control: &mut Control, prefix: Prefix, now: Secs) -> Result<Change, RouteError> {
        match self {
            Self::Add(paths, options) => control.add_with(prefix, paths, *options, now),
            Self::Change(paths, options, deadline) => {
                control.change_with(prefix, paths, *options, *deadline, now)
            }
            Self::Delete(which) => control.delete(prefix, which.as_ref(), now),
        }
    }
}

/// Next hops die, return and drain; time passes.
fn disturb(lab: &mut Lab, rng: &mut fastrand::Rng) {
    let now = lab.now;
    if let Some(idx) = lab.control.nhop(&key(rng.u8(1..=HOSTS))) {
        match rng.u8(0..8) {
            0 => drop(lab.control.set_health(idx, Health::Dead, now)),
            1..=3 => drop(lab.control.set_health(idx, Health::Up, now)),
            4 => {
                let admin = [Admin::In, Admin::Draining, Admin::Drained][rng.usize(..3)];
                lab.control.set_admin(idx, admin, now);
            }
            5 => drop(lab.control.set_admin(idx, Admin::In, now)),
            _ => {}
        }
    }
    lab.control.tick(now);
    lab.now.0 += rng.u32(0..3);
}

/// All that is told of a change, without the places of next hops.
fn told(result: &Result<Change, RouteError>) -> Result<String, RouteError> {
    let change = result.as_ref().map_err(Clone::clone)?;
    let path = |p: &PathInfo| {
        (
            p.key, p.weight, p.buckets, p.deadline, p.admin, p.health, p.mtu,
        )
    };
    let paths: Vec<_> = change.paths.iter().map(path).collect();
    let removed: Vec<_> = change
        .removed_nhops
        .iter()
        .map(|(_, key, neigh)| (*key, *neigh))
        .collect();
    Ok(format!(
        "{:?} {} {paths:?} {removed:?} {:?}",
        change.kind, change.prefix, change.warning
    ))
}

/// All that decides where a group's flows go: by name, since new next hops have no place yet.
fn choices(
    group: Option<GroupRef<'_>>,
    now: Secs,
    name: impl Fn(Pin) -> Option<NhopKey>,
) -> Option<String> {
    let group = group?;
    let buckets: Vec<_> = (0..group.buckets())
        .map(|b| {
            let answer = group
                .stateless(b, now, IDLE)
                .map(|a| (name(a.pin), a.remembered));
            (group.owner(b).map(&name), answer)
        })
        .collect();
    Some(format!(
        "{:?} {} {buckets:?}",
        group.selection(),
        group.turn(12_345)
    ))
}

/// The group that workers find for a prefix's own address.
fn found<'a>(lab: &'a Lab, prefix: &Prefix) -> Option<GroupRef<'a>> {
    let cover = lab.control.rib.covering(prefix).map(|r| r.1);
    let id = lab.control.rib.get(prefix).or(cover)?;
    Some(lab.view.group(id))
}

fn any_prefix(rng: &mut fastrand::Rng) -> Prefix {
    net(PREFIXES[rng.usize(..PREFIXES.len())]).in_fib(FibId(rng.u8(..2)))
}

fn step(lab: &mut Lab, rng: &mut fastrand::Rng, at: &str) {
    let (prefix, op, now) = (any_prefix(rng), Op::random(rng, lab.now), lab.now);
    let (paths, options) = op.names();
    let sketch = lab.control.sketch(prefix, paths, options, now);
    let fills = lab.control.fills();
    let pins: Vec<Pin> = lab
        .control
        .nhops()
        .map(|n| Pin::new(n.idx, n.generation))
        .collect();
    let before = choices(found(lab, &prefix), now, |pin| {
        Some(lab.control.nhops.pinned(pin)?.key)
    });
    let members = |lab: &Lab| {
        pins.iter()
            .map(|p| found(lab, &prefix).is_some_and(|g| g.has_member(*p)))
            .collect::<Vec<_>>()
    };
    let had = members(lab);

    let preview = sketch.try_out(|control, now| Ok(op.make(control, prefix, now)?.into()));
    assert_eq!(lab.control.fills(), fills, "{at}: a preview takes nothing");
    let made = op.make(&mut lab.control, prefix, now);

    let preview = match preview {
        Ok(preview) => preview,
        Err(error) => return assert_eq!(told(&made), Err(error), "{at} {prefix} {op:?}"),
    };
    let Changed::Route(change) = &preview.change else {
        panic!("{at}: of a route");
    };
    assert_eq!(
        told(&Ok(change.clone())),
        told(&made),
        "{at} {prefix} {op:?}"
    );
    let foreseen = |group| choices(group, now, |pin| preview.nhop(pin));
    let true_name = |pin| Some(lab.control.nhops.pinned(pin)?.key);
    let after = choices(found(lab, &prefix), now, true_name);
    let seen_before = choices(preview.before(), now, |pin| preview.nhop(pin));
    assert_eq!(seen_before, before, "{at} {prefix} {op:?}");
    assert_eq!(foreseen(preview.after()), after, "{at} {prefix} {op:?}");
    let stays = |pin: &Pin| preview.after().is_some_and(|g| g.has_member(*pin));
    let stay: Vec<bool> = pins.iter().map(stays).collect();
    assert_eq!(stay, members(lab), "{at} {prefix} {op:?}");
    if preview.moves_nothing() {
        let left = had.iter().zip(&stay).filter(|(had, stay)| **had && !**stay);
        assert_eq!(left.count(), 0, "{at} {prefix} {op:?}");
    }
}

#[test]
fn what_a_preview_says_is_what_the_change_does() {
    for seed in 0..1000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let cfg = Config {
            default_buckets: 32,
            max_lines: 1 << 12,
            fibs: 2,
            ..Config::default()
        };
        let mut lab = Lab::with(cfg);
        // Trying out takes a millisecond: of most histories, the end.
        for at in 0..24 {
            disturb(&mut lab, &mut rng);
            if at == 23 || seed % 100 == 0 {
                step(&mut lab, &mut rng, &format!("seed {seed} step {at}"));
            } else {
                let (op, now) = (Op::random(&mut rng, lab.now), lab.now);
                let prefix = any_prefix(&mut rng);
                let _ = op.make(&mut lab.control, prefix, now);
            }
        }
    }
}

#[test]
fn a_change_that_has_no_room_is_refused_by_its_preview_too() {
    let cfg = Config {
        max_routes: 2,
        max_nhops: 3,
        ..Config::default()
    };
    let mut lab = Lab::with(cfg);
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    let refused = |lab: &mut Lab, prefix: &str, paths: &[Path]| {
        let now = lab.now;
        let sketch = lab
            .control
            .sketch(net(prefix), paths, OptionsAsked::default(), now);
        let tried = sketch.try_out(|control, now| Ok(control.add(net(prefix), paths, now)?.into()));
        let made = lab.control.add(net(prefix), paths, now);
        let (tried, made) = (tried.map(|p| p.change.kind()), made.map(|c| c.kind));
        assert_eq!(tried, made, "{prefix}");
        made.is_err()
    };
    assert!(
        refused(&mut lab, "10.0.0.0/8", &[via(3), via(4)]),
        "next hops"
    );
    assert!(!refused(&mut lab, "11.0.0.0/8", &[via(3)]));
    assert!(refused(&mut lab, "12.0.0.0/8", &[via(1)]), "routes");
}

#[test]
fn the_longer_routes_inside_a_prefix_are_told_in_order_and_no_others() {
    let mut lab = Lab::new();
    let all = [
        "0.0.0.0/0",
        "9.0.0.0/8",
        "10.0.0.0/8",
        "10.0.0.0/9",
        "10.0.0.0/32",
        "10.255.255.255/32",
        "11.0.0.0/8",
        "::/0",
    ];
    for prefix in all {
        lab.add(prefix, &[alone(NhopKind::Blackhole)]);
    }
    let within = |of: &str, after: Option<&str>, max| -> Vec<String> {
        let found = lab.control.routes_within(net(of), after.map(net), max);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(within("10.0.0.0/8", None, 10), all[3..6]);
    assert_eq!(within("10.0.0.0/8", None, 2), all[3..5]);
    assert_eq!(within("10.0.0.0/8", Some("10.0.0.0/32"), 2), all[5..6]);
    assert_eq!(within("0.0.0.0/0", None, 10), all[1..7]);
    assert_eq!(within("10.0.0.0/32", None, 10), [""; 0]);
    assert_eq!(within("::/0", None, 10), [""; 0]);
    // A prefix that is not there itself.
    assert_eq!(within("10.0.0.0/7", None, 10), all[2..7]);
}

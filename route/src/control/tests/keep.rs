//! Groups over a restart: what was saved by one control is given back by another.

use super::*;
use crate::control::Saving;
use crate::info::NhopKeyMatch;
use crate::nhop::Health;
use crate::saved::SavedGroup;

const HOSTS: u8 = 6;
const IDLE: u32 = 300;

/// The same routes in a gateway that has just started, `down` seconds after this one ended.
fn restarted(lab: &Lab, down: u32) -> (Lab, usize) {
    let mut new = Lab::new();
    new.now = Secs(3);
    // Slots of next hops mean nothing to the next gateway.
    new.add("172.16.0.0/12", &[via(99), via(98)]);
    let groups = lab.control.save();
    let taken = new.control.restore(groups, down, new.now);
    (new, taken)
}

/// Adds the routes of `lab` to `new`, as a configuration or a file of routes would.
fn same_routes(lab: &Lab, new: &mut Lab) {
    for route in lab.control.routes() {
        let path = |p: &PathInfo| weighted(p.key.gateway.map_or(0, last_byte), p.weight.max(1));
        let paths: Vec<Path> = route.paths.iter().map(path).collect();
        new.control
            .add_with(
                route.prefix,
                &paths,
                crate::nhgrp::OptionsAsked::default(),
                new.now,
            )
            .unwrap();
    }
}

fn last_byte(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => 0,
    }
}

/// Saved groups without what differs in another gateway: the order of groups, ages.
fn essence(lab: &Lab, later: u32) -> Vec<SavedGroup> {
    let mut groups = lab.control.save();
    groups.retain(|g| g.routes.iter().all(|p| *p != net("172.16.0.0/12")));
    for group in &mut groups {
        let names = group.names.clone();
        let lost = group.runs.iter_mut().flat_map(|run| &mut run.remembered);
        lost.for_each(|(_, age)| *age += later);
        // In the order of next hops, not of additions.
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|i| (names[*i].weight.is_none(), names[*i].key));
        let place: Vec<u16> = (0..names.len())
            .map(|i| order.iter().position(|o| *o == i).unwrap() as u16)
            .collect();
        for run in &mut group.runs {
            run.claims
                .iter_mut()
                .for_each(|c| *c = place[usize::from(*c)]);
            run.owner = run.owner.map(|o| place[usize::from(o)]);
            run.remembered
                .iter_mut()
                .for_each(|(n, _)| *n = place[usize::from(*n)]);
        }
        group.names = order.iter().map(|i| names[*i]).collect();
    }
    groups.sort_by_key(|g| g.routes.clone());
    groups
}

/// One random change of one of three routes.
fn operate(lab: &mut Lab, rng: &mut fastrand::Rng) {
    let prefix = net(["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"][rng.usize(..3)]);
    let host = rng.u8(1..=HOSTS);
    let path = weighted(host, rng.u32(1..5));
    match rng.u8(..5) {
        0 | 1 => drop(lab.control.add(prefix, &[path], lab.now)),
        2 => drop(lab.control.change(prefix, &[path], None, lab.now)),
        3 if lab.control.get(prefix).is_some_and(|r| r.paths.len() > 2) => {
            let gateway = path.key.gateway;
            let which = NhopKeyMatch {
                gateway,
                port: None,
            };
            drop(lab.control.delete(prefix, Some(&which), lab.now));
        }
        _ => {
            let health = [Health::Dead, Health::Up][rng.usize(..2)];
            if let Some(idx) = lab.control.nhop(&path.key) {
                lab.control.set_health(idx, health, lab.now);
            }
        }
    }
    lab.now.0 += rng.u32(1..20);
    lab.control.tick(lab.now);
}

fn with_history(seed: u64) -> Lab {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut lab = Lab::new();
    for prefix in ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"] {
        lab.add(prefix, &[via(1), via(2), via(3)]);
    }
    (0..rng.usize(1..40)).for_each(|_| operate(&mut lab, &mut rng));
    for host in 1..=HOSTS {
        if let Some(idx) = lab.control.nhop(&key(host)) {
            lab.control.set_health(idx, Health::Up, lab.now);
        }
    }
    lab
}

#[test]
fn after_a_restart_every_bucket_is_as_it_was() {
    for seed in 0..200 {
        let lab = with_history(seed);
        let (mut new, taken) = restarted(&lab, 40);
        assert_eq!(taken, lab.control.save().len(), "seed {seed}");
        same_routes(&lab, &mut new);
        assert_eq!(essence(&new, 0), essence(&lab, 40), "seed {seed}");
        for dst in ["10.0.0.1", "11.0.0.1", "12.0.0.1"] {
            let at = format!("seed {seed} {dst}");
            assert_eq!(new.owners(dst), lab.owners(dst), "{at}");
            let later = |b| {
                let group = lab.group(dst).unwrap();
                let answer = group.stateless(b, lab.now.after(40), IDLE);
                answer.map(|a| lab.host(a.pin))
            };
            let then: Vec<_> = (0..BUCKETS).map(later).collect();
            assert_eq!(new.stateless(dst, IDLE), then, "{at}: flows without pins");
        }
    }
}

#[test]
fn who_returns_after_a_restart_gets_its_own_buckets() {
    for seed in 0..50 {
        let mut lab = with_history(seed);
        let prefix = net("10.0.0.0/8");
        let route = lab.control.get(prefix).unwrap();
        if route.paths.len() < 3 {
            continue;
        }
        let (before, gone) = (lab.owners("10.0.0.1"), &route.paths[0]);
        let which = NhopKeyMatch {
            gateway: gone.key.gateway,
            port: None,
        };
        lab.control.delete(prefix, Some(&which), lab.now).unwrap();
        let (mut new, _) = restarted(&lab, 5);
        same_routes(&lab, &mut new);
        assert_eq!(new.owners("10.0.0.1"), lab.owners("10.0.0.1"));
        let host = gone.key.gateway.map_or(0, last_byte);
        new.add("10.0.0.0/8", &[weighted(host, gone.weight)]);
        assert_eq!(new.owners("10.0.0.1"), before, "seed {seed}");
    }
}

#[test]
fn a_gateway_that_restarts_with_another_member_moves_only_what_it_must() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2), via(3)]);
    let before = lab.owners("10.0.0.1");
    let (mut new, _) = restarted(&lab, 5);
    new.add("10.0.0.0/8", &[via(1), via(3), via(4)]);
    let after = new.owners("10.0.0.1");
    for (b, a) in before.iter().zip(&after) {
        assert!(b == a || *b == Some(2) || *a == Some(4), "{b:?} to {a:?}");
    }
    assert!(count(&after, 4) >= 20);
    let (mut fewer, _) = restarted(&lab, 5);
    fewer.add("10.0.0.0/8", &[via(1)]);
    fewer.add("10.0.0.0/8", &[via(2)]);
    fewer.add("10.0.0.0/8", &[via(3)]);
    assert_eq!(fewer.owners("10.0.0.1"), before, "one by one");
}

#[test]
fn routes_that_shared_a_group_share_it_again_and_nobody_gets_another_s() {
    let mut lab = Lab::new();
    let three = [via(1), via(2), via(3)];
    lab.add("10.0.0.0/8", &three);
    lab.add("11.0.0.0/8", &three);
    lab.add("12.0.0.0/8", &three);
    // 12 goes its own way and comes back with the same members: another layout.
    lab.change("12.0.0.0/8", &[weighted(1, 5)]);
    lab.change("12.0.0.0/8", &[weighted(2, 3)]);
    lab.change("12.0.0.0/8", &[weighted(1, 1), weighted(2, 1)]);
    assert_ne!(lab.owners("12.0.0.1"), lab.owners("10.0.0.1"));
    let (mut new, taken) = restarted(&lab, 0);
    assert_eq!(taken, 2);
    for prefix in ["12.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8", "13.0.0.0/8"] {
        new.add(prefix, &three);
    }
    let id = |lab: &Lab, dst: &str| lab.group(dst).unwrap().id();
    assert_eq!(id(&new, "10.0.0.1"), id(&new, "11.0.0.1"));
    assert_ne!(id(&new, "10.0.0.1"), id(&new, "12.0.0.1"));
    for dst in ["10.0.0.1", "11.0.0.1", "12.0.0.1"] {
        assert_eq!(new.owners(dst), lab.owners(dst));
    }
}

#[test]
fn a_batch_gets_back_what_each_of_its_routes_had() {
    use crate::control::{Batch, BatchSet, BatchSpec, BatchState};
    let mut lab = Lab::new();
    let three = [via(1), via(2), via(3)];
    let prefixes: Vec<Prefix> = (0..100).map(|i| net(&format!("10.{i}.0.0/16"))).collect();
    for prefix in &prefixes {
        lab.control.add(*prefix, &three, lab.now).unwrap();
    }
    for weight in [7, 1] {
        lab.control
            .change(prefixes[5], &[weighted(1, weight)], None, lab.now)
            .unwrap();
    }
    lab.control.set_health(lab.idx(2), Health::Dead, lab.now);
    lab.control.set_health(lab.idx(2), Health::Up, lab.now);
    let (mut new, taken) = restarted(&lab, 0);
    assert_eq!(taken, 2);
    let mut batch = Batch::new(BatchSpec {
        sets: vec![BatchSet {
            paths: three.to_vec(),
            ..BatchSet::default()
        }],
        routes: prefixes.iter().map(|prefix| (*prefix, 0)).collect(),
        ..BatchSpec::default()
    });
    while batch.step(&mut new.control, 7, new.now) != BatchState::Ended {}
    batch.outcome().unwrap();
    let id = |dst: &str| new.group(dst).unwrap().id();
    assert_eq!(id("10.0.0.1"), id("10.99.0.1"));
    assert_ne!(id("10.0.0.1"), id("10.5.0.1"));
    for dst in ["10.0.0.1", "10.5.0.1", "10.50.0.1", "10.99.0.1"] {
        assert_eq!(new.owners(dst), lab.owners(dst), "{dst}");
    }
}

#[test]
fn what_is_not_whole_is_not_taken() {
    let lab = with_history(7);
    let whole = lab.control.save().remove(0);
    let spoil: [fn(&mut SavedGroup); 8] = [
        |g| g.runs[0].buckets += 1,
        |g| g.runs[0].owner = Some(999),
        |g| g.runs[0].claims = vec![0, 0],
        |g| g.runs[0].claims = vec![40],
        |g| g.runs[0].remembered = vec![(0, 1), (0, 2)],
        |g| g.names[0].weight = None,
        |g| g.names[1].key = g.names[0].key,
        |g| g.runs.clear(),
    ];
    for (i, spoil) in spoil.into_iter().enumerate() {
        let mut group = whole.clone();
        spoil(&mut group);
        let mut new = Lab::new();
        assert_eq!(new.control.restore(vec![group], 0, new.now), 0, "{i}");
        new.add("10.0.0.0/8", &[via(1), via(2)]);
    }
    let mut new = Lab::new();
    assert_eq!(new.control.restore(vec![whole], 0, new.now), 1);
    // Nobody asks for it after an hour, or when its route was deleted.
    new.now.0 += 3600;
    new.control.tick(new.now);
    new.add("10.0.0.0/8", &[via(1), via(2), via(3)]);
    assert_eq!(essence(&new, 0)[0].names.len(), 3);
}

#[test]
fn every_change_of_a_group_is_noticed_and_nothing_else() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    let mut last = lab.control.layouts();
    let mut changed =
        |lab: &Lab| std::mem::replace(&mut last, lab.control.layouts()) != lab.control.layouts();
    lab.control.tick(lab.now);
    assert!(!changed(&lab));
    lab.control.set_health(lab.idx(2), Health::Dead, lab.now);
    assert!(changed(&lab));
    lab.change("10.0.0.0/8", &[weighted(1, 7)]);
    assert!(changed(&lab));
    lab.add("11.0.0.0/8", &[via(1), via(2)]);
    assert!(changed(&lab), "another route uses it");
}

#[test]
fn what_is_saved_bit_by_bit_is_of_one_moment_a_group() {
    let mut lab = with_history(3);
    let mut saving = Saving::default();
    let mut rng = fastrand::Rng::with_seed(9);
    let groups = loop {
        if let Some(groups) = saving.step(&lab.control, 40) {
            break groups;
        }
        if rng.u8(..20) == 0 {
            operate(&mut lab, &mut rng);
        }
    };
    assert!(groups.len() >= 3 && groups.iter().all(SavedGroup::is_whole));
    let mut now = lab.control.save();
    let mut then = Saving::default();
    let mut groups = loop {
        if let Some(groups) = then.step(&lab.control, 40) {
            break groups;
        }
    };
    groups.sort_by_key(|g| g.routes.clone());
    now.sort_by_key(|g| g.routes.clone());
    assert_eq!(groups, now);
}

#[test]
fn a_preview_of_a_route_that_gets_its_group_back_knows_that() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2), via(3)]);
    lab.change("10.0.0.0/8", &[weighted(1, 6)]);
    lab.change("10.0.0.0/8", &[weighted(1, 1)]);
    let (mut new, _) = restarted(&lab, 5);
    let (prefix, paths) = (net("10.0.0.0/8"), [via(1), via(2), via(3)]);
    let asked = crate::nhgrp::OptionsAsked::default();
    let sketch = new.control.sketch(prefix, &paths, asked, new.now);
    let preview = sketch.try_out(|routes, now| Ok(routes.add(prefix, &paths, now)?.into()));
    let preview = preview.unwrap();
    let after = preview.after().unwrap();
    let foreseen = |b| preview.nhop(after.owner(b).unwrap()).unwrap();
    let foreseen: Vec<_> = (0..BUCKETS).map(foreseen).collect();
    new.add("10.0.0.0/8", &paths);
    let owners = new.owners("10.0.0.1");
    let then: Vec<_> = owners.iter().map(|host| key(host.unwrap())).collect();
    assert_eq!(foreseen, then);
    assert_eq!(owners, lab.owners("10.0.0.1"));
}

use super::*;
use crate::ids::PortId;
use crate::nhgrp::deal::apportion;
use crate::nhop::NhopKind;
use std::collections::{BTreeMap, BTreeSet};

const BUCKETS: u32 = 256;

fn key(server: u16) -> NhopKey {
    NhopKey {
        kind: NhopKind::Iface,
        port: PortId(server),
        gateway: None,
    }
}

#[derive(Clone, Debug)]
struct Server {
    name: Member,
    weight: u32,
    up: bool,
}

/// A layout and the servers that it is told of.
#[derive(Clone)]
struct Rack {
    layout: Layout,
    servers: BTreeMap<u16, Server>,
}

/// The server that owns each bucket.
type Owners = Vec<Option<u16>>;

impl Rack {
    fn new(weights: &[(u16, u32)]) -> Self {
        let mut rack = Self {
            layout: Layout::new(scattered(BUCKETS)),
            servers: BTreeMap::new(),
        };
        for (server, weight) in weights {
            rack.join(*server, *weight);
        }
        rack.settle(&|_| true);
        rack
    }

    fn join(&mut self, server: u16, weight: u32) {
        let name = self.layout.join(key(server));
        self.servers.insert(
            server,
            Server {
                name,
                weight,
                up: true,
            },
        );
    }

    fn settle(&mut self, takes: &dyn Fn(u16) -> bool) -> Owners {
        let names = self.servers.values().map(|s| s.name + 1).max().unwrap_or(0);
        let mut standing = vec![Standing::default(); names];
        for (id, server) in &self.servers {
            let Server { name, weight, up } = *server;
            standing[name] = Standing {
                weight,
                eligible: up,
                stays: true,
                takes: takes(*id),
                start: None,
            };
        }
        self.layout.settle(&standing);
        self.owners()
    }

    fn owners(&self) -> Owners {
        let by_name: BTreeMap<Member, u16> =
            self.servers.iter().map(|(id, s)| (s.name, *id)).collect();
        (0..BUCKETS)
            .map(|b| Some(by_name[&self.layout.owner(b)?]))
            .collect()
    }

    fn add(&mut self, server: u16, weight: u32) -> Owners {
        self.join(server, weight);
        self.settle(&|id| id == server)
    }

    fn delete(&mut self, server: u16) -> Owners {
        let gone = self.servers.remove(&server).unwrap();
        self.layout.leave(gone.name);
        self.settle(&|_| false)
    }

    fn set_up(&mut self, server: u16, up: bool) -> Owners {
        self.servers.get_mut(&server).unwrap().up = up;
        self.settle(&|id| up && id == server)
    }

    fn reweigh(&mut self, server: u16, weight: u32) -> Owners {
        self.servers.get_mut(&server).unwrap().weight = weight;
        self.settle(&|_| true)
    }

    /// Whether everyone who holds buckets may own them.
    fn is_all_up(&self) -> bool {
        self.servers.values().all(|s| s.up || s.weight == 0)
    }

    /// `owners`, if `server` owned what it holds.
    fn with_own(&self, owners: &Owners, server: u16) -> Owners {
        let names = self.layout.names.len();
        let mut weights = vec![0; names];
        self.servers
            .values()
            .for_each(|s| weights[s.name] = s.weight);
        let name = self.servers[&server].name;
        let holds = |b| self.layout.holder(b, &weights) == Some(name);
        (0..)
            .zip(owners)
            .map(|(b, owner)| if holds(b) { Some(server) } else { *owner })
            .collect()
    }

    /// Each eligible server with its weight.
    fn eligible(&self) -> Vec<(u16, u32)> {
        let eligible = self.servers.iter().filter(|(_, s)| s.up && s.weight > 0);
        eligible.map(|(id, s)| (*id, s.weight)).collect()
    }
}

fn count(owners: &Owners, server: u16) -> u32 {
    owners.iter().filter(|o| **o == Some(server)).count() as u32
}

fn moved(before: &Owners, after: &Owners) -> usize {
    before.iter().zip(after).filter(|(b, a)| b != a).count()
}

/// How far the server that is furthest off its share is off it, in buckets.
fn furthest_off(rack: &Rack, owners: &Owners) -> f64 {
    let shares = rack.eligible();
    let total: u32 = shares.iter().map(|(_, w)| w).sum();
    let quota = |weight: u32| f64::from(weight) * f64::from(BUCKETS) / f64::from(total);
    let off = shares
        .iter()
        .map(|(id, w)| (f64::from(count(owners, *id)) - quota(*w)).abs());
    off.fold(0.0, f64::max)
}

#[test]
fn a_new_group_is_dealt_by_largest_remainder() {
    let rack = Rack::new(&[(1, 3), (2, 1), (3, 2)]);
    let due = apportion(BUCKETS, &[3, 1, 2], &[0; 3]);
    let owners = rack.owners();
    assert_eq!([1, 2, 3].map(|id| count(&owners, id)).as_slice(), due);
}

#[test]
fn neighbours_of_a_server_s_buckets_are_all_the_others() {
    let rack = Rack::new(&[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let owners = rack.owners();
    let after_one =
        |b: &usize| owners[*b] == Some(1) && owners[(*b + 1) % BUCKETS as usize] != Some(1);
    let next: Owners = (0..BUCKETS as usize)
        .filter(after_one)
        .map(|b| owners[(b + 1) % BUCKETS as usize])
        .collect();
    for other in 2..=4 {
        let share = count(&next, other) as usize * 100 / next.len();
        assert!(
            (15..=55).contains(&share),
            "server {other} follows in {share} %"
        );
    }
}

#[test]
fn deleting_one_of_several_spreads_its_buckets_by_weight() {
    let mut rack = Rack::new(&[(1, 1), (2, 2), (3, 1), (4, 4)]);
    let before = rack.owners();
    let after = rack.delete(4);
    assert_eq!(moved(&before, &after), 128);
    assert_eq!([1, 2, 3].map(|id| count(&after, id)), [64, 128, 64]);
}

#[test]
fn adding_one_takes_from_each_by_weight() {
    let mut rack = Rack::new(&[(1, 1), (2, 2), (3, 1)]);
    let before = rack.owners();
    let after = rack.add(4, 4);
    assert_eq!(moved(&before, &after), 128);
    assert_eq!([1, 2, 3, 4].map(|id| count(&after, id)), [32, 64, 32, 128]);
}

#[test]
fn who_was_deleted_and_added_again_gets_exactly_its_buckets_back() {
    for seed in 0..2000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let weights: Vec<_> = (0..rng.u16(2..12)).map(|id| (id, rng.u32(1..20))).collect();
        let mut rack = Rack::new(&weights);
        let start = rack.owners();
        let mut gone: Vec<_> = weights.clone();
        rng.shuffle(&mut gone);
        gone.truncate(rng.usize(1..weights.len()).min(3));
        gone.iter().for_each(|(id, _)| drop(rack.delete(*id)));
        rng.shuffle(&mut gone);
        gone.iter()
            .for_each(|(id, weight)| drop(rack.add(*id, *weight)));
        let back = moved(&start, &rack.owners());
        if gone.len() == 1 {
            assert_eq!(back, 0, "seed {seed}");
        } else {
            // What one of several away stood in for meanwhile goes back as far as shares and fewest moves allow.
            assert!(
                back <= if gone.len() == 2 { 12 } else { 64 },
                "seed {seed}: {back}"
            );
        }
    }
}

#[test]
fn whoever_dies_gets_exactly_its_buckets_back_whatever_died_meanwhile() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let weights: Vec<_> = (0..rng.u16(2..12)).map(|id| (id, rng.u32(1..20))).collect();
        let mut rack = Rack::new(&weights);
        let start = rack.owners();
        for _ in 0..40 {
            let id = rng.u16(..weights.len() as u16);
            let up = !rack.servers[&id].up;
            rack.set_up(id, up);
        }
        let dead: Vec<u16> = rack
            .servers
            .iter()
            .filter(|(_, s)| !s.up)
            .map(|(id, _)| *id)
            .collect();
        dead.into_iter().for_each(|id| drop(rack.set_up(id, true)));
        assert_eq!(rack.owners(), start, "seed {seed}");
    }
}

#[test]
fn all_dead_keep_what_they_own_and_all_at_weight_zero_own_nothing() {
    let mut rack = Rack::new(&[(1, 1), (2, 1)]);
    let before = rack.owners();
    rack.set_up(1, false);
    let last = rack.owners();
    assert_eq!(rack.set_up(2, false), last, "nothing moves to the dead");
    rack.set_up(1, true);
    assert_eq!(rack.set_up(2, true), before);
    rack.reweigh(1, 0);
    assert_eq!(count(&rack.owners(), 2), BUCKETS);
    assert_eq!(rack.reweigh(2, 0), vec![None; BUCKETS as usize]);
    rack.reweigh(2, 1);
    assert_eq!(rack.reweigh(1, 1), before);
}

#[test]
fn a_layout_forgets_names_that_no_bucket_remembers() {
    let mut rack = Rack::new(&[(0, 1), (1, 1)]);
    for id in 2..6000 {
        rack.add(id, 1);
        rack.delete(id - 1);
    }
    assert!(
        rack.layout.names() <= 4 * BUCKETS as usize,
        "{} names",
        rack.layout.names()
    );
}

/// One random operation, and whether exactly what must move moved.
fn operate(rack: &mut Rack, rng: &mut fastrand::Rng, at: &str) {
    let before = rack.owners();
    let had_eligible = !rack.eligible().is_empty();
    let id = rng.u16(0..14);
    let Some(server) = rack.servers.get(&id).cloned() else {
        if rack.servers.len() < 10 {
            let was_up = rack.is_all_up();
            let after = rack.add(id, rng.u32(1..9));
            if was_up && had_eligible {
                only_to(&before, &after, id);
            }
        }
        return;
    };
    match rng.u8(0..6) {
        0 if rack.servers.len() > 1 => {
            let after = rack.delete(id);
            if rack.is_all_up() && !rack.eligible().is_empty() && had_eligible {
                assert!(stay(&before, &after, id), "{at}: delete {id}");
            }
        }
        1 | 2 if server.up => {
            let after = rack.set_up(id, false);
            assert!(stay(&before, &after, id), "{at}: death of {id}");
        }
        1..=3 if !server.up => {
            let after = rack.set_up(id, true);
            if had_eligible {
                // It has what it holds at once; beyond that, shares say what moves.
                let own = rack.with_own(&before, id);
                let due = moved(&before, &own) + gained(&own, &after);
                assert_eq!(moved(&before, &after), due, "{at}: return of {id}");
            }
        }
        _ => {
            let after = rack.reweigh(id, rng.u32(0..9));
            if rack.is_all_up() && had_eligible && !rack.eligible().is_empty() {
                assert_eq!(moved(&before, &after), gained(&before, &after), "{at}");
            }
        }
    }
}

/// The buckets that servers own more than before: no fewer can have moved.
fn gained(before: &Owners, after: &Owners) -> usize {
    let gain = |id| count(after, id).saturating_sub(count(before, id)) as usize;
    let ids: BTreeSet<u16> = after.iter().flatten().copied().collect();
    ids.into_iter().map(gain).sum()
}

/// Whether nothing moved but what `id` had.
fn stay(before: &Owners, after: &Owners, id: u16) -> bool {
    let mut both = before.iter().zip(after);
    both.all(|(b, a)| b == a || *b == Some(id))
}

fn only_to(before: &Owners, after: &Owners, id: u16) {
    for (b, a) in before.iter().zip(after) {
        assert!(
            a == b || *a == Some(id) || b.is_none(),
            "{b:?} to {a:?}, {id} came"
        );
    }
}

#[test]
fn over_random_histories_nothing_moves_that_need_not_and_shares_stay_right() {
    for seed in 0..2000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rack = Rack::new(&[(0, 1), (1, 2), (2, 1)]);
        for step in 0..60 {
            let at = format!("seed {seed} step {step}");
            operate(&mut rack, &mut rng, &at);
            let owners = rack.owners();
            let eligible = rack.eligible();
            if eligible.is_empty() {
                continue;
            }
            for owner in &owners {
                let owner = owner.unwrap_or_else(|| panic!("{at}: no owner"));
                assert!(eligible.iter().any(|(id, _)| *id == owner), "{at}");
            }
            let all = eligible.iter().all(|(id, _)| count(&owners, *id) > 0);
            assert!(all, "{at}: one has no bucket");
            let off = furthest_off(&rack, &owners);
            assert!(off < 1.0, "{at}: {off} buckets off its share");
        }
    }
}

#[test]
fn a_new_weight_moves_what_is_due_and_no_more() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let weights: Vec<_> = (0..rng.u16(2..12)).map(|id| (id, rng.u32(1..20))).collect();
        let mut rack = Rack::new(&weights);
        for _ in 0..10 {
            let before = rack.owners();
            let after = rack.reweigh(rng.u16(..weights.len() as u16), rng.u32(1..20));
            let gained: u32 = weights
                .iter()
                .map(|(id, _)| count(&after, *id).saturating_sub(count(&before, *id)))
                .sum();
            assert_eq!(moved(&before, &after), gained as usize, "seed {seed}");
            assert!(furthest_off(&rack, &after) < 1.0, "seed {seed}");
        }
    }
}

#[test]
fn adds_and_deletes_move_exactly_the_buckets_concerned() {
    for seed in 0..2000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rack = Rack::new(&[(0, 1), (1, rng.u32(1..6))]);
        for _ in 0..40 {
            let (before, id) = (rack.owners(), rng.u16(0..12));
            if rack.servers.contains_key(&id) {
                if rack.servers.len() > 1 {
                    let after = rack.delete(id);
                    assert_eq!(
                        moved(&before, &after),
                        count(&before, id) as usize,
                        "seed {seed}"
                    );
                }
            } else {
                let after = rack.add(id, rng.u32(1..9));
                assert_eq!(
                    moved(&before, &after),
                    count(&after, id) as usize,
                    "seed {seed}"
                );
            }
            let off = furthest_off(&rack, &rack.owners());
            assert!(off < 1.0, "seed {seed}: {off}");
        }
    }
}

#[test]
fn whatever_happened_before_who_leaves_and_returns_at_once_has_what_it_had() {
    for seed in 0..1000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rack = Rack::new(&[(0, 1), (1, rng.u32(1..6))]);
        for _ in 0..40 {
            let id = rng.u16(0..8);
            let before = rack.owners();
            match rack.servers.get(&id).cloned() {
                Some(server) if rack.servers.len() > 1 => {
                    rack.delete(id);
                    if rng.bool() {
                        let after = rack.add(id, server.weight);
                        assert_eq!(moved(&before, &after), 0, "seed {seed}");
                    }
                }
                Some(_) => {}
                None => drop(rack.add(id, rng.u32(1..9))),
            }
        }
    }
}

/// Random weights, many of them alike, some beyond all measure.
fn any_weight(rng: &mut fastrand::Rng) -> u32 {
    match rng.u8(0..8) {
        0 => rng.u32(1..1 << 24),
        1 => 1 << rng.u32(0..24),
        2 => rng.u32(1..2000),
        _ => rng.u32(1..5),
    }
}

#[test]
fn whatever_changes_together_as_few_buckets_move_as_shares_allow() {
    for seed in 0..1500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let most = rng.u16(3..60);
        let mut rack = Rack::new(&[(0, 1), (1, any_weight(&mut rng))]);
        for step in 0..16 {
            let before = rack.owners();
            for _ in 0..rng.u8(1..6) {
                let id = rng.u16(..most);
                let known = rack.servers.get(&id).map(|s| s.name);
                match known {
                    Some(name) if rng.bool() && rack.servers.len() > 1 => {
                        rack.servers.remove(&id);
                        rack.layout.leave(name);
                    }
                    _ => rack.join(id, any_weight(&mut rng)),
                }
            }
            let after = rack.settle(&|_| false);
            let at = format!("seed {seed} step {step}");
            assert_eq!(moved(&before, &after), gained(&before, &after), "{at}");
            let (ids, weights): (Vec<u16>, Vec<u32>) = rack.eligible().into_iter().unzip();
            let has: Vec<u32> = ids.iter().map(|id| count(&after, *id)).collect();
            assert_eq!(has, apportion(BUCKETS, &weights, &has), "{at}");
            assert_eq!(rack.settle(&|_| true), after, "{at}: nothing changed");
        }
    }
}

/// Deletes a server of a rack in which all are up, and looks at who got what it had.
fn delete_spreads_by_weight(rack: &mut Rack, id: u16, at: &str) {
    let before = rack.owners();
    let after = rack.delete(id);
    for (b, a) in before.iter().zip(&after) {
        assert_eq!(a == b, *b != Some(id), "{at}: {b:?} to {a:?}, {id} left");
    }
    // Each bucket went to who was furthest below its share then: nobody got one above who lacks two more.
    let total: u32 = rack.eligible().iter().map(|(_, w)| w).sum();
    let short = |id: u16, weight: u32| {
        let due = f64::from(weight) * f64::from(BUCKETS) / f64::from(total);
        due - f64::from(count(&after, id))
    };
    let shorts: Vec<(u32, f64)> = rack
        .eligible()
        .into_iter()
        .map(|(id, w)| (count(&after, id) - count(&before, id), short(id, w)))
        .collect();
    let most = shorts.iter().map(|(_, s)| *s).fold(f64::MIN, f64::max);
    let gainers = shorts.iter().filter(|(gain, _)| *gain > 0);
    for (gain, left) in gainers {
        assert!(
            most - left < 2.0,
            "{at}: {gain} to one {left} short of its share, one is {most}"
        );
    }
}

#[test]
fn over_thousands_of_histories_counts_are_exact() {
    for seed in 0..1500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rack = Rack::new(&[(0, 1), (1, rng.u32(1..6)), (2, 1)]);
        let mut next = 3;
        for step in 0..12 {
            let at = format!("seed {seed} step {step}");
            let ids: Vec<u16> = rack.servers.keys().copied().collect();
            if ids.len() > 2 && rng.bool() {
                let id = ids[rng.usize(..ids.len())];
                delete_spreads_by_weight(&mut rack, id, &at);
            } else {
                // One that never was there: nothing of its own to have back.
                let before = rack.owners();
                let after = rack.add(next, rng.u32(1..9));
                only_to(&before, &after, next);
                next += 1;
            }
            let owners = rack.owners();
            let off = furthest_off(&rack, &owners);
            assert!(off < 1.0, "{at}: {off} buckets off its share");
            assert!(
                rack.eligible()
                    .iter()
                    .all(|(id, _)| count(&owners, *id) > 0)
            );
        }
    }
}

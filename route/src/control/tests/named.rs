//! Groups that have a number.

use super::*;
use crate::error::{GroupError, RouteError};
use crate::ids::{FibId, GroupNo};
use crate::info::ChangeKind;
use crate::nhgrp::{Failback, OptionsAsked, Sticky, StickyAsked, StickyOf};
use crate::nhop::PinState;

const SEVEN: GroupNo = GroupNo(7);

fn of(number: GroupNo) -> OptionsAsked {
    OptionsAsked {
        group: Some(number),
        ..OptionsAsked::default()
    }
}

fn buckets(buckets: u32) -> OptionsAsked {
    OptionsAsked {
        buckets: Some(buckets),
        ..OptionsAsked::default()
    }
}

impl Lab {
    fn group_add(&mut self, number: GroupNo, paths: &[Path]) {
        let asked = OptionsAsked::default();
        let added = self.control.group_add(number, paths, asked, self.now);
        assert_eq!(added.unwrap().kind, ChangeKind::Added);
    }

    fn group_change(&mut self, number: GroupNo, paths: &[Path]) -> crate::GroupChange {
        let asked = OptionsAsked::default();
        let changed = self
            .control
            .group_change(number, paths, asked, None, self.now);
        changed.unwrap()
    }

    fn join(&mut self, prefix: &str, number: GroupNo) -> Result<Change, RouteError> {
        self.control
            .add_with(net(prefix), &[], of(number), self.now)
    }

    fn id(&self, prefix: &str) -> crate::GroupId {
        self.control.get(net(prefix)).unwrap().group
    }

    fn without(&mut self, number: GroupNo, host: u8) -> Result<crate::GroupChange, RouteError> {
        let which = crate::NhopKeyMatch {
            gateway: key(host).gateway,
            port: None,
        };
        self.control.group_delete(number, Some(&which), self.now)
    }

    fn users(&self, number: GroupNo) -> u32 {
        let id = self.control.group_numbered(number).unwrap();
        self.control.group_info(id).unwrap().routes
    }
}

/// Group 7 of three members, used by two routes; and a route of its own with the same members.
fn two() -> Lab {
    let mut lab = Lab::new();
    lab.group_add(SEVEN, &[via(1), via(2), via(3)]);
    lab.join("10.0.0.0/8", SEVEN).unwrap();
    lab.join("20.0.0.0/8", SEVEN).unwrap();
    lab.add("30.0.0.0/8", &[via(1), via(2), via(3)]);
    lab
}

fn refused<T: std::fmt::Debug>(result: Result<T, RouteError>) -> GroupError {
    match result {
        Err(RouteError::Group(_, error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn routes_that_name_a_group_share_it_and_others_with_the_same_members_do_not() {
    let lab = two();
    assert_eq!(lab.id("10.0.0.0/8"), lab.id("20.0.0.0/8"));
    assert_ne!(lab.id("10.0.0.0/8"), lab.id("30.0.0.0/8"));
    assert_eq!(lab.users(SEVEN), 2);
    assert_eq!(count(&lab.owners("10.0.0.1"), 1), 22);
}

#[test]
fn one_change_of_a_group_is_a_change_of_all_its_routes_and_moves_exactly_the_leaver_s_buckets() {
    let mut lab = two();
    let (before, other) = (lab.owners("10.0.0.1"), lab.owners("30.0.0.1"));
    let (leaver, stayer) = (lab.pin(2), lab.pin(1));
    let stamps = ["10.0.0.1", "20.0.0.1"].map(|to| lab.stamp(to));
    let untouched = lab.stamp("30.0.0.1");
    let change = lab.group_change(SEVEN, &[via(1), via(3), via(4)]);
    assert_eq!(change.paths.len(), 3);
    let after = lab.owners("10.0.0.1");
    assert_eq!(after, lab.owners("20.0.0.1"));
    assert_eq!(count(&after, 2), 0);
    let others_moved = |host| {
        let pairs = before.iter().zip(&after);
        pairs
            .filter(|(b, a)| **b == Some(host) && **a != Some(host))
            .count()
    };
    assert_eq!(moved(&before, &after), count(&before, 2));
    assert_eq!((others_moved(1), others_moved(3)), (0, 0));
    assert_eq!(lab.owners("30.0.0.1"), other, "another group keeps it");
    for (to, stamp) in ["10.0.0.1", "20.0.0.1"].into_iter().zip(stamps) {
        assert_ne!(lab.stamp(to), stamp, "its flows look");
        let group = lab.group(to).unwrap();
        assert!(!group.has_member(leaver) && group.has_member(stayer));
    }
    assert_eq!(lab.stamp("30.0.0.1"), untouched, "of few routes, theirs");
    assert_eq!(lab.view.judge(leaver), PinState::Live);
}

#[test]
fn a_group_of_many_routes_is_changed_without_a_look_at_them() {
    let mut lab = two();
    for n in 0..200_u32 {
        lab.join(&format!("40.0.{n}.0/24"), SEVEN).unwrap();
    }
    let (stamp, outside) = (lab.stamp("40.0.199.1"), lab.stamp("30.0.0.1"));
    lab.without(SEVEN, 2).unwrap();
    assert_ne!(lab.stamp("40.0.199.1"), stamp);
    assert_ne!(lab.stamp("30.0.0.1"), outside, "the global counter");
    assert_eq!(count(&lab.owners("40.0.7.1"), 2), 0);
    assert_eq!(lab.users(SEVEN), 202);
}

#[test]
fn a_route_that_differs_from_a_group_that_others_use_gets_a_copy_of_its_layout() {
    let mut lab = two();
    let before = lab.owners("20.0.0.1");
    let change = lab.change("10.0.0.0/8", &[weighted(2, 0)]);
    assert!(change.warning.unwrap().contains("1 others have group 7"));
    assert_eq!(lab.owners("20.0.0.1"), before);
    assert_eq!(
        moved(&before, &lab.owners("10.0.0.1")),
        count(&before, 2),
        "the copy has the layout"
    );
    let own = lab.control.get(net("10.0.0.0/8")).unwrap();
    assert_eq!(own.options.group, None);
    assert_eq!(lab.users(SEVEN), 1);
    // The only user alters it.
    lab.change("20.0.0.0/8", &[weighted(3, 0)]);
    let altered = lab.control.get(net("20.0.0.0/8")).unwrap();
    assert_eq!(altered.options.group, Some(SEVEN));
    assert_eq!(count(&lab.owners("20.0.0.1"), 3), 0);
    lab.join("50.0.0.0/8", SEVEN).unwrap();
    assert_eq!(lab.owners("50.0.0.1"), lab.owners("20.0.0.1"));
}

#[test]
fn a_route_moves_to_a_group_and_keeps_pins_of_members_that_both_have() {
    let mut lab = two();
    lab.add("60.0.0.0/8", &[via(1), via(9)]);
    let (kept, lost, stamp) = (lab.pin(1), lab.pin(9), lab.stamp("60.0.0.1"));
    let change = lab
        .control
        .change_with(net("60.0.0.0/8"), &[], of(SEVEN), None, lab.now)
        .unwrap();
    assert_eq!(change.removed_nhops.len(), 1);
    assert_ne!(lab.stamp("60.0.0.1"), stamp);
    assert!(lab.group("60.0.0.1").unwrap().has_member(kept));
    assert_eq!(lab.view.judge(lost), PinState::Gone);
    assert_eq!(lab.users(SEVEN), 3);
}

#[test]
fn a_route_s_group_gets_a_number_with_its_layout() {
    let mut lab = two();
    let before = lab.owners("30.0.0.1");
    let (nine, paths) = (GroupNo(9), [via(1), via(2), via(3)]);
    lab.control
        .change_with(net("30.0.0.0/8"), &paths, of(nine), None, lab.now)
        .unwrap();
    assert_eq!(lab.owners("30.0.0.1"), before);
    lab.join("70.0.0.0/8", nine).unwrap();
    assert_eq!(lab.owners("70.0.0.1"), before);
}

#[test]
fn a_group_lives_without_routes_and_ends_only_when_deleted() {
    let mut lab = two();
    assert_eq!(
        refused(lab.control.group_delete(SEVEN, None, lab.now)),
        GroupError::InUse(2)
    );
    // Without a gateway the route goes as a whole.
    for prefix in ["10.0.0.0/8", "20.0.0.0/8", "30.0.0.0/8"] {
        let whole = lab.control.delete(net(prefix), None, lab.now);
        assert_eq!(whole.is_ok(), prefix != "30.0.0.0/8");
    }
    assert_eq!(lab.users(SEVEN), 0);
    lab.join("10.0.0.0/8", SEVEN).unwrap();
    assert_eq!(count(&lab.owners("10.0.0.1"), 1), 22);
    lab.control
        .delete(net("10.0.0.0/8"), None, lab.now)
        .unwrap();
    let deleted = lab.control.group_delete(SEVEN, None, lab.now).unwrap();
    assert_eq!(deleted.removed_nhops, [], "a route has its next hops too");
    assert_eq!(refused(lab.join("10.0.0.0/8", SEVEN)), GroupError::None);
    assert_eq!(
        refused(lab.control.group_delete(SEVEN, None, lab.now)),
        GroupError::None
    );
}

#[test]
fn members_come_and_go_one_by_one_and_the_last_one_stays() {
    let mut lab = two();
    let before = lab.owners("10.0.0.1");
    lab.group_add(SEVEN, &[via(4)]);
    let more = lab.owners("20.0.0.1");
    assert_eq!(moved(&before, &more), BUCKETS as usize / 4);
    lab.without(SEVEN, 4).unwrap();
    assert_eq!(lab.owners("10.0.0.1"), before, "each gets its own back");
    assert!(matches!(
        refused(lab.without(SEVEN, 4)),
        GroupError::NoSuchMember(_)
    ));
    lab.without(SEVEN, 1).unwrap();
    lab.without(SEVEN, 2).unwrap();
    assert_eq!(refused(lab.without(SEVEN, 3)), GroupError::Last);
    assert_eq!(count(&lab.owners("10.0.0.1"), 3), BUCKETS as usize);
}

#[test]
fn what_a_route_says_of_a_group_must_be_what_it_is() {
    let mut lab = two();
    let asked = of(SEVEN);
    let mut add = |paths: &[Path], asked| {
        lab.control
            .add_with(net("80.0.0.0/8"), paths, asked, lab.now)
    };
    let differs = |what| GroupError::Differs(what);
    assert_eq!(refused(add(&[via(1), via(2)], asked)), differs("members"));
    let other = OptionsAsked {
        failback: Some(Failback::Return),
        ..asked
    };
    assert_eq!(refused(add(&[], other)), differs("options"));
    assert_eq!(
        refused(add(&[alone(NhopKind::Blackhole)], of(GroupNo(8)))),
        GroupError::Gateways
    );
    add(&[via(3), via(2), via(1)], asked).unwrap();
    let six = lab.join("2001:db8::/32", SEVEN);
    assert!(matches!(refused(six), GroupError::Four(_)));
    assert!(matches!(
        lab.join("10.0.0.0/8", SEVEN),
        Err(RouteError::Options { .. })
    ));
    let asked = OptionsAsked::default();
    let again = lab.control.group_add(SEVEN, &[via(1)], asked, lab.now);
    assert_eq!(refused(again), GroupError::Has(key(1)));
    let twice = lab
        .control
        .group_change(SEVEN, &[via(1), via(1)], asked, None, lab.now);
    assert_eq!(refused(twice), GroupError::Twice(key(1)));
}

#[test]
fn ipv6_routes_keep_ipv4_members_out() {
    let mut lab = Lab::new();
    let mut six = via(1);
    six.key.gateway = "fd00::1".parse().ok();
    lab.group_add(SEVEN, &[six]);
    lab.join("2001:db8::/32", SEVEN).unwrap();
    lab.join("10.0.0.0/8", SEVEN).unwrap();
    let change = |lab: &mut Lab| {
        let asked = OptionsAsked::default();
        lab.control
            .group_change(SEVEN, &[six, via(2)], asked, None, lab.now)
    };
    assert!(matches!(refused(change(&mut lab)), GroupError::Six(1, _)));
    lab.control
        .delete(net("2001:db8::/32"), None, lab.now)
        .unwrap();
    change(&mut lab).unwrap();
}

#[test]
fn buckets_are_fixed_when_a_group_is_made() {
    let mut lab = two();
    let now = lab.now;
    let (net4, paths) = (net("90.0.0.0/8"), [via(1), via(2)]);
    for wrong in [0, 3, 1 << 17] {
        let refused = lab.control.add_with(net4, &paths, buckets(wrong), now);
        assert_eq!(refused, Err(RouteError::BadBuckets(wrong)));
    }
    lab.control
        .add_with(net4, &paths[..1], buckets(256), now)
        .unwrap();
    assert_eq!(lab.owners("90.0.0.1").len(), 1, "one for a single member");
    lab.add("90.0.0.0/8", &paths[1..]);
    assert_eq!(lab.owners("90.0.0.1").len(), 256);
    let change = |lab: &mut Lab, asked| lab.control.change_with(net4, &paths, asked, None, now);
    assert!(change(&mut lab, buckets(256)).is_ok());
    let line = change(&mut lab, buckets(64)).unwrap_err().to_string();
    assert_eq!(
        line,
        "90.0.0.0/8 has 256 buckets, fixed when it was made: delete it and add it again to have 64"
    );
    // The default number, said: it is what there is.
    let same = lab
        .control
        .change_with(net("30.0.0.0/8"), &[via(1)], buckets(BUCKETS), None, now);
    assert!(same.is_ok());
    let ten = OptionsAsked {
        buckets: Some(8),
        ..of(GroupNo(10))
    };
    let many: Vec<Path> = (1..=9).map(via).collect();
    assert!(matches!(
        lab.control.group_add(GroupNo(10), &many, ten, now),
        Err(RouteError::Group(_, GroupError::TooMany(9, 8)))
    ));
    lab.control
        .group_add(GroupNo(10), &many[..8], ten, now)
        .unwrap();
    let more = lab
        .control
        .group_change(GroupNo(10), &many, buckets(16), None, now);
    assert!(matches!(more, Err(RouteError::FixedBuckets { has: 8, .. })));
    // Routes with another number of buckets do not share a group.
    lab.add("91.0.0.0/8", &paths);
    assert_ne!(lab.id("91.0.0.0/8"), lab.id("90.0.0.0/8"));
}

#[test]
fn a_drained_member_leaves_all_routes_at_its_deadline_and_the_last_one_stays() {
    let mut lab = two();
    let asked = OptionsAsked::default();
    let at = lab.now.after(60);
    let drain = |lab: &mut Lab, hosts: &[Path]| {
        lab.control
            .group_change(SEVEN, hosts, asked, Some(at), lab.now)
            .unwrap()
    };
    drain(&mut lab, &[weighted(2, 0)]);
    let pin = lab.pin(2);
    assert_eq!(lab.control.draining_members().len(), 1);
    assert_eq!(lab.control.draining_paths(), []);
    assert_eq!(lab.control.expire_groups(lab.now.after(59)), []);
    assert!(lab.group("20.0.0.1").unwrap().has_member(pin));
    let changes = lab.control.expire_groups(at);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].kind, ChangeKind::Deleted);
    assert!(!lab.group("20.0.0.1").unwrap().has_member(pin));
    assert!(lab.group("30.0.0.1").unwrap().has_member(pin));
    let at = at.after(60);
    let all = [weighted(1, 0), weighted(3, 0)];
    lab.control
        .group_change(SEVEN, &all, asked, Some(at), lab.now)
        .unwrap();
    let changes = lab.control.expire_groups(at);
    assert!(changes[0].warning.as_ref().unwrap().contains("stay"));
    assert_eq!(lab.control.get(net("10.0.0.0/8")).unwrap().paths.len(), 2);
}

#[test]
fn clients_of_a_sticky_group_have_templates_of_the_group() {
    let mut lab = Lab::new();
    let asked = OptionsAsked {
        sticky: Some(StickyAsked {
            len: Some(24),
            timeout: None,
        }),
        ..OptionsAsked::default()
    };
    lab.control
        .group_add(SEVEN, &[via(1), via(2)], asked, lab.now)
        .unwrap();
    lab.join("10.0.0.0/8", SEVEN).unwrap();
    lab.join("20.0.0.0/8", SEVEN).unwrap();
    let sticky = |lab: &Lab, to| lab.group(to).unwrap().sticky().unwrap();
    assert_eq!(sticky(&lab, "10.0.0.1"), sticky(&lab, "20.0.0.1"));
    let is = Sticky {
        len: 24,
        timeout: 1800,
    };
    assert_eq!(sticky(&lab, "10.0.0.1").1, is);
    let all: Vec<_> = lab.control.affinities().collect();
    let id = sticky(&lab, "10.0.0.1").0;
    assert_eq!(all, [(id, StickyOf::Group(SEVEN))]);
    lab.change("10.0.0.0/8", &[weighted(1, 5)]);
    let own = StickyOf::Route(net("10.0.0.0/8"));
    assert!(lab.control.affinities().any(|(_, of)| of == own));
}

#[test]
fn a_group_gets_its_layout_back_by_its_number_after_a_restart() {
    let mut lab = two();
    lab.group_add(SEVEN, &[via(4)]);
    lab.without(SEVEN, 2).unwrap();
    let before = lab.owners("10.0.0.1");
    let stateless = lab.stateless("10.0.0.1", 300);
    let mut new = Lab::new();
    new.now = Secs(3);
    assert!(new.control.restore(lab.control.save(), 10, new.now) >= 1);
    // An unnamed route with the same members gets its own group, not this one.
    new.add("99.0.0.0/8", &[via(1), via(3), via(4)]);
    let asked = OptionsAsked::default();
    new.control
        .group_add(SEVEN, &[via(1), via(3), via(4)], asked, new.now)
        .unwrap();
    new.join("20.0.0.0/8", SEVEN).unwrap();
    assert_eq!(new.owners("20.0.0.1"), before);
    assert_eq!(new.stateless("20.0.0.1", 300), stateless);
    assert_ne!(new.id("20.0.0.0/8"), new.id("99.0.0.0/8"));
    let fresh = Lab::new();
    assert_eq!(fresh.control.group_numbered(SEVEN), None);
}

/// Random histories: every route of a group has its layout, counts agree, a change moves what it must and no more.
#[test]
fn random_changes_of_numbered_groups_move_exactly_what_they_must() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::new();
        let numbers = [GroupNo(1), GroupNo(2)];
        for number in numbers {
            lab.group_add(number, &[via(1), via(2), via(3)]);
        }
        let mut routes: Vec<(String, GroupNo)> = Vec::new();
        for step in 0..40_u32 {
            let number = numbers[rng.usize(..2)];
            match rng.u32(..4) {
                0 => {
                    let prefix = format!("10.{}.0.0/16", step);
                    lab.join(&prefix, number).unwrap();
                    routes.push((prefix, number));
                }
                1 if !routes.is_empty() => {
                    let (prefix, _) = routes.swap_remove(rng.usize(..routes.len()));
                    lab.control.delete(net(&prefix), None, lab.now).unwrap();
                }
                2 if !routes.is_empty() => {
                    let at = rng.usize(..routes.len());
                    routes[at].1 = number;
                    let prefix = net(&routes[at].0);
                    lab.control
                        .change_with(prefix, &[], of(number), None, lab.now)
                        .unwrap();
                }
                _ => change_members(&mut lab, &mut rng, number, seed),
            }
            for number in numbers {
                let uses = routes.iter().filter(|(_, of)| *of == number).count();
                assert_eq!(lab.users(number), uses as u32, "seed {seed}");
            }
            for (prefix, number) in &routes {
                assert_eq!(Some(lab.id(prefix)), lab.control.group_numbered(*number));
            }
        }
        routes.iter().for_each(|(prefix, _)| {
            lab.control.delete(net(prefix), None, lab.now).unwrap();
        });
        for number in numbers {
            lab.control.group_delete(number, None, lab.now).unwrap();
        }
        assert_eq!(
            (lab.control.nhops().count(), lab.control.groups().count()),
            (0, 0)
        );
    }
}

fn change_members(lab: &mut Lab, rng: &mut fastrand::Rng, number: GroupNo, seed: u64) {
    let id = lab.control.group_numbered(number).unwrap();
    let owners = |lab: &Lab| -> Vec<Option<u8>> {
        let group = lab.view.group(id);
        let owner = |b| group.owner(b).map(|pin| lab.host(pin));
        (0..group.buckets()).map(owner).collect()
    };
    let before = owners(lab);
    let member = |lab: &Lab, host| {
        let paths = lab.control.group_paths(id);
        paths.iter().any(|path| path.key == key(host))
    };
    let was: Vec<u8> = (1..=6).filter(|host| member(lab, *host)).collect();
    let mut hosts: Vec<u8> = (1..=6).filter(|_| rng.bool()).collect();
    if hosts.is_empty() {
        hosts.push(1);
    }
    let paths: Vec<Path> = hosts.iter().copied().map(via).collect();
    lab.group_change(number, &paths);
    let after = owners(lab);
    if before.len() != after.len() || hosts.iter().all(|host| was.contains(host)) {
        // A list of members only is about weights: nobody leaves.
        return;
    }
    let stay = |host: &Option<u8>| host.is_some_and(|host| hosts.contains(&host));
    let joins = |host: &Option<u8>| host.is_some_and(|host| !was.contains(&host));
    for (b, a) in before.iter().zip(&after) {
        assert!(
            !stay(b) || a == b || joins(a),
            "seed {seed}: {b:?} to {a:?}"
        );
    }
    for host in &hosts {
        let (has, due) = (count(&after, *host), after.len() / hosts.len());
        assert!(has.abs_diff(due) < 8, "seed {seed}: {has} of {due}");
    }
}

#[test]
fn several_fibs_share_a_group() {
    let mut lab = Lab::with(crate::config::Config {
        fibs: 2,
        default_buckets: BUCKETS,
        ..crate::config::Config::default()
    });
    lab.group_add(SEVEN, &[via(1), via(2)]);
    lab.join("10.0.0.0/8", SEVEN).unwrap();
    let other = net("10.0.0.0/8").in_fib(FibId(1));
    lab.control
        .add_with(other, &[], of(SEVEN), lab.now)
        .unwrap();
    assert_eq!(lab.users(SEVEN), 2);
    assert_eq!(lab.control.get(other).unwrap().group, lab.id("10.0.0.0/8"));
}

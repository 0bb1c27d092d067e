use super::*;
use crate::info::ChangeKind;
use crate::nhop::{Admin, Health, PinState};

const ALL: usize = BUCKETS as usize;

fn three() -> Lab {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2), via(3)]);
    lab
}

#[test]
fn a_death_moves_only_the_dead_one_s_buckets_and_a_return_gives_them_back() {
    let mut lab = three();
    let (before, stamp, pin) = (lab.owners("10.0.0.1"), lab.stamp("10.0.0.1"), lab.pin(2));
    assert!(lab.control.set_health(pin.idx(), Health::Dead, lab.now));
    assert!(
        !lab.control.set_health(pin.idx(), Health::Dead, lab.now),
        "nothing new"
    );
    assert_eq!(lab.view.judge(pin), PinState::Dead);
    let during = lab.owners("10.0.0.1");
    assert_eq!(moved(&before, &during), count(&before, 2));
    assert_eq!(
        lab.stateless("10.0.0.1", 300),
        during,
        "the dead is not remembered"
    );
    lab.control
        .set_health(pin.idx(), Health::Returning, lab.now);
    assert_eq!(lab.owners("10.0.0.1"), before);
    assert_eq!(
        (lab.view.judge(pin), lab.pin(2)),
        (PinState::Live, pin),
        "the same generation"
    );
    assert_eq!(
        lab.stateless("10.0.0.1", 300),
        during,
        "whoever stood in keeps its flows"
    );
    assert!(lab.control.set_health(pin.idx(), Health::Up, lab.now));
    assert_eq!(lab.owners("10.0.0.1"), before);
    assert_eq!(lab.stamp("10.0.0.1"), stamp, "words tell, not stamps");
}

#[test]
fn after_an_outage_of_all_nobody_remembers_who_came_back_first() {
    let mut lab = three();
    let before = lab.owners("10.0.0.1");
    let all = [1, 2, 3].map(|n| lab.idx(n));
    for idx in all {
        lab.control.set_health(idx, Health::Dead, lab.now);
    }
    lab.now = Secs(lab.now.0 + 60);
    // Their answers come one after the other.
    for (idx, after) in all.into_iter().zip([0, 0, 3]) {
        lab.now = Secs(lab.now.0 + after);
        lab.control.set_health(idx, Health::Up, lab.now);
    }
    assert_eq!(lab.owners("10.0.0.1"), before);
    assert_eq!(lab.stateless("10.0.0.1", 300), before);
    // Later deaths and returns are remembered as ever.
    lab.now = Secs(lab.now.0 + 60);
    lab.control.set_health(all[1], Health::Dead, lab.now);
    let during = lab.owners("10.0.0.1");
    lab.control.set_health(all[1], Health::Up, lab.now);
    assert_eq!(lab.stateless("10.0.0.1", 300), during);
}

#[test]
fn who_drained_when_all_did_is_remembered_still() {
    let mut lab = three();
    let before = lab.owners("10.0.0.1");
    let all = [1, 2, 3].map(|n| lab.idx(n));
    for idx in all {
        lab.control.set_admin(idx, Admin::Draining, lab.now);
    }
    lab.control.set_admin(all[0], Admin::In, lab.now);
    assert_eq!(
        lab.stateless("10.0.0.1", 300),
        before,
        "its flows are where they were"
    );
}

#[test]
fn with_all_dead_no_bucket_answers_and_no_owner_changes() {
    let mut lab = three();
    let raw = |lab: &Lab| -> Vec<_> {
        let group = lab.group("10.0.0.1").unwrap();
        (0..BUCKETS).map(|b| group.raw_owner(b)).collect()
    };
    lab.control.set_health(lab.idx(1), Health::Dead, lab.now);
    lab.control.set_health(lab.idx(2), Health::Dead, lab.now);
    let last = raw(&lab);
    lab.control.set_health(lab.idx(3), Health::Dead, lab.now);
    assert_eq!(raw(&lab), last);
    assert_eq!(lab.owners("10.0.0.1"), vec![None; ALL]);
    assert_eq!(lab.stateless("10.0.0.1", 300), vec![None; ALL]);
    lab.control.set_health(lab.idx(2), Health::Up, lab.now);
    assert_eq!(lab.owners("10.0.0.1"), vec![Some(2); ALL]);
}

#[test]
fn a_bucket_has_a_sole_owner_while_it_remembers_nobody_else() {
    let mut lab = three();
    let sole = |lab: &Lab| -> Vec<_> {
        let group = lab.group("10.0.0.1").unwrap();
        (0..BUCKETS).map(|b| group.sole_owner(b)).collect()
    };
    let (before, drained) = (sole(&lab), lab.pin(2));
    assert!(before.iter().all(Option::is_some));
    lab.control.set_admin(lab.idx(2), Admin::Draining, lab.now);
    for (was, is) in before.into_iter().zip(sole(&lab)) {
        let kept = was.filter(|pin| *pin != drained);
        assert_eq!(is, kept, "who lost it is remembered");
    }
}

#[test]
fn a_bucket_whose_owner_died_this_instant_is_answered_by_the_next_live_owner() {
    let lab = three();
    let before = lab.owners("10.0.0.1");
    // The word alone, as a worker may see it between two stores of control.
    let pin = lab.pin(2);
    lab.view.nhops.kill_word(pin);
    let after = lab.owners("10.0.0.1");
    for bucket in 0..ALL {
        let live = (0..ALL)
            .map(|step| before[(bucket + step) % ALL])
            .find(|o| *o != Some(2));
        assert_eq!(after[bucket], live.unwrap());
    }
}

#[test]
fn a_drained_path_keeps_its_flows_and_gets_no_new_ones_until_its_deadline() {
    let mut lab = three();
    let (pin, before) = (lab.pin(2), lab.owners("10.0.0.1"));
    let deadline = Secs(lab.now.0 + 60);
    let drain = [weighted(2, 0)];
    let change = lab
        .control
        .change(net("10.0.0.0/8"), &drain, Some(deadline), lab.now)
        .unwrap();
    assert_eq!(
        (change.paths[0].deadline, change.paths[0].buckets),
        (Some(deadline), 0)
    );
    assert_eq!(lab.view.judge(pin), PinState::Live);
    assert!(lab.group("10.0.0.1").unwrap().has_member(pin));
    assert_eq!(count(&lab.owners("10.0.0.1"), 2), 0);
    assert_eq!(
        lab.stateless("10.0.0.1", 300),
        before,
        "flows without a pin stay with it too"
    );
    let stamp = lab.stamp("10.0.0.1");
    assert_eq!(lab.control.tick(Secs(deadline.0 - 1)), []);
    let changes = lab.control.tick(deadline);
    assert_eq!((changes.len(), changes[0].kind), (1, ChangeKind::Deleted));
    assert_eq!(changes[0].removed_nhops, [(pin.idx(), key(2), 2)]);
    assert_ne!(lab.stamp("10.0.0.1"), stamp);
    assert_eq!(lab.view.judge(pin), PinState::Drained);
    assert_eq!(
        count(&lab.stateless("10.0.0.1", 300), 2),
        0,
        "who left is erased"
    );
}

#[test]
fn who_left_at_its_deadline_is_told_from_who_was_taken_out() {
    let mut lab = three();
    lab.add("20.0.0.0/8", &[via(1), via(2)]);
    let (over, out) = (lab.pin(1), lab.pin(2));
    let at = lab.now.after(10);
    let drained = [weighted(1, 0)];
    lab.control
        .change(net("10.0.0.0/8"), &drained, Some(at), lab.now)
        .unwrap();
    let group = |lab: &Lab, pin| lab.group("10.0.0.1").unwrap().drained(pin);
    assert!(!group(&lab, over));
    assert_eq!(lab.control.tick(at).len(), 1);
    lab.change("10.0.0.0/8", &[via(3), via(4)]);
    assert_eq!((group(&lab, over), group(&lab, out)), (true, false));
    assert!(!lab.group("10.0.0.1").unwrap().has_member(over));
    assert_eq!(lab.view.judge(over), PinState::Live, "another route has it");
    lab.add("10.0.0.0/8", &[via(1)]);
    assert!(!group(&lab, over) && lab.group("10.0.0.1").unwrap().has_member(over));
    lab.change("10.0.0.0/8", &[via(3), via(5)]);
    assert!(!group(&lab, over), "this time it was taken out");
}

#[test]
fn a_drain_that_is_taken_back_restores_the_buckets_and_forgets_the_deadline() {
    let mut lab = three();
    let before = lab.owners("10.0.0.1");
    let deadline = Some(Secs(lab.now.0 + 60));
    lab.control
        .change(net("10.0.0.0/8"), &[weighted(2, 0)], deadline, lab.now)
        .unwrap();
    lab.change("10.0.0.0/8", &[weighted(2, 1)]);
    assert_eq!(lab.owners("10.0.0.1"), before);
    assert_eq!(lab.control.tick(Secs(lab.now.0 + 100)), []);
    assert_eq!(lab.path("10.0.0.0/8", 2).weight, 1);
}

#[test]
fn with_every_weight_zero_only_old_flows_are_answered() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    let before = lab.owners("10.0.0.1");
    let change = lab.change("10.0.0.0/8", &[weighted(1, 0), weighted(2, 0)]);
    assert!(change.warning.unwrap().contains("takes no new flows"));
    assert_eq!(lab.owners("10.0.0.1"), vec![None; ALL]);
    assert_eq!(lab.stateless("10.0.0.1", 300), before);
    let info = lab
        .control
        .group_info(lab.group("10.0.0.1").unwrap().id())
        .unwrap();
    assert_eq!(
        (info.ownerless, info.members[0].remembered),
        (BUCKETS, BUCKETS / 2)
    );
}

#[test]
fn the_last_path_to_drain_takes_the_route_along() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    let deadline = Secs(lab.now.0 + 5);
    let drained = [weighted(1, 0)];
    let change = |lab: &mut Lab, deadline| {
        let done = lab
            .control
            .change(net("10.0.0.0/8"), &drained, deadline, lab.now);
        done.unwrap().warning.unwrap()
    };
    assert!(!change(&mut lab, None).contains("deleted"));
    assert!(change(&mut lab, Some(deadline)).contains("the route is deleted"));
    let changes = lab.control.tick(deadline);
    assert_eq!(changes[0].kind, ChangeKind::Deleted);
    assert!(
        changes[0]
            .warning
            .as_ref()
            .unwrap()
            .contains("last path has drained")
    );
    assert!(lab.group("10.0.0.1").is_none());
}

#[test]
fn draining_a_next_hop_works_in_every_route_and_drained_ends_it() {
    let mut lab = three();
    lab.add("11.0.0.0/8", &[via(2), via(4)]);
    let (pin, before) = (lab.pin(2), lab.owners("11.0.0.1"));
    assert!(lab.control.set_admin(pin.idx(), Admin::Draining, lab.now));
    for dst in ["10.0.0.1", "11.0.0.1"] {
        assert_eq!(count(&lab.owners(dst), 2), 0);
        assert!(count(&lab.stateless(dst, 300), 2) > 0);
    }
    assert_eq!(lab.view.judge(pin), PinState::Live);
    lab.control.set_admin(pin.idx(), Admin::Drained, lab.now);
    assert_eq!(lab.view.judge(pin), PinState::Drained);
    assert_eq!(count(&lab.stateless("11.0.0.1", 300), 2), 0);
    lab.control.set_admin(pin.idx(), Admin::In, lab.now);
    assert_eq!(lab.view.judge(pin), PinState::Live);
    assert_eq!(lab.owners("11.0.0.1"), before);
}

#[test]
fn a_single_path_route_that_is_extended_moves_no_old_flow() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    let (pin, stamp) = (lab.pin(1), lab.stamp("10.0.0.1"));
    lab.now.0 += 50;
    lab.add("10.0.0.0/8", &[via(2)]);
    let owners = lab.owners("10.0.0.1");
    assert_eq!((count(&owners, 1), count(&owners, 2)), (ALL / 2, ALL / 2));
    assert_eq!(lab.stateless("10.0.0.1", 300), vec![Some(1); ALL]);
    assert!(lab.group("10.0.0.1").unwrap().has_member(pin));
    assert_eq!(lab.stamp("10.0.0.1"), stamp);
    lab.now.0 += 301;
    assert_eq!(
        lab.stateless("10.0.0.1", 300),
        owners,
        "after the idle timeout"
    );
}

#[test]
fn a_remembered_owner_that_is_used_is_remembered_for_up_to_four_idle_timeouts() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    let lost_at = lab.now;
    lab.add("10.0.0.0/8", &[via(2)]);
    let id = lab.group("10.0.0.1").unwrap().id();
    let bucket = lab
        .owners("10.0.0.1")
        .iter()
        .position(|o| *o == Some(2))
        .unwrap() as u32;
    let answer = |lab: &Lab| {
        let group = lab.view.group(id);
        group.stateless(bucket, lab.now, 300).unwrap()
    };
    while let Some(place) = answer(&lab).remembered {
        // A worker's note has the low 22 bits.
        lab.control.tick(lab.now);
        lab.control
            .remembered_used(id, bucket, place, Secs(lab.now.0 & 0x3f_ffff));
        lab.now.0 += 100;
        assert!(lab.now.0 < lost_at.0 + 2000, "remembered for ever");
    }
    let kept = lab.now.0 - lost_at.0;
    assert!(
        (1500..=1600).contains(&kept),
        "{kept} s: four restarts, and one idle timeout"
    );
    let other = (bucket + 1) % BUCKETS;
    let others = lab
        .view
        .group(id)
        .stateless(other, lost_at.after(301), 300)
        .unwrap();
    assert_eq!(
        others.remembered, None,
        "only the clock of this bucket was restarted"
    );
}

#[test]
fn a_note_about_a_place_that_changed_since_is_ignored() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    lab.add("10.0.0.0/8", &[via(2)]);
    let id = lab.group("10.0.0.1").unwrap().id();
    for (bucket, place) in [(BUCKETS, 0), (0, 1), (0, 3), (0, 9)] {
        lab.control
            .remembered_used(id, bucket, place, Secs(lab.now.0 + 50));
    }
    lab.control.remembered_used(id, 0, 0, Secs(lab.now.0 - 5));
    lab.control
        .remembered_used(crate::ids::GroupId(99), 0, 0, lab.now);
    lab.now.0 += 301;
    assert_eq!(lab.stateless("10.0.0.1", 300), lab.owners("10.0.0.1"));
}

#[test]
fn history_is_forgotten_in_time_and_not_before() {
    let cfg = Config {
        default_buckets: BUCKETS,
        remember: 1000,
        ..Config::default()
    };
    let mut lab = Lab::with(cfg);
    lab.add("10.0.0.0/8", &[via(1)]);
    lab.add("10.0.0.0/8", &[via(2)]);
    lab.now.0 += 600;
    lab.add("10.0.0.0/8", &[via(3)]);
    let id = lab.group("10.0.0.1").unwrap().id();
    let remembered = |lab: &Lab| -> Vec<u32> {
        lab.control
            .group_info(id)
            .unwrap()
            .members
            .iter()
            .map(|m| m.remembered)
            .collect()
    };
    let all = remembered(&lab);
    lab.now.0 += 399;
    lab.control.tick(lab.now);
    assert_eq!(remembered(&lab), all);
    lab.now.0 += 1;
    lab.control.tick(lab.now);
    let later = remembered(&lab);
    assert!(
        0 < later[0] && later[0] < all[0] && later[1] == all[1],
        "{all:?} then {later:?}"
    );
    lab.now.0 += 600;
    lab.control.tick(lab.now);
    assert_eq!(remembered(&lab), [0, 0, 0]);
}

#[test]
fn a_group_of_the_most_members_gives_each_a_bucket() {
    let mut lab = Lab::new();
    let all: Vec<Path> = (1..=BUCKETS as u8)
        .map(|host| weighted(host, u32::from(host)))
        .collect();
    lab.add("10.0.0.0/8", &all);
    let owners = lab.owners("10.0.0.1");
    assert!((1..=BUCKETS as u8).all(|host| count(&owners, host) == 1));
    let group = lab.group("10.0.0.1").unwrap();
    assert!((1..=BUCKETS as u8).all(|host| group.has_member(lab.pin(host))));
    assert!(!group.has_member(Pin::NONE));
}

#[test]
fn who_is_due_few_buckets_is_named_with_the_remedy() {
    let cfg = Config {
        default_buckets: 4096,
        ..Config::default()
    };
    let mut lab = Lab::with(cfg);
    let few: Vec<Path> = (1..=40).map(via).collect();
    assert_eq!(
        lab.add("10.0.0.0/8", &few).warning,
        None,
        "102 buckets each"
    );
    let warning = lab.add("10.0.0.0/8", &[via(41)]).warning.unwrap();
    assert!(warning.contains("99.9 of 4096 buckets"), "{warning}");
    let warning = lab.add("11.0.0.0/8", &[via(1), weighted(2, 1000)]).warning;
    let warning = warning.unwrap();
    assert!(warning.contains("gateway 192.0.2.1 is due"), "{warning}");
    assert!(warning.contains("due 4.1 of 4096"), "{warning}");
    assert!(warning.contains("raise buckets in [tables]"), "{warning}");
    assert_eq!(lab.change("11.0.0.0/8", &[weighted(1, 500)]).warning, None);
    assert_eq!(lab.add("12.0.0.0/8", &[via(1)]).warning, None, "it has all");
}

/// Gives every bucket to `host`; whoever had buckets before drains.
fn hand_on(lab: &mut Lab, host: u8) {
    let mut paths: Vec<Path> = (1..host).map(|host| weighted(host, 0)).collect();
    paths.push(via(host));
    lab.change("10.0.0.0/8", &paths);
}

#[test]
fn over_eight_changes_flows_stay_with_their_pins_and_without() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    lab.add("10.0.0.0/8", &[via(2)]);
    let mut pins: Vec<Pin> = vec![lab.pin(1), lab.pin(2)];
    let id = lab.group("10.0.0.1").unwrap().id();
    for host in 3..=9 {
        lab.now.0 += 30;
        hand_on(&mut lab, host);
        pins.push(lab.pin(host));
        assert_eq!(lab.owners("10.0.0.1"), vec![Some(host); ALL]);
        assert_eq!(lab.stateless("10.0.0.1", 300), vec![Some(1); ALL]);
        let group = lab.group("10.0.0.1").unwrap();
        assert!(pins.iter().all(|pin| group.has_member(*pin)), "pins hold");
        for bucket in 0..BUCKETS {
            let answer = lab.view.group(id).stateless(bucket, lab.now, 300);
            let place = answer.unwrap().remembered.unwrap();
            // Packets without a pin keep taking it, so later owners are forgotten first.
            lab.control.remembered_used(id, bucket, place, lab.now);
        }
    }
}

#[test]
fn without_packets_a_bucket_remembers_the_last_four_live_owners() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    lab.add("10.0.0.0/8", &[via(2)]);
    for host in 3..=9 {
        lab.now.0 += 10;
        hand_on(&mut lab, host);
    }
    let id = lab.group("10.0.0.1").unwrap().id();
    let remembered = |lab: &Lab| -> Vec<u32> {
        let info = lab.control.group_info(id).unwrap();
        info.members.iter().map(|m| m.remembered).collect()
    };
    let all = BUCKETS;
    assert_eq!(remembered(&lab), [0, 0, 0, 0, all, all, all, all, 0]);
    assert_eq!(lab.stateless("10.0.0.1", 300), vec![Some(5); ALL]);
    lab.control.set_health(lab.idx(5), Health::Dead, lab.now);
    assert_eq!(remembered(&lab), [0, 0, 0, 0, 0, all, all, all, 0]);
    assert_eq!(lab.stateless("10.0.0.1", 300), vec![Some(6); ALL]);
}

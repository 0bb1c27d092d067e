//! By what a group tells flows apart.

use super::{Lab, net, via, weighted};
use crate::error::RouteError;
use crate::nhgrp::Selection;
use crate::nhop::Health;

fn add(lab: &mut Lab, prefix: &str, selection: Selection) {
    let paths = [via(1), via(2), via(3)];
    lab.control
        .add_with(net(prefix), &paths, selection.into(), lab.now)
        .unwrap();
}

/// The next hop of each of a hundred pairs of addresses, as `(src xor dst) mod n` has it.
fn turns(lab: &Lab) -> Vec<Option<u8>> {
    let group = lab.group("10.0.0.1").unwrap();
    let owner = |xor| group.owner(group.turn(xor)).map(|pin| lab.host(pin));
    (0..100).map(owner).collect()
}

#[test]
fn routes_share_a_group_only_if_they_select_alike() {
    let mut lab = Lab::new();
    add(&mut lab, "10.0.0.0/8", Selection::Source);
    add(&mut lab, "20.0.0.0/8", Selection::Source);
    lab.add("30.0.0.0/8", &[via(1), via(2), via(3)]);
    let group = |prefix| lab.control.get(net(prefix)).unwrap();
    assert_eq!(group("10.0.0.0/8").group, group("20.0.0.0/8").group);
    assert_ne!(group("10.0.0.0/8").group, group("30.0.0.0/8").group);
    assert_eq!(group("30.0.0.0/8").options.selection, Selection::Tuple);
    assert_eq!(
        lab.group("10.0.0.1").unwrap().selection(),
        Selection::Source
    );
}

#[test]
fn another_selection_is_one_route_s_own_and_moves_no_bucket() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    lab.add("20.0.0.0/8", &[via(1), via(2)]);
    let before = lab.owners("10.0.0.1");
    let refused = lab.control.add_with(
        net("10.0.0.0/8"),
        &[via(3)],
        Selection::Source.into(),
        lab.now,
    );
    assert!(matches!(refused, Err(RouteError::Options { .. })));
    let same = [weighted(1, 1), weighted(2, 1)];
    lab.control
        .change_with(
            net("10.0.0.0/8"),
            &same,
            Selection::SourceDestination.into(),
            None,
            lab.now,
        )
        .unwrap();
    assert_eq!(lab.owners("10.0.0.1"), before);
    let selection = |dst| lab.group(dst).unwrap().selection();
    assert_eq!(selection("10.0.0.1"), Selection::SourceDestination);
    assert_eq!(selection("20.0.0.1"), Selection::Tuple);
    // Options alone: nobody is named, and nobody leaves.
    let options = Selection::Source.into();
    let changed = lab
        .control
        .change_with(net("10.0.0.0/8"), &[], options, None, lab.now)
        .unwrap();
    assert_eq!((changed.paths.len(), changed.removed_nhops.len()), (2, 0));
    let now_by = lab.group("10.0.0.1").unwrap().selection();
    assert_eq!(now_by, Selection::Source);
    assert_eq!(lab.owners("10.0.0.1"), before);
    let said_nothing =
        lab.control
            .change_with(net("10.0.0.0/8"), &[], Default::default(), None, lab.now);
    assert!(said_nothing.is_err());
    // What is refused leaves the selection as it was.
    let nothing = lab.control.change_with(
        net("10.0.0.0/8"),
        &[via(9), via(9)],
        Selection::Tuple.into(),
        None,
        lab.now,
    );
    assert!(nothing.is_err());
    let selection = lab
        .control
        .get(net("10.0.0.0/8"))
        .unwrap()
        .options
        .selection;
    assert_eq!(selection, Selection::Source);
}

#[test]
fn taking_turns_sends_nearly_all_elsewhere_when_one_more_or_less_takes_part() {
    let mut lab = Lab::new();
    add(&mut lab, "10.0.0.0/8", Selection::ModN);
    let three = turns(&lab);
    for (xor, owner) in three.iter().enumerate() {
        assert_eq!(*owner, Some(1 + xor as u8 % 3));
    }
    let idx = lab.idx(2);
    assert!(lab.control.set_health(idx, Health::Dead, lab.now));
    for (xor, owner) in turns(&lab).iter().enumerate() {
        assert_eq!(*owner, Some([1, 3][xor % 2]));
    }
    assert!(lab.control.set_health(idx, Health::Up, lab.now));
    assert_eq!(turns(&lab), three);
    // Weight 0 takes no turn, and listings count the turns.
    lab.change("10.0.0.0/8", &[weighted(3, 0)]);
    assert!(turns(&lab).iter().all(|owner| *owner != Some(3)));
    assert_eq!(lab.path("10.0.0.0/8", 3).buckets, 0);
    assert_eq!(lab.path("10.0.0.0/8", 1).buckets, super::BUCKETS / 2);
    lab.control
        .delete(net("10.0.0.0/8"), None, lab.now)
        .unwrap_err();
}

#[test]
fn nobody_takes_turns_where_all_are_dead() {
    let mut lab = Lab::new();
    add(&mut lab, "10.0.0.0/8", Selection::ModN);
    for host in 1..=3 {
        lab.control.set_health(lab.idx(host), Health::Dead, lab.now);
    }
    assert!(turns(&lab).iter().all(Option::is_none));
}

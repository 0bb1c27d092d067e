//! Client affinity: whose group a sticky route has, and under which id its clients have templates.

use super::{Lab, net, via, weighted};
use crate::control::{Batch, BatchSet, BatchSpec, BatchState};
use crate::info::NhopKeyMatch;
use crate::nhgrp::{OptionsAsked, Sticky, StickyAsked, StickyOf, TimeoutClass};
use crate::nhop::Path;

fn sticky(len: u8, timeout: u32) -> OptionsAsked {
    let asked = StickyAsked {
        len: Some(len),
        timeout: Some(timeout),
    };
    OptionsAsked {
        sticky: Some(asked),
        ..OptionsAsked::default()
    }
}

fn add(lab: &mut Lab, prefix: &str, paths: &[Path]) {
    let options = sticky(24, 60);
    lab.control
        .add_with(net(prefix), paths, options, lab.now)
        .unwrap();
}

fn seen(lab: &Lab, addr: &str) -> Option<(u64, Sticky)> {
    lab.group(addr).unwrap().sticky()
}

#[test]
fn a_time_alone_makes_no_route_sticky() {
    let mut lab = Lab::new();
    let paths = [via(1), via(2)];
    let prefix = net("10.0.0.0/8");
    lab.control.add(prefix, &paths, lab.now).unwrap();
    let time = |timeout| OptionsAsked {
        sticky: Some(StickyAsked {
            len: None,
            timeout: Some(timeout),
        }),
        ..OptionsAsked::default()
    };
    let refused = lab
        .control
        .change_with(prefix, &[], time(60), None, lab.now);
    let error = refused.unwrap_err().to_string();
    assert!(
        error.starts_with("10.0.0.0/8 is not sticky: write"),
        "{error}"
    );
    assert_eq!(seen(&lab, "10.1.1.1"), None);
    // To end what is not there is no mistake; where it is there, the time may change alone.
    let ended = lab.control.change_with(prefix, &[], time(0), None, lab.now);
    ended.unwrap();
    let made = lab
        .control
        .change_with(prefix, &[], sticky(24, 60), None, lab.now);
    made.unwrap();
    let longer = lab
        .control
        .change_with(prefix, &[], time(90), None, lab.now);
    longer.unwrap();
    let (_, is) = seen(&lab, "10.1.1.1").unwrap();
    assert_eq!((is.len, is.timeout), (24, 90));
}

#[test]
fn sticky_routes_have_groups_and_ids_of_their_own() {
    let mut lab = Lab::new();
    let paths = [via(1), via(2)];
    add(&mut lab, "10.0.0.0/8", &paths);
    add(&mut lab, "20.0.0.0/8", &paths);
    lab.add("30.0.0.0/8", &paths);
    lab.add("40.0.0.0/8", &paths);
    let group = |prefix| lab.control.get(net(prefix)).unwrap().group;
    assert_ne!(group("10.0.0.0/8"), group("20.0.0.0/8"));
    assert_ne!(group("10.0.0.0/8"), group("30.0.0.0/8"));
    assert_eq!(group("30.0.0.0/8"), group("40.0.0.0/8"));
    let (one, two) = (
        seen(&lab, "10.0.0.1").unwrap(),
        seen(&lab, "20.0.0.1").unwrap(),
    );
    assert_ne!(one.0, two.0);
    let asked = Sticky {
        len: 24,
        timeout: 60,
    };
    assert_eq!((one.1, two.1), (asked, asked));
    assert_eq!(seen(&lab, "30.0.0.1"), None);
    let mut listed: Vec<_> = lab.control.affinities().collect();
    listed.sort_unstable_by_key(|(_, prefix)| *prefix);
    assert_eq!(
        listed,
        [
            (one.0, StickyOf::Route(net("10.0.0.0/8"))),
            (two.0, StickyOf::Route(net("20.0.0.0/8")))
        ]
    );
}

#[test]
fn the_id_outlives_changes_and_the_route_itself() {
    let mut lab = Lab::new();
    add(&mut lab, "10.0.0.0/8", &[via(1)]);
    let first = seen(&lab, "10.0.0.1").unwrap();
    lab.control
        .change(net("10.0.0.0/8"), &[via(2)], None, lab.now)
        .unwrap();
    assert_eq!(
        seen(&lab, "10.0.0.1"),
        Some(first),
        "another single next hop"
    );
    let more = [via(2), via(3)];
    lab.control
        .change(net("10.0.0.0/8"), &more, None, lab.now)
        .unwrap();
    assert_eq!(seen(&lab, "10.0.0.1"), Some(first), "more of them");
    lab.control
        .change_with(net("10.0.0.0/8"), &more, sticky(16, 99), None, lab.now)
        .unwrap();
    let now = seen(&lab, "10.0.0.1").unwrap();
    assert_eq!((now.0, now.1.len, now.1.timeout), (first.0, 16, 99));
    let off = sticky(16, 0);
    lab.control
        .change_with(net("10.0.0.0/8"), &more, off, None, lab.now)
        .unwrap();
    assert_eq!(seen(&lab, "10.0.0.1"), None);
    for host in [2, 3] {
        let which = NhopKeyMatch {
            gateway: via(host).key.gateway,
            port: None,
        };
        lab.control
            .delete(net("10.0.0.0/8"), Some(&which), lab.now)
            .unwrap();
    }
    lab.control.tick(lab.now);
    // The group's memory is used again, by a route that is not sticky, and by one that is.
    lab.add("50.0.0.0/8", &[via(1)]);
    assert_eq!(seen(&lab, "50.0.0.1"), None);
    add(&mut lab, "10.0.0.0/8", &[via(1)]);
    assert_eq!(seen(&lab, "10.0.0.1"), Some(first));
}

#[test]
fn a_route_that_shares_its_group_parts_when_it_becomes_sticky() {
    let mut lab = Lab::new();
    let paths = [via(1), via(2)];
    lab.add("10.0.0.0/8", &paths);
    lab.add("20.0.0.0/8", &paths);
    let same = [weighted(1, 1), weighted(2, 1)];
    lab.control
        .change_with(net("20.0.0.0/8"), &same, sticky(32, 5), None, lab.now)
        .unwrap();
    assert!(seen(&lab, "20.0.0.1").is_some());
    assert_eq!(seen(&lab, "10.0.0.1"), None);
    assert_eq!(lab.owners("10.0.0.1"), lab.owners("20.0.0.1"));
}

#[test]
fn routes_of_a_batch_are_sticky_each_for_itself() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    lab.add("20.0.0.0/8", &[via(1), via(2)]);
    let set = BatchSet {
        paths: vec![via(1), via(2)],
        options: sticky(32, 5),
    };
    let routes = ["10.0.0.0/8", "20.0.0.0/8", "30.0.0.0/8", "40.0.0.0/8"];
    for again in [false, true] {
        let mut batch = Batch::new(BatchSpec {
            sets: vec![set.clone()],
            routes: routes.map(|prefix| (net(prefix), 0)).to_vec(),
            ..BatchSpec::default()
        });
        while batch.step(&mut lab.control, 2, lab.now) != BatchState::Ended {}
        let (done, _) = batch.outcome().unwrap();
        let counts = if again { (0, 0) } else { (2, 2) };
        assert_eq!((done.added, done.changed), counts);
        let ids: Vec<u64> = ["10.0.0.1", "20.0.0.1", "30.0.0.1", "40.0.0.1"]
            .iter()
            .map(|addr| seen(&lab, addr).unwrap().0)
            .collect();
        let mut apart = ids.clone();
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), 4, "{ids:?}");
    }
}

#[test]
fn the_number_of_a_route_s_timeouts_is_published_with_its_group_and_parts_it_from_others() {
    let class = |name: &str, number| OptionsAsked {
        timeouts: Some(name.parse::<TimeoutClass>().unwrap().numbered(number)),
        ..OptionsAsked::default()
    };
    let mut lab = Lab::new();
    let both = [via(1), via(2)];
    lab.add("10.0.0.0/8", &both);
    lab.control
        .add_with(net("20.0.0.0/8"), &both, class("web", 3), lab.now)
        .unwrap();
    lab.control
        .add_with(net("30.0.0.0/8"), &both[..1], class("dns", 15), lab.now)
        .unwrap();
    let seen = |lab: &Lab| {
        ["10.0.0.1", "20.0.0.1", "30.0.0.1"].map(|to| lab.group(to).unwrap().timeouts())
    };
    assert_eq!(seen(&lab), [0, 3, 15]);
    assert_eq!(lab.control.timeouts_used(3), (1, vec![]));
    let mut change = |prefix: &str, options| {
        let paths: Vec<Path> = both[..if prefix == "30.0.0.0/8" { 1 } else { 2 }].to_vec();
        lab.control
            .change_with(net(prefix), &paths, options, None, lab.now)
            .unwrap();
    };
    change("20.0.0.0/8", class("default", 0));
    change("10.0.0.0/8", class("web", 3));
    change("30.0.0.0/8", OptionsAsked::default());
    assert_eq!(seen(&lab), [3, 0, 15], "what a change leaves out stays");
    assert_eq!(lab.control.timeouts_used(15), (1, vec![]));
    lab.control
        .delete(net("30.0.0.0/8"), None, lab.now)
        .unwrap();
    assert_eq!(lab.control.timeouts_used(15), (0, vec![]));
}

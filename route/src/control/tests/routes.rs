use super::*;
use crate::error::RouteError;
use crate::info::{ChangeKind, NhopKeyMatch};
use crate::nhop::PinState;

fn by_gateway(host: u8) -> NhopKeyMatch {
    NhopKeyMatch {
        gateway: key(host).gateway,
        port: None,
    }
}

#[test]
fn a_worker_finds_the_next_hop_of_an_added_route() {
    let mut lab = Lab::new();
    let before = lab.stamp("10.1.2.3");
    let change = lab.add("10.1.0.0/16", &[via(1)]);
    assert_eq!((change.kind, change.paths.len()), (ChangeKind::Added, 1));
    assert_ne!(lab.stamp("10.1.2.3"), before);
    let group = lab.group("10.1.2.3").unwrap();
    assert_eq!(group.buckets(), 1, "a single next hop needs one bucket");
    let pin = group.owner(group.bucket(u64::MAX)).unwrap();
    assert_eq!(lab.view.judge(pin), PinState::Live);
    let attrs = lab.view.attrs(pin.idx());
    assert_eq!(
        (attrs.kind, attrs.port, attrs.neigh),
        (NhopKind::Gateway, PortId(1), 1)
    );
    assert!(lab.group("10.2.0.0").is_none());
}

#[test]
fn ipv6_routes_are_found_stamped_and_deleted_alike() {
    let mut lab = Lab::new();
    let dst: u128 = "2001:db8::7"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .to_bits();
    let before = lab.view.stamp6(dst);
    lab.add("2001:db8::/32", &[via(1)]);
    lab.add("2001:db8::7", &[via(2)]);
    assert_ne!(lab.view.stamp6(dst), before);
    let host = |lab: &Lab| {
        lab.view
            .lookup6(dst)
            .map(|id| lab.host(lab.view.group(id).owner(0).unwrap()))
    };
    assert_eq!(host(&lab), Some(2));
    let stamp = lab.view.stamp6(dst);
    lab.control
        .delete(net("2001:db8::7"), None, lab.now)
        .unwrap();
    assert_eq!(host(&lab), Some(1));
    assert_ne!(lab.view.stamp6(dst), stamp);
}

#[test]
fn listings_are_in_order_and_the_longest_prefix_is_found() {
    let mut lab = Lab::new();
    for prefix in ["::/0", "10.0.0.0/8", "10.0.0.0/16", "0.0.0.0/0"] {
        lab.add(prefix, &[via(1)]);
    }
    let listed: Vec<String> = lab.control.routes().map(|r| r.prefix.to_string()).collect();
    assert_eq!(listed, ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/16", "::/0"]);
    let found = |addr: &str| lab.control.lookup(addr.parse().unwrap()).unwrap().prefix;
    assert_eq!(found("10.0.1.1"), net("10.0.0.0/16"));
    assert_eq!(found("11.0.0.0"), net("0.0.0.0/0"));
    assert_eq!(found("fe80::1"), net("::/0"));
}

#[test]
fn deleting_the_only_path_deletes_the_route_and_ends_its_next_hop() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    let (pin, stamp) = (lab.pin(1), lab.stamp("10.0.0.1"));
    let change = lab
        .control
        .delete(net("10.0.0.0/8"), None, lab.now)
        .unwrap();
    assert_eq!(change.kind, ChangeKind::Deleted);
    assert_eq!(change.removed_nhops, [(pin.idx(), key(1), 1)]);
    assert_eq!(change.paths.len(), 1);
    assert!(lab.group("10.0.0.1").is_none());
    assert_ne!(lab.stamp("10.0.0.1"), stamp);
    assert_eq!(lab.view.judge(pin), PinState::Gone);
    assert!(lab.control.get(net("10.0.0.0/8")).is_none());
}

#[test]
fn a_next_hop_lives_as_long_as_any_route_has_it() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    lab.add("11.0.0.0/8", &[via(1), via(2)]);
    let pin = lab.pin(1);
    let change = lab
        .control
        .delete(net("10.0.0.0/8"), None, lab.now)
        .unwrap();
    assert_eq!(change.removed_nhops, []);
    assert_eq!(lab.view.judge(pin), PinState::Live);
    let change = lab
        .control
        .delete(net("11.0.0.0/8"), Some(&by_gateway(1)), lab.now)
        .unwrap();
    assert_eq!(change.removed_nhops.len(), 1);
    assert_eq!(lab.view.judge(pin), PinState::Gone);
}

#[test]
fn deleting_one_of_several_paths_needs_its_gateway() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    let refusal = lab
        .control
        .delete(net("10.0.0.0/8"), None, lab.now)
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "10.0.0.0/8 has several such paths: name the gateway; \
         they are gateway 192.0.2.1, gateway 192.0.2.2"
    );
    let refusal = lab
        .control
        .delete(net("10.0.0.0/8"), Some(&by_gateway(3)), lab.now);
    assert!(matches!(refusal, Err(RouteError::NoSuchPath { .. })));
    let change = lab
        .control
        .delete(net("10.0.0.0/8"), Some(&by_gateway(1)), lab.now)
        .unwrap();
    assert_eq!(
        (change.kind, change.paths[0].key),
        (ChangeKind::Deleted, key(1))
    );
    assert_eq!(count(&lab.owners("10.0.0.1"), 2), BUCKETS as usize);
}

#[test]
fn a_deleted_member_takes_its_own_buckets_along_and_bumps_the_stamp() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2), via(3)]);
    let (before, gone) = (lab.owners("10.0.0.1"), lab.pin(2));
    let stamps = (lab.stamp("10.0.0.1"), lab.stamp("11.0.0.1"));
    lab.control
        .delete(net("10.0.0.0/8"), Some(&by_gateway(2)), lab.now)
        .unwrap();
    let after = lab.owners("10.0.0.1");
    assert_eq!(moved(&before, &after), count(&before, 2));
    let group = lab.group("10.0.0.1").unwrap();
    assert!(!group.has_member(gone) && group.has_member(lab.pin(1)));
    assert_ne!(lab.stamp("10.0.0.1"), stamps.0);
    assert_eq!(lab.stamp("11.0.0.1"), stamps.1, "an unrelated route");
}

#[test]
fn adding_a_path_and_new_weights_bump_no_stamp() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    let (stamp, pin) = (lab.stamp("10.0.0.1"), lab.pin(1));
    lab.add("10.0.0.0/8", &[via(3)]);
    lab.change("10.0.0.0/8", &[weighted(1, 5)]);
    lab.change("10.0.0.0/8", &[weighted(1, 0)]);
    assert_eq!(lab.stamp("10.0.0.1"), stamp);
    assert!(
        lab.group("10.0.0.1").unwrap().has_member(pin),
        "a drained path stays a member"
    );
}

#[test]
fn a_path_added_again_has_a_fresh_generation_and_its_old_buckets() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2), via(3)]);
    let (owners, pin) = (lab.owners("10.0.0.1"), lab.pin(2));
    lab.control
        .delete(net("10.0.0.0/8"), Some(&by_gateway(2)), lab.now)
        .unwrap();
    lab.add("10.0.0.0/8", &[via(2)]);
    assert_ne!(lab.pin(2), pin);
    assert_eq!(lab.view.judge(pin), PinState::Gone);
    assert_eq!(lab.owners("10.0.0.1"), owners);
}

#[test]
fn change_to_another_set_keeps_the_buckets_of_who_stays() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2), via(3)]);
    let before = lab.owners("10.0.0.1");
    let change = lab.change("10.0.0.0/8", &[via(1), via(3), via(4)]);
    assert_eq!(change.removed_nhops.len(), 1);
    let after = lab.owners("10.0.0.1");
    assert_eq!(moved(&before, &after), count(&before, 2));
    assert_eq!(
        count(&after, 4),
        count(&before, 2),
        "4 takes over what 2 left"
    );
}

#[test]
fn change_turns_a_route_into_any_kind_and_back() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    lab.change("10.0.0.0/8", &[alone(NhopKind::Blackhole)]);
    let kind = |lab: &Lab| {
        let group = lab.group("10.0.0.1").unwrap();
        lab.view
            .attrs(group.owner(group.bucket(7 << 60)).unwrap().idx())
            .kind
    };
    assert_eq!(kind(&lab), NhopKind::Blackhole);
    lab.change("10.0.0.0/8", &[alone(NhopKind::Reject)]);
    assert_eq!(kind(&lab), NhopKind::Reject);
    lab.change("10.0.0.0/8", &[via(1)]);
    assert_eq!(kind(&lab), NhopKind::Gateway);
    assert_eq!(
        lab.control.get(net("10.0.0.0/8")).unwrap().kind,
        NhopKind::Gateway
    );
    let other_nhops = lab.control.nhops().filter(|n| n.key != key(1)).count();
    assert_eq!(other_nhops, 0);
}

#[test]
fn routes_with_equal_paths_share_a_group_until_one_is_changed() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), weighted(2, 3)]);
    lab.add("11.0.0.0/8", &[weighted(2, 3), via(1)]);
    lab.add("12.0.0.0/8", &[via(2), via(1)]);
    let id = |lab: &Lab, prefix: &str| lab.control.get(net(prefix)).unwrap().group;
    assert_eq!(id(&lab, "10.0.0.0/8"), id(&lab, "11.0.0.0/8"));
    assert_ne!(id(&lab, "10.0.0.0/8"), id(&lab, "12.0.0.0/8"));
    let before = lab.owners("10.0.0.1");
    let stamps = (lab.stamp("10.0.0.1"), lab.stamp("11.0.0.1"));
    lab.control
        .delete(net("11.0.0.0/8"), Some(&by_gateway(1)), lab.now)
        .unwrap();
    assert_ne!(id(&lab, "10.0.0.0/8"), id(&lab, "11.0.0.0/8"));
    assert_eq!(lab.owners("10.0.0.1"), before);
    assert!(lab.group("10.0.0.1").unwrap().has_member(lab.pin(1)));
    assert!(!lab.group("11.0.0.1").unwrap().has_member(lab.pin(1)));
    assert_eq!(lab.stamp("10.0.0.1"), stamps.0);
    assert_ne!(lab.stamp("11.0.0.1"), stamps.1);
    let rest = lab.owners("11.0.0.1");
    assert_eq!(
        moved(&before, &rest),
        count(&before, 1),
        "it left with the layout that it had"
    );
}

#[test]
fn a_route_that_leaves_a_shared_group_keeps_its_history() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1), via(2)]);
    lab.add("10.0.0.0/8", &[via(3)]);
    lab.now.0 += 10;
    let before = lab.stateless("10.0.0.1", 300);
    assert_eq!(count(&before, 3), 0, "all were with 1 and 2");
    lab.add("11.0.0.0/8", &[via(1), via(2)]);
    lab.add("12.0.0.0/8", &[via(1), via(2)]);
    lab.control
        .set_health(lab.idx(1), crate::nhop::Health::Dead, lab.now);
    lab.control
        .set_health(lab.idx(1), crate::nhop::Health::Up, lab.now);
    let shared = lab.stateless("12.0.0.1", 300);
    assert_eq!(
        count(&shared, 2),
        BUCKETS as usize,
        "while 1 was dead, all were with 2"
    );
    lab.add("12.0.0.0/8", &[via(3)]);
    assert_eq!(lab.stateless("12.0.0.1", 300), shared);
}

#[test]
fn single_path_routes_that_change_alike_share_alike() {
    let mut lab = Lab::new();
    for i in 0..50 {
        lab.add(&format!("10.{i}.0.0/16"), &[via(1)]);
    }
    let groups = |lab: &Lab| lab.control.fills()[3].used;
    assert_eq!(groups(&lab), 1);
    for i in 0..50 {
        let change = lab.change(&format!("10.{i}.0.0/16"), &[via(2)]);
        assert_eq!(change.removed_nhops.len(), usize::from(i == 49));
    }
    lab.control.tick(lab.now);
    assert_eq!(groups(&lab), 1);
    assert_eq!(lab.owners("10.49.0.0"), [Some(2)]);
}

#[test]
fn a_shared_next_hop_keeps_its_mtu_and_says_so() {
    let mut lab = Lab::new();
    lab.add("10.0.0.0/8", &[via(1)]);
    let small = Path {
        mtu: 1400,
        ..via(1)
    };
    let change = lab.add("11.0.0.0/8", &[small]);
    assert!(
        change
            .warning
            .unwrap()
            .starts_with("gateway 192.0.2.1 keeps its MTU of 1500")
    );
    assert_eq!(lab.view.attrs(lab.idx(1)).mtu, 1500);
    lab.change("11.0.0.0/8", &[small]);
    assert_eq!(lab.view.attrs(lab.idx(1)).mtu, 1400);
    assert_eq!(lab.path("10.0.0.0/8", 1).mtu, 1400);
}

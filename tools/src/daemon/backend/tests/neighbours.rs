//! Neighbours: stated, temporary, listed, deleted, flushed.

use super::*;
use crate::wire::neighbour::NeighbourDelete;

fn of_family(family: Option<Family>) -> NeighbourFilter {
    NeighbourFilter {
        family,
        ..NeighbourFilter::default()
    }
}

#[test]
fn neighbours_are_stated_listed_and_deleted() {
    let mut rig = rig();
    let live = &mut rig.live;
    heard(live.neighbour_set(stated("192.0.2.50", None))).unwrap();
    heard(live.neighbour_set(stated("fd00:2::50", Some("rack")))).unwrap();
    let v4 = heard(live.neighbours(of_family(Some(Family::Inet)))).unwrap();
    assert_eq!(v4.len(), 1);
    assert_eq!(v4[0].port, "rack");
    assert_eq!(v4[0].mac, Some(Mac([2, 0, 0, 0, 0, 0x11])));
    assert_eq!(heard(live.neighbours(of_family(None))).unwrap().len(), 2);
    let flushed = heard(live.neighbour_flush(of_family(None))).unwrap();
    assert!(flushed.deleted.is_empty(), "stated ones stay");
    let doomed = || NeighbourDelete {
        address: v4[0].address,
        port: None,
    };
    let gone = heard(live.neighbour_delete(doomed())).unwrap();
    assert_eq!(gone.deleted, v4);
    let (reason, _) = refusal(heard(live.neighbour_delete(doomed())));
    assert_eq!(reason, Reason::NotFound);
}

#[test]
fn a_broadcast_address_is_told_to_be_one() {
    let mut rig = rig();
    for (address, port) in [("192.0.2.255", None), ("192.0.2.0", Some("rack"))] {
        let (reason, line) = refusal(heard(rig.live.neighbour_set(stated(address, port))));
        assert_eq!(reason, Reason::Invalid);
        let wanted = format!(
            "{address} is the broadcast or zero address of the network of port rack: write one host's"
        );
        assert_eq!(line, wanted);
    }
    let (reason, line) = refusal(heard(
        rig.live.neighbour_set(stated("198.18.7.7", Some("rack"))),
    ));
    assert_eq!(reason, Reason::Unreachable);
    assert!(
        line.starts_with("198.18.7.7 is not on the network of port rack"),
        "{line}"
    );
}

#[test]
fn a_temporary_neighbour_expires_and_is_flushed() {
    let mut rig = rig();
    let live = &mut rig.live;
    let set = NeighbourSet {
        temporary: true,
        ..stated("192.0.2.50", None)
    };
    heard(live.neighbour_set(set.clone())).unwrap();
    let all = heard(live.neighbours(of_family(None))).unwrap();
    assert_eq!(all[0].state, wire::neighbour::NeighbourState::Reachable);
    assert!(all[0].expires.is_some());
    let flushed = heard(live.neighbour_flush(of_family(None))).unwrap();
    assert_eq!(flushed.deleted.len(), 1);
    let both = NeighbourSet {
        published: true,
        ..set
    };
    let (reason, line) = refusal(heard(live.neighbour_set(both.clone())));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.ends_with(": leave temp or pub out"), "{line}");
    // ndp has another word for it.
    let six = NeighbourSet {
        address: "fd00:2::50".parse().unwrap(),
        ..both
    };
    let (_, line) = refusal(heard(live.neighbour_set(six)));
    assert!(line.ends_with(": leave temp or proxy out"), "{line}");
}

#[test]
fn a_neighbour_is_stated_only_where_there_can_be_one() {
    let mut rig = rig();
    let mut refused = |address: &str, port: Option<&str>| {
        refusal(heard(rig.live.neighbour_set(stated(address, port))))
    };
    let (reason, message) = refused("10.99.0.50", None);
    assert_eq!(reason, Reason::Invalid);
    assert!(message.contains("uplink"), "{message}");
    assert_eq!(refused("172.16.0.1", None).0, Reason::Unreachable);
    let (reason, message) = refused("172.16.0.1", Some("rack"));
    assert_eq!(reason, Reason::Unreachable);
    assert!(message.contains("port rack"), "{message}");
    assert_eq!(refused("192.0.2.51", Some("rakc")).0, Reason::NotFound);
}

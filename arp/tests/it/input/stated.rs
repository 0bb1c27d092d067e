//! Neighbours that an operator stated: static, temporary, published.

use super::*;
use crate::rig::{OVERRIDE, P0, Rig, SOLICITED, ip, solicit};
use arp::{Ignored, NeighError, NeighState};

#[test]
fn a_static_neighbour_wins() {
    let mut rig = Rig::new();
    let v4 = rig
        .table
        .set_static(P0, ip("10.0.0.9"), mac(9), false)
        .unwrap();
    let v6 = rig
        .table
        .set_static(P0, ip("fd00::9"), mac(9), false)
        .unwrap();
    rig.ignore(&reply(mac(8), "10.0.0.9"), Ignored::Static);
    rig.ignore(&request(mac(8), "10.0.0.9", "10.0.0.1"), Ignored::Static);
    rig.ignore(
        &na("fd00::9", SOLICITED | OVERRIDE, Some(mac(8))),
        Ignored::Static,
    );
    rig.accept(&reply(mac(9), "10.0.0.9"));
    for idx in [v4, v6] {
        assert_eq!(
            (rig.state(idx), rig.view.word(idx).mac()),
            (NeighState::Permanent, mac(9))
        );
    }
    rig.run(100_000_000);
    let lines = rig.table.list(rig.now);
    assert!(
        lines
            .iter()
            .all(|line| line.permanent && line.expires_ms.is_none())
    );
    assert_eq!(rig.table.delete(Some(P0), &ip("10.0.0.9")), Ok(1));
    assert_eq!(rig.state(v4), NeighState::Free);
}

#[test]
fn a_temporary_neighbour_is_as_one_that_was_learned() {
    let mut rig = Rig::new();
    let addr = ip("10.0.0.9");
    rig.table.set_static(P0, addr, mac(9), true).unwrap();
    let idx = rig.table.set_temporary(P0, addr, mac(8)).unwrap();
    assert_eq!(
        (rig.state(idx), rig.view.word(idx).mac()),
        (NeighState::Reachable, mac(8))
    );
    let line = rig.table.list(rig.now)[0];
    assert!(!line.permanent && !line.published);
    assert_eq!(
        line.expires_ms,
        Some(u64::from(rig.table.config().reachable_ms))
    );
    rig.accept(&request(mac(7), "10.0.0.9", "10.0.0.1"));
    assert_eq!(rig.view.word(idx).mac(), mac(7), "it speaks for itself");
    assert_eq!(rig.state(idx), NeighState::Stale);
    rig.run(100_000_000);
    assert_eq!(rig.state(idx), NeighState::Free);
    let nobody = rig.table.set_temporary(P0, addr, Mac([0xff; 6]));
    assert_eq!(nobody, Err(NeighError::BadMac(Mac([0xff; 6]))));
}

#[test]
fn a_published_address_is_not_answered_to_itself_nor_in_an_announcement() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), true)
        .unwrap();
    rig.accept(&request(mac(7), "10.0.0.7", "10.0.0.7"));
    rig.ignore(&request(mac(8), "10.0.0.7", "10.0.0.7"), Ignored::Static);
    rig.ignore(&request(mac(7), "0.0.0.0", "10.0.0.7"), Ignored::NotOurs);
    assert!(rig.sent.is_empty());
    rig.accept(&request(mac(9), "10.0.0.9", "10.0.0.7"));
    assert_eq!(rig.sent.len(), 1);
    assert_eq!(
        rig.view.lookup(P0, &ip("10.0.0.9")),
        None,
        "the question was not for us"
    );
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), false)
        .unwrap();
    rig.ignore(&request(mac(9), "10.0.0.9", "10.0.0.7"), Ignored::NotOurs);
    assert_eq!(rig.sent.len(), 1, "published no more");
}

#[test]
fn a_published_gateway_that_is_deleted_is_published_no_more() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), true)
        .unwrap();
    rig.reserve("10.0.0.7");
    rig.table.delete(None, &ip("10.0.0.7")).unwrap();
    let question = request(mac(9), "10.0.0.9", "10.0.0.7");
    rig.ignore(&question, Ignored::NotOurs);
    assert!(rig.sent.is_empty());
}

#[test]
fn a_solicitation_for_a_published_address_is_answered_and_teaches_nothing() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("fd00::7"), mac(7), true)
        .unwrap();
    let ns = solicit("fd00::7", Some(mac(9)));
    rig.accept(&nd_frame(GROUP, mac(9), "fd00::9", "ff02::1:ff00:7", &ns));
    assert_eq!(rig.sent.len(), 1);
    assert_eq!(rig.view.lookup(P0, &ip("fd00::9")), None);
}

//! What is counted and listed.

use super::*;
use crate::rig::{P0, Rig, ip, solicit};
use arp::{Config, Ignored, NeighState};

#[test]
fn counters_say_what_was_sent_and_received() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    rig.host("fd00::9", mac(9));
    rig.ask("10.0.0.9");
    rig.ask("fd00::9");
    rig.run(0);
    rig.accept(&request(mac(9), "10.0.0.9", "10.0.0.1"));
    let ns = solicit("fd00::1", Some(mac(9)));
    rig.accept(&nd_frame(GROUP, mac(9), "fd00::9", "ff02::1:ff00:1", &ns));
    rig.input(&[0; 60]);
    let stats = rig.table.stats();
    assert_eq!((stats.txrequests, stats.txreplies), (1, 1));
    assert_eq!(
        (stats.rxrequests, stats.rxreplies, stats.received),
        (1, 1, 2)
    );
    assert_eq!(
        (stats.tx_neighbor_solicit, stats.tx_neighbor_advert),
        (1, 1)
    );
    assert_eq!(
        (stats.rx_neighbor_solicit, stats.rx_neighbor_advert),
        (1, 1)
    );
    assert_eq!(stats.ignored(Ignored::NotNeighbour), 1);
}

#[test]
fn the_list_shows_each_kind_of_neighbour() {
    let mut rig = Rig::with(Config::default());
    rig.host("10.0.0.9", mac(9));
    rig.reserve("10.0.0.9");
    rig.ask("10.0.0.10");
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), true)
        .unwrap();
    rig.run(0);
    let lines = rig.table.list(rig.now);
    let brief: Vec<_> = lines
        .iter()
        .map(|l| {
            (
                l.addr.to_string(),
                l.mac,
                l.state,
                l.permanent,
                l.published,
                l.reserved,
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            (
                "10.0.0.7".into(),
                Some(mac(7)),
                NeighState::Permanent,
                true,
                true,
                false
            ),
            (
                "10.0.0.9".into(),
                Some(mac(9)),
                NeighState::Reachable,
                false,
                false,
                true
            ),
            (
                "10.0.0.10".into(),
                None,
                NeighState::Incomplete,
                false,
                false,
                false
            ),
        ]
    );
    assert!(lines.iter().all(|line| line.expires_ms.is_none()));
}

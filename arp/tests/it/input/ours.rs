//! Our own addresses and our own ports: conflicts, our own frames, one host on two ports.

use super::*;
use crate::rig::{OVERRIDE, P0, Rig, SOLICITED, ip};
use arp::{Event, Ignored, NeighState, PortId, PortInfo};

#[test]
fn a_conflict_is_counted_told_and_defended_at_most_every_ten_seconds() {
    let cases = [
        request(mac(9), "10.0.0.1", "10.0.0.1"),
        na("fd00::1", OVERRIDE, Some(mac(9))),
    ];
    for frame in cases {
        let mut rig = Rig::new();
        for _ in 0..250 {
            rig.ignore(&frame, Ignored::Conflict);
            rig.run(100);
        }
        let events = rig.take_events();
        assert_eq!(events.len(), 3, "at 0, 10 and 20 s");
        assert!(matches!(events[0], Event::Conflict { port: P0, mac: by, .. } if by == mac(9)));
        assert_eq!(
            rig.sent
                .iter()
                .map(|(at, _)| at - 1_000_000)
                .collect::<Vec<_>>(),
            [0, 10_000, 20_000]
        );
        let stats = rig.table.stats();
        assert_eq!(
            (stats.dupips, stats.defences, stats.announcements),
            (250, 3, 3)
        );
        assert_eq!(rig.table.fills().0, 0, "never cached");
    }
}

#[test]
fn setting_a_port_again_does_not_forget_when_it_defended() {
    let mut rig = Rig::new();
    let frame = request(mac(9), "10.0.0.1", "10.0.0.1");
    for _ in 0..10 {
        rig.ignore(&frame, Ignored::Conflict);
        rig.set_port(true);
    }
    assert_eq!(rig.sent.len(), 1);
}

#[test]
fn our_own_frame_heard_on_another_port_of_the_same_segment_is_ours() {
    let mut rig = Rig::new();
    let other = PortInfo {
        port: PortId(1),
        mac: mac(200),
        addrs: vec![(ip("10.1.0.1"), 24)],
        up: true,
        advertise: None,
    };
    rig.set_port_to(other);
    rig.ignore(
        &request(mac(200), "10.1.0.1", "10.0.0.1"),
        Ignored::OwnFrame,
    );
}

#[test]
fn one_host_on_two_ports_is_two_neighbours() {
    let mut rig = Rig::new();
    let second = PortInfo {
        port: PortId(1),
        mac: mac(200),
        addrs: vec![(ip("fe80::2"), 64)],
        up: true,
        advertise: None,
    };
    rig.set_port_to(second);
    let first = rig.ask("fe80::9");
    let second = rig.table.ask(PortId(1), ip("fe80::9"), rig.now).unwrap();
    assert_ne!(first, second);
    rig.run(0);
    rig.accept(&nd_frame(
        OUR,
        mac(9),
        "fe80::9",
        "fe80::1",
        &advert("fe80::9", SOLICITED, Some(mac(9))),
    ));
    assert_eq!(rig.state(first), NeighState::Reachable);
    assert_eq!(rig.state(second), NeighState::Incomplete);
    assert_eq!(rig.table.delete(None, &ip("fe80::9")), Ok(2));
}

//! What a VLAN has of its own: whether it is up, its MTU, its rules.

use super::*;
use flowgate_tests::net::check::{Transport, packet as check_packet};
use stack::ports::DeviceState;
use stack::rules::Rpf;

#[test]
fn a_vlan_goes_down_and_comes_back_with_its_trunk_and_alone() {
    let mut sim = gateway();
    route_by(&mut sim, "203.0.113.0/24", &[("192.0.100.11", None)]);
    let dst = ip("203.0.113.9");
    let packet = udp(
        SocketAddr::new(ip("10.0.0.5"), 1),
        SocketAddr::new(dst, 2),
        b"x",
    );
    let up = |sim: &SimGateway| {
        let ports = &sim.gateway.control.ports().0;
        [TRUNK, RED, BLUE].map(|port| ports[port].up)
    };
    let passes = |sim: &mut SimGateway| {
        sim.put(CLIENTS, 0, &packet);
        // Without a next hop its sender is told so.
        sim.settle().iter().any(|sent| sent.port == TRUNK)
    };
    assert!(passes(&mut sim));
    let trunk = PortId(TRUNK as u16);
    for state in [DeviceState::Down, DeviceState::Deleted] {
        let (gw, now) = (&mut sim.gateway, sim.now);
        gw.control.device_changed(trunk, state, &mut gw.host, now);
        sim.settle();
        assert_eq!(up(&sim), [false; 3]);
        assert!(!passes(&mut sim));
        let (gw, now) = (&mut sim.gateway, sim.now);
        gw.control
            .device_changed(trunk, DeviceState::Up, &mut gw.host, now);
        sim.settle();
        assert_eq!(up(&sim), [true; 3]);
        assert!(passes(&mut sim));
    }
    let tell = |sim: &mut SimGateway, name, up| {
        let (gw, now) = (&mut sim.gateway, sim.now);
        gw.control.set_port(name, up, &mut gw.host, now).unwrap();
        sim.settle();
    };
    tell(&mut sim, "red", false);
    assert_eq!(up(&sim), [true, false, true]);
    assert!(!passes(&mut sim));
    sim.put(TRUNK, 0, &from(RED, &datagram(RED, BLUE, false)));
    assert_eq!(sim.settle(), []);
    assert_eq!(totals(&sim).dropped_for(DropReason::PortDown), 1);
    sim.put(TRUNK, 0, &from(BLUE, &datagram(BLUE, TRUNK, false)));
    one(sim.settle());
    tell(&mut sim, "trunk", false);
    tell(&mut sim, "red", true);
    assert_eq!(up(&sim), [false; 3]);
    tell(&mut sim, "trunk", true);
    assert_eq!(up(&sim), [true; 3]);
    assert!(passes(&mut sim));
}

#[test]
fn vlans_of_a_trunk_that_is_down_from_the_start_are_down() {
    let mut all = ports();
    all.0[TRUNK].up = false;
    let mut sim = SimGateway::new(setup(all));
    assert!(
        [TRUNK, RED, BLUE]
            .iter()
            .all(|p| !sim.gateway.control.ports().0[*p].up)
    );
    sim.put(CLIENTS, 0, &datagram(CLIENTS, RED, false));
    let answer = one(sim.settle());
    assert_eq!(answer.port, CLIENTS);
    let (gw, now) = (&mut sim.gateway, sim.now);
    gw.control
        .set_port("trunk", true, &mut gw.host, now)
        .unwrap();
    introduce(&mut sim);
    sim.put(CLIENTS, 0, &datagram(CLIENTS, RED, false));
    assert_eq!(one(sim.settle()).bytes[12..16], *tag(RED));
}

#[test]
fn a_vlan_s_mtu_is_its_own_and_pieces_and_answers_have_its_tag() {
    let mut all = ports();
    all.0[RED].mtu = 1400;
    let mut sim = SimGateway::new(setup(all));
    introduce(&mut sim);
    let (src, dst) = (address(BLUE, false), address(RED, false));
    let (src, dst) = (SocketAddr::new(src, 1), SocketAddr::new(dst, 2));
    let mut big = udp(src, dst, &[7; 1472]);
    sim.put(TRUNK, 0, &from(BLUE, &big));
    let told = one(sim.settle());
    assert_eq!(told.bytes[12..16], *tag(BLUE));
    assert_eq!(
        told.bytes[18 + 20..18 + 28],
        [3, 4, told.bytes[40], told.bytes[41], 0, 0, 5, 120]
    );
    check_packet(&told.bytes[18..], 1500, Transport::Checked).unwrap();

    big[6] = 0;
    resum(&mut big);
    sim.put(TRUNK, 0, &from(BLUE, &big));
    let pieces = sim.settle();
    assert_eq!(pieces.len(), 2);
    let header = to(RED, &big)[..18].to_vec();
    for piece in &pieces {
        assert_eq!(piece.bytes[..18], header);
        check_packet(&piece.bytes[18..], 1400, Transport::Ignored).unwrap();
    }
    let payload: usize = pieces.iter().map(|piece| piece.bytes.len() - 38).sum();
    assert_eq!(payload, 1480);

    // Pieces that come in tagged go on with the other's tag.
    for piece in pieces {
        let mut back = from(RED, &piece.bytes[18..]);
        back[18 + 12..18 + 16].copy_from_slice(&[192, 0, 100, 11]);
        back[18 + 16..18 + 20].copy_from_slice(&[192, 0, 200, 11]);
        resum(&mut back[18..]);
        sim.put(TRUNK, 0, &back);
        let on = one(sim.settle());
        assert_eq!(on.bytes, to(BLUE, &back[18..]));
    }
    totals(&sim);
}

#[test]
fn a_vlan_takes_no_more_than_its_parent_s_interface_and_never_more_than_its_own_mtu() {
    let mut all = ports();
    all.0[RED].mtu = 1300;
    let mut sim = SimGateway::new(setup(all));
    introduce(&mut sim);
    let sized = |destination, len: usize| {
        let (src, dst) = (address(CLIENTS, false), address(destination, false));
        let (src, dst) = (SocketAddr::new(src, 1000), SocketAddr::new(dst, 53));
        udp(src, dst, &vec![7; len - 28])
    };
    for (interface, red, blue) in [
        (Some(1400), 1300, 1400),
        (Some(1200), 1200, 1200),
        (Some(9000), 1300, 1500),
        (None, 1300, 1500),
    ] {
        let gw = &mut sim.gateway;
        let trunk = PortId(TRUNK as u16);
        gw.control.interface_mtu(trunk, interface, &mut gw.host);
        for (port, takes) in [(TRUNK, blue), (RED, red), (BLUE, blue)] {
            let fits = sized(port, takes);
            sim.put(CLIENTS, 0, &fits);
            assert_eq!(one(sim.settle()).bytes, to(port, &fits), "{interface:?}");
            sim.put(CLIENTS, 0, &sized(port, takes + 1));
            let told = one(sim.settle());
            assert_eq!((told.port, &told.bytes[20..22]), (CLIENTS, &[3, 4][..]));
            assert_eq!(told.bytes[26..28], (takes as u16).to_be_bytes());
        }
    }
    totals(&sim);
}

#[test]
fn sources_are_checked_and_hosts_redirected_by_the_vlan() {
    let mut all = ports();
    for port in [RED, BLUE] {
        all.0[port].rules.rpf = Rpf::Strict;
        all.0[port].rules.redirects = true;
    }
    let mut sim = SimGateway::new(setup(all));
    introduce(&mut sim);
    // The address of a host of the other VLAN.
    sim.put(TRUNK, 0, &from(RED, &datagram(BLUE, CLIENTS, false)));
    assert_eq!(sim.settle(), []);
    assert_eq!(drops(&totals(&sim)), [(DropReason::ReversePath, 1)]);
    // Out by the same device but another VLAN: no shorter way.
    sim.put(TRUNK, 0, &from(RED, &datagram(RED, BLUE, false)));
    one(sim.settle());
    // Out by the same VLAN: there is one.
    route_by(&mut sim, "203.0.113.0/24", &[("192.0.100.11", None)]);
    let src = SocketAddr::new(ip("192.0.100.77"), 5);
    let packet = udp(src, SocketAddr::new(ip("203.0.113.9"), 6), b"long way");
    sim.gateway.host.call(HostCmd::SetStatic {
        port: PortId(RED as u16),
        addr: src.ip(),
        mac: Mac([2, 0, 0, 0, 100, 0x77]),
        published: false,
    });
    sim.put(TRUNK, 0, &from(RED, &packet));
    let sent = sim.settle();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|one| one.bytes[12..16] == *tag(RED)));
    let redirects = sent.iter().filter(|one| one.bytes[18 + 9] == 1);
    let redirect = redirects
        .map(|one| &one.bytes[18 + 20..18 + 28])
        .next()
        .unwrap();
    assert_eq!((redirect[0], &redirect[4..8]), (5, &[192, 0, 100, 11][..]));
}

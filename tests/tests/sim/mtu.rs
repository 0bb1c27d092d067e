//! Interfaces whose MTU is lowered while the gateway runs, and raised again: what they take no more is cut, or answered with what they
//! take, instead of being lost by the kernel. The net judges the length of all that leaves.

use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::craft::{
    IcmpError, echo_request, pieces, read_icmp_error, reassemble, with_df, with_ttl,
};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{BOTH, Echo, Scene, client_addr, to_clients, to_rack};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::{Sent, client_and_rack, ip};
use stack::Setup;
use stack::control::RouteSpec;
use stack::fate::DropReason;
use stack::rules::Adverts;

const NARROW: u32 = 1300;

/// A packet of a flow that has so many bytes, all headers counted; IPv4 may not be split.
fn sized(flow: &FlowId, len: u32) -> Vec<u8> {
    let headers = if flow.src.is_ipv6() { 48 } else { 28 };
    udp(flow.src, flow.dst, &vec![0x5a; len as usize - headers])
}

/// Packets that come in one burst, and what leaves.
fn burst(scene: &mut Scene, packets: &[Vec<u8>]) -> Vec<Sent> {
    scene.net.take_tap();
    for packet in packets {
        scene.net.inject(CLIENTS, 0, packet);
    }
    scene.net.run_for(1000);
    scene.net.take_tap()
}

/// Who sends more than `takes` bytes to the rack is told of them; so many pass.
fn assert_takes(scene: &mut Scene, takes: u32) {
    for family in BOTH {
        let flow = Scene::udp_flow(family, takes);
        let (small, fits) = (sized(&flow, 100), sized(&flow, takes));
        // The first one shows the others of the burst their way.
        let all = [small.clone(), fits.clone(), fits];
        let sent = burst(scene, &all);
        let got: Vec<_> = to_rack(&sent).into_iter().map(|(_, got)| got).collect();
        assert_eq!(got, all.map(|packet| with_ttl(packet, 63)), "{takes}");

        let sent = burst(scene, &[small.clone(), sized(&flow, takes + 1), small]);
        assert_eq!(to_rack(&sent).len(), 2, "{takes}");
        let told: Vec<IcmpError> = to_clients(&sent).filter_map(read_icmp_error).collect();
        let kind = [(3, 4), (2, 0)][usize::from(family == Family::V6)];
        assert_eq!(told.len(), 1, "{takes}");
        assert_eq!((told[0].kind, told[0].rest), (kind, takes));
    }
}

/// What may be split leaves in pieces that the rack takes.
fn assert_cuts(scene: &mut Scene, takes: u32) {
    let flow = Scene::udp_flow(Family::V4, takes + 7);
    let small = sized(&flow, 100);
    let whole = with_df(sized(&flow, 1501), false);
    let sent = burst(scene, &[small.clone(), whole.clone(), small]);
    let got = to_rack(&sent);
    let parts: Vec<&[u8]> = got[1..got.len() - 1]
        .iter()
        .map(|(_, part)| *part)
        .collect();
    assert!(parts.len() == 2 && parts.iter().all(|part| part.len() <= takes as usize));
    assert_eq!(reassemble(&parts), whole[20..]);
}

#[test]
fn what_an_interface_takes_no_more_is_cut_or_answered_until_it_takes_it_again() {
    let mut scene = Scene::new(1, Scene::setup(1), 311);
    scene.serve(Echo::Silent);
    let mtus = [None, Some(NARROW), Some(1400), Some(9000), Some(1280), None];
    for mtu in mtus {
        scene.net.interface_mtu(RACK, mtu);
        let takes = mtu.map_or(1500, |mtu| mtu.min(1500));
        assert_takes(&mut scene, takes);
        assert_cuts(&mut scene, takes);
    }
    scene
        .net
        .assert_drops(&[(DropReason::TooBig, 2 * mtus.len() as u64)]);
    scene.finish();
}

#[test]
fn next_hops_keep_the_mtu_that_they_were_given_whatever_the_interface_has() {
    let mut scene = Scene::without_routes(1, Scene::setup(1), 312);
    scene.serve(Echo::Silent);
    scene.net.interface_mtu(RACK, Some(NARROW));
    // One of its own in one family, the port's in the other.
    for (family, mtu) in [(Family::V4, Some(1400)), (Family::V6, None)] {
        let spec = RouteSpec {
            mtu,
            ..Scene::spec(family, &[(0, 1)], None)
        };
        let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
        let change = gw.control.route_add(&spec, &mut gw.host, now);
        let change = change.expect("a route is added");
        assert_eq!(change.paths[0].mtu, mtu.unwrap_or(1500));
        // Nor is it another MTU to who names the next hop again.
        let again = gw.control.route_change(&spec, &mut gw.host, now);
        assert_eq!(again.expect("the same again").warning, None);
    }
    scene.net.run_for(2000);
    for (interface, v4, v6) in [(Some(NARROW), NARROW, NARROW), (None, 1400, 1500)] {
        scene.net.interface_mtu(RACK, interface);
        for (family, takes) in [(Family::V4, v4), (Family::V6, v6)] {
            let flow = Scene::udp_flow(family, takes);
            let sent = burst(&mut scene, &[sized(&flow, takes), sized(&flow, takes + 1)]);
            assert_eq!(to_rack(&sent).len(), 1);
            let told: Vec<u32> = to_clients(&sent)
                .filter_map(read_icmp_error)
                .map(|error| error.rest)
                .collect();
            assert_eq!(told, [takes]);
        }
    }
    scene.net.assert_drops(&[(DropReason::TooBig, 4)]);
    scene.finish();
}

#[test]
fn what_the_gateway_itself_sends_is_cut_for_the_interface_too() {
    let mut scene = Scene::new(1, Scene::setup(1), 313);
    let data: Vec<u8> = (0..4000_u32).map(|i| i as u8).collect();
    for (mtu, takes) in [(Some(NARROW), 1300), (None, 1500)] {
        scene.net.interface_mtu(CLIENTS, mtu);
        for (family, own) in BOTH.into_iter().zip(["10.0.0.1", "fd10::1"]) {
            // A worker answers the one, and the host the other, which comes in pieces.
            for len in [1450, 4000] {
                let asked = echo_request(client_addr(9, family), ip(own), 7, 7, &data[..len]);
                let asked = match len {
                    1450 => vec![asked],
                    _ => pieces(&asked, 9, 1448),
                };
                let sent = burst(&mut scene, &asked);
                let got: Vec<&[u8]> = to_clients(&sent).collect();
                assert!(got.iter().all(|piece| piece.len() <= takes));
                if len == 1450 && mtu.is_none() {
                    assert_eq!(got.len(), 1, "it fits");
                } else {
                    assert!(reassemble(&got)[8..] == data[..len], "{family:?} {len}");
                }
            }
        }
    }
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn an_answer_on_the_link_itself_is_cut_too() {
    let mut scene = Scene::new(1, Scene::setup(1), 315);
    scene.net.interface_mtu(RACK, Some(NARROW));
    let data = [0x5a; 1400];
    let asked = echo_request(ip("fe80::11"), ip("fe80::1"), 7, 7, &data);
    let frame = ether(GATEWAY_MAC, server_mac(0), &asked);
    scene.net.take_tap();
    scene.net.inject(RACK, 0, &frame);
    scene.net.run_for(1000);
    let sent = scene.net.take_tap();
    let got: Vec<&[u8]> = to_rack(&sent).into_iter().map(|(_, got)| got).collect();
    assert!(got.len() == 2 && reassemble(&got)[8..] == data[..]);
    scene.finish();
}

/// The MTU that router advertisements tell.
fn advertised(sent: &[Sent]) -> Vec<u32> {
    let advert = |sent: &&Sent| sent.port == RACK && sent.bytes.get(54) == Some(&134);
    let mtu = |sent: &Sent| {
        let option = sent.bytes[54 + 24..].first_chunk::<8>().expect("its MTU");
        let [5, 1, 0, 0, a, b, c, d] = *option else {
            panic!("{option:?}")
        };
        u32::from_be_bytes([a, b, c, d])
    };
    sent.iter().filter(advert).map(mtu).collect()
}

#[test]
fn hosts_are_told_the_mtu_that_the_interface_has() {
    let mut ports = client_and_rack(GATEWAY_MAC);
    ports.0[RACK].rules.adverts = Some(Adverts {
        lifetime_s: 1800,
        interval_s: 1800,
    });
    let setup = Setup {
        ports,
        ..Scene::setup(1)
    };
    let mut scene = Scene::with_ports(1, setup, 314);
    scene.net.run_for(60_000);
    for (mtu, told) in [(Some(NARROW), NARROW), (None, 1500)] {
        scene.net.take_tap();
        scene.net.interface_mtu(RACK, mtu);
        scene.net.run_for(60_000);
        assert_eq!(advertised(&scene.net.take_tap()), [told; 3]);
    }
    scene.finish();
}

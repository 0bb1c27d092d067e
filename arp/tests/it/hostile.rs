//! Hostile frames, and random lives of a table: nothing panics, and the halves agree.

use arp::{Config, Fate, Mac, NeighIdx, NeighState, PortId, PortInfo};

use crate::rig::{OUR, OVERRIDE, P0, Rig, SOLICITED, advert, arp_frame, ip, mac};
use crate::rig::{nd_frame, solicit};

/// One of each kind of frame that is accepted when it is whole and asked for.
fn good() -> Vec<Vec<u8>> {
    let group = Mac([0x33, 0x33, 0xff, 0, 0, 1]);
    let all = Mac([0x33, 0x33, 0, 0, 0, 1]);
    vec![
        arp_frame(true, Mac::BROADCAST, mac(9), "10.0.0.9", "10.0.0.1"),
        arp_frame(false, OUR, mac(9), "10.0.0.9", "10.0.0.1"),
        nd_frame(
            group,
            mac(9),
            "fd00::9",
            "ff02::1:ff00:1",
            &solicit("fd00::1", Some(mac(9))),
        ),
        nd_frame(
            group,
            mac(9),
            "::",
            "ff02::1:ff00:1",
            &solicit("fd00::1", None),
        ),
        nd_frame(
            OUR,
            mac(9),
            "fd00::9",
            "fd00::1",
            &advert("fd00::9", SOLICITED, Some(mac(9))),
        ),
        nd_frame(
            all,
            mac(9),
            "fd00::9",
            "ff02::1",
            &advert("fd00::9", OVERRIDE, Some(mac(9))),
        ),
    ]
}

/// A rig that waits for both addresses of the frames above.
fn waiting() -> Rig {
    let mut rig = Rig::new();
    rig.reserve("10.0.0.9");
    rig.reserve("fd00::9");
    rig.run(0);
    rig
}

#[test]
fn a_frame_cut_short_at_any_length_is_ignored_and_a_whole_or_padded_one_is_not() {
    for frame in good() {
        for len in 0..frame.len() {
            let fate = waiting().input(&frame[..len]).fate;
            assert!(matches!(fate, Fate::Ignored(_)), "{len} of {frame:x?}");
        }
        let mut padded = frame.clone();
        padded.resize(1514, 0xa5);
        assert_eq!(waiting().input(&frame).fate, Fate::Accepted);
        assert_eq!(waiting().input(&padded).fate, Fate::Accepted);
    }
}

#[test]
fn every_byte_at_every_value_is_survived() {
    for frame in good() {
        let mut rig = waiting();
        for at in 0..frame.len() {
            for value in 0..=255 {
                let mut frame = frame.clone();
                frame[at] = value;
                rig.input(&frame);
                let _ = arp::is_neighbour_frame(&frame);
            }
        }
        agree(&mut rig);
    }
}

#[test]
fn random_bytes_behind_any_of_our_headers_are_survived() {
    for seed in 0..50 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rig = waiting();
        let good = good();
        for _ in 0..2000 {
            let mut frame = good[rng.usize(0..good.len())].clone();
            let from = rng.usize(0..frame.len());
            frame.resize(rng.usize(0..200), 0);
            for byte in frame.iter_mut().skip(from) {
                *byte = rng.u8(..);
            }
            rig.input(&frame);
        }
        rig.run(100_000);
        agree(&mut rig);
    }
}

#[test]
fn options_of_every_type_and_length_are_survived() {
    for kind in 0..=255 {
        for length in [0, 1, 2, 4, 6, 8, 255] {
            let mut frame = good()[4].clone();
            frame.extend_from_slice(&[0; 64]);
            frame[19] += 64;
            frame[86..88].copy_from_slice(&[kind, length]);
            let (src, dst) = ("fd00::9".parse().unwrap(), "fd00::1".parse().unwrap());
            let mut icmp = smoltcp::wire::Icmpv6Packet::new_unchecked(&mut frame[54..]);
            icmp.fill_checksum(&src, &dst);
            waiting().input(&frame);
        }
    }
}

/// The table and the view say the same about every slot, and no slot has two owners.
fn agree(rig: &mut Rig) {
    let lines = rig.table.list(rig.now);
    let (used, limit) = rig.table.fills();
    assert_eq!(lines.len(), used);
    assert!(used <= limit);
    let owned = (0..limit as u32)
        .map(NeighIdx)
        .filter(|&idx| rig.state(idx) != NeighState::Free);
    assert_eq!(owned.count(), used);
    for line in lines {
        let (idx, word) = rig
            .view
            .resolve(line.port, &line.addr)
            .expect("listed, so found");
        assert_eq!((idx, word.state()), (line.idx, line.state));
        assert_eq!(word.mac(), line.mac.unwrap_or(Mac::ZERO));
        assert!(
            !word.usable() || word.mac().is_unicast(),
            "usable, so somewhere"
        );
    }
}

/// A second port, with the first one's prefixes halved.
fn other_port(up: bool) -> PortInfo {
    let addrs = vec![(ip("10.0.0.129"), 25), (ip("fe80::2"), 64)];
    PortInfo {
        port: PortId(1),
        mac: mac(250),
        addrs,
        up,
        advertise: None,
    }
}

#[test]
fn random_lives_keep_table_and_view_in_step() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let cfg = Config {
            limit: 24,
            incomplete_limit_per_port: 8,
            ..Config::default()
        };
        let mut rig = Rig::with(cfg);
        for host in (2..40).step_by(3) {
            rig.host(&format!("10.0.0.{host}"), mac(host));
            rig.host(&format!("fe80::{host:x}"), mac(host));
        }
        let mut reserved: Vec<NeighIdx> = Vec::new();
        for _ in 0..2000 {
            let host = rng.u8(2..40);
            let v4 = rng.bool();
            let text = if v4 {
                format!("10.0.0.{host}")
            } else {
                format!("fe80::{host:x}")
            };
            let addr = ip(&text);
            let port = PortId(u16::from(rng.u8(..) < 40));
            match rng.u8(0..20) {
                0..=5 => drop(rig.table.ask(port, addr, rig.now)),
                6 | 7 => reserved.extend(rig.table.reserve(port, addr, rig.now)),
                8 | 9 if !reserved.is_empty() => {
                    let idx = reserved.swap_remove(rng.usize(0..reserved.len()));
                    rig.table.release(idx, rig.now);
                }
                10 => drop(rig.table.delete(rng.bool().then_some(port), &addr)),
                11 if rng.u8(..) < 60 => {
                    let _ = rig.table.set_static(port, addr, mac(host), rng.bool());
                }
                12 if v4 => {
                    let from = mac(rng.u8(2..40));
                    let tpa = if rng.bool() { "10.0.0.1" } else { "10.0.0.3" };
                    rig.input(&arp_frame(rng.bool(), Mac::BROADCAST, from, &text, tpa));
                }
                12 => {
                    let said = advert(&text, SOLICITED | OVERRIDE, Some(mac(rng.u8(2..40))));
                    rig.input(&nd_frame(OUR, mac(host), &text, "fe80::1", &said));
                }
                13 => {
                    let at = rng.usize(0..rig.hosts.len());
                    rig.hosts[at].alive ^= true;
                }
                14 if rng.u8(..) < 30 => rig.set_port(rng.u8(..) < 160),
                15 if rng.u8(..) < 30 => rig.set_port_to(other_port(rng.bool())),
                16 if rng.u8(..) < 10 => rig.table.remove_port(port),
                17 => rig.table.used(NeighIdx(rng.u32(0..30)), rig.now),
                18 if rng.u8(..) < 5 => rig.run(1_300_000),
                _ => rig.run([1, 100, 1000, 5000][rng.usize(0..4)]),
            }
            agree(&mut rig);
            for &idx in &reserved {
                let line = rig
                    .table
                    .list(rig.now)
                    .into_iter()
                    .find(|line| line.idx == idx);
                assert!(
                    line.is_some_and(|line| line.reserved),
                    "a reserved one went"
                );
            }
        }
        // Everything comes to rest: all hosts alive, all gateways found or down.
        rig.hosts.iter_mut().for_each(|host| host.alive = true);
        rig.set_port(true);
        rig.run(10_000);
        for &idx in &reserved {
            let line = rig
                .table
                .list(rig.now)
                .into_iter()
                .find(|line| line.idx == idx);
            let line = line.expect("still there");
            let there = rig.hosts.iter().any(|host| host.addr == line.addr) && line.port == P0;
            let up = there || line.permanent;
            assert_eq!(rig.table.is_up(idx), Some(up), "{line:?}");
            assert_eq!(rig.view.word(idx).usable(), up, "{line:?}");
        }
        // And to nothing, once nobody needs anybody.
        for idx in reserved {
            rig.table.release(idx, rig.now);
        }
        rig.run(2_500_000);
        assert!(rig.table.list(rig.now).iter().all(|line| line.permanent));
        assert_eq!(rig.table.next_deadline(), None);
    }
}

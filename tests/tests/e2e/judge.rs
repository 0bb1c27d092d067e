//! The judge of what gateways send can find something wrong: malformed packets, wrong checksums, wrongly begun ones.

use flowgate_tests::conform::{Step, Vector};
use flowgate_tests::frames::{ether, udp};
use flowgate_tests::lab::judge::Judge;
use flowgate_tests::lab::{CLIENT_PORT, Lab, LabSpec, RACK_PORT, enter, eventually};
use flowgate_tests::net::craft::echo_request;
use flowgate_tests::rack::{GATEWAY_MAC, server_mac};
use flowgate_tests::sim::ip;
use flowgate_tests::test_name;
use stack::io::tun::{self, Device, DeviceSpec, Kind};
use stack::io::{Queue, Tx};
use stack::offload::{Offload, Partial};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const TOOLS: [&str; 2] = ["ip", "tshark"];

fn lab() -> Lab {
    Lab::new(LabSpec {
        servers: 1,
        ..LabSpec::default()
    })
}

fn device(kind: Kind, name: &str, offload: bool) -> Device {
    let spec = DeviceSpec {
        offload,
        ..DeviceSpec::new(kind, name)
    };
    tun::open(&spec).expect("a device")
}

fn send(device: &mut Device, frames: &[Vec<u8>]) {
    for frame in frames {
        assert_eq!(device.queues[0].tx(frame), Tx::Sent);
    }
}

fn datagram() -> Vec<u8> {
    let (from, to) = ("198.51.100.1:9", "198.51.100.2:9");
    udp(
        from.parse().expect("an address"),
        to.parse().expect("an address"),
        b"flowgate",
    )
}

/// A right packet, one with a wrong checksum, one with a wrong header checksum, one that is cut.
fn right_and_wrong() -> [Vec<u8>; 4] {
    let good = echo_request(ip("198.51.100.1"), ip("198.51.100.2"), 1, 1, b"flowgate");
    let mut all = [(); 4].map(|()| good.clone());
    all[1][23] ^= 1;
    all[2][11] ^= 1;
    all[3].truncate(22);
    all
}

#[test]
fn the_judge_finds_what_is_malformed_and_every_wrong_checksum() {
    let name = test_name!();
    if !enter(name, &TOOLS) {
        return;
    }
    let lab = lab();
    let judge = Judge::new(&lab.scratch).expect("tshark is there");
    let judge = judge.bare(CLIENT_PORT).ethernet(RACK_PORT);
    let mut tun = device(Kind::Tun, CLIENT_PORT, false);
    let mut tap = device(Kind::Tap, RACK_PORT, false);
    assert!(eventually(|| judge.hears()));
    send(&mut tun, &right_and_wrong());
    let frames = right_and_wrong().map(|packet| ether(GATEWAY_MAC, server_mac(1), &packet));
    send(&mut tap, &frames);
    let verdict = judge.verdict();
    assert_eq!(
        (verdict.packets, verdict.wrong.len()),
        (8, 6),
        "{verdict:?}"
    );
}

#[test]
fn a_checksum_that_was_left_to_a_device_is_judged_as_that_would_finish_it() {
    let name = test_name!();
    if !enter(name, &TOOLS) {
        return;
    }
    let lab = lab();
    let judge = Judge::new(&lab.scratch)
        .expect("tshark is there")
        .bare(CLIENT_PORT);
    let mut tun = device(Kind::Tun, CLIENT_PORT, true);
    assert!(eventually(|| judge.hears()));
    // The pseudo header's sum alone: addresses, protocol, length.
    let mut begun = datagram();
    let words = [0xc633, 0x6401, 0xc633, 0x6402, 17, begun.len() as u32 - 20];
    let sum: u32 = words.iter().sum();
    let sum = ((sum & 0xffff) + (sum >> 16)) as u16;
    begun[26..28].copy_from_slice(&sum.to_be_bytes());
    let mut wrong = begun.clone();
    wrong[27] ^= 1;
    let left = Offload {
        csum: Some(Partial {
            start: 20,
            offset: 6,
        }),
        ..Offload::NONE
    };
    for frame in [&begun, &wrong] {
        assert_eq!(tun.queues[0].tx_offload(frame, &left), Tx::Sent);
    }
    // The same bytes as a finished packet are wrong.
    send(&mut tun, &[begun, datagram()]);
    let verdict = judge.verdict();
    assert_eq!(
        (verdict.packets, verdict.wrong.len()),
        (4, 2),
        "{verdict:?}"
    );
}

#[test]
fn a_test_fails_by_its_judge_unless_it_said_why_that_is_sent() {
    let name = test_name!();
    if !enter(name, &TOOLS) {
        return;
    }
    let lab = lab();
    let tried = |sent: &[Vec<u8>], excused: bool| {
        let mut judge = Judge::new(&lab.scratch)
            .expect("tshark is there")
            .bare(CLIENT_PORT);
        let mut tun = device(Kind::Tun, CLIENT_PORT, false);
        assert!(eventually(|| judge.hears()));
        send(&mut tun, sent);
        if excused {
            judge.excuse("udp.port == 9", "a wrong datagram, as the test sent it");
        }
        let ended = catch_unwind(AssertUnwindSafe(|| drop(judge)));
        drop(tun);
        assert!(eventually(|| !has(CLIENT_PORT)));
        ended.is_ok()
    };
    let [good, bad, ..] = right_and_wrong();
    let mut wrong = datagram();
    wrong[30] ^= 1;
    assert!(tried(std::slice::from_ref(&good), false));
    assert!(!tried(&[good.clone(), wrong.clone()], false));
    assert!(tried(&[good, wrong.clone()], true));
    assert!(!tried(&[bad, wrong], true), "nothing else is excused");
    assert!(!tried(&[], false), "who saw nothing has judged nothing");
}

/// What `vectors` holds a live gateway to, byte by byte.
#[test]
fn all_that_vectors_have_a_gateway_send_is_right() {
    let name = test_name!();
    if !enter(name, &TOOLS) {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let files = std::fs::read_dir(folder).expect("the vectors");
    let paths = files.map(|file| file.expect("a file").path());
    let texts = paths.filter(|path| path.extension().is_some_and(|ends| ends == "txt"));
    let mut sent = [Vec::new(), Vec::new()];
    for path in texts {
        let text = std::fs::read_to_string(&path).expect("a text");
        let vector = Vector::parse(&text).expect("a vector");
        // Its errors quote what a test sent wrong: headers that tshark cannot read, as the router could not.
        if vector.name == "c50_extension_headers_that_ask_for_more_are_answered_or_not_as_they_say"
        {
            continue;
        }
        for step in vector.steps {
            if let Step::Out(port, bytes) = step {
                sent[usize::from(port == "clients")].push(bytes);
            }
        }
    }
    let lab = lab();
    let mut judge = Judge::new(&lab.scratch).expect("tshark is there");
    for (is_bare, frames) in [false, true].into_iter().zip(&sent) {
        judge = judge.frames(is_bare, frames.iter().map(Vec::as_slice));
    }
    let verdict = judge.verdict();
    assert!(verdict.packets > 300, "{verdict:?}");
    assert!(verdict.wrong.is_empty(), "{}", verdict.wrong.join("\n"));
}

fn has(interface: &str) -> bool {
    let netlink = stack::io::netlink::Netlink::open().expect("netlink");
    netlink.link_index(interface).is_ok()
}

//! What `explain` and captures show of a VLAN's frames.

use super::*;
use stack::capture::Fate;
use stack::control::{Framing, PacketAsk, Verdict};

#[test]
fn explain_says_what_becomes_of_a_tagged_frame() {
    let mut sim = gateway();
    let frame = from(RED, &datagram(RED, BLUE, false));
    let ask = PacketAsk {
        port: PortId(TRUNK as u16),
        framing: Framing::Ether,
        bytes: &frame,
    };
    let said = sim.gateway.control.explain(&ask, sim.now).unwrap();
    let Verdict::Forward(way) = said.verdict else {
        panic!("{said:?}");
    };
    assert_eq!(way.port, PortId(BLUE as u16));
    assert!(
        said.packet
            .starts_with("udp 192.0.100.11:1000 > 192.0.200.11:53"),
        "{}",
        said.packet
    );
    let causes: Vec<&str> = said.steps.iter().map(|step| step.cause.as_str()).collect();
    for wanted in ["tag of VLAN 100: red", "in by red, which is up"] {
        assert!(causes.contains(&wanted), "{wanted}: {causes:?}");
    }
    let output = causes.last().unwrap();
    assert!(
        output.starts_with("out by trunk.200 (tagged 810000c8, by trunk), TTL 63"),
        "{output}"
    );
    sim.put(TRUNK, 0, &frame);
    let sent = one(sim.settle());
    let header = way.header.unwrap();
    assert_eq!(
        [&header[..12], tag(BLUE), &header[12..]].concat(),
        sent.bytes[..18]
    );
    // Asked of the VLAN itself, without a tag.
    let bare = ether(GATEWAY_MAC, host(RED, false).1, &datagram(RED, BLUE, false));
    let ask = PacketAsk {
        port: PortId(RED as u16),
        bytes: &bare,
        ..ask
    };
    let said = sim.gateway.control.explain(&ask, sim.now).unwrap();
    assert!(matches!(said.verdict, Verdict::Forward(way) if way.port == PortId(BLUE as u16)));
    // And with its tag, or another: such a frame has come by the trunk.
    for (port, vid, name) in [(RED, 100, "red"), (BLUE, 200, "trunk.200")] {
        let frame = from(port, &datagram(port, CLIENTS, false));
        let ask = PacketAsk {
            port: PortId(RED as u16),
            bytes: &frame,
            ..ask
        };
        let said = sim.gateway.control.explain(&ask, sim.now).unwrap();
        assert!(
            matches!(said.verdict, Verdict::Forward(way) if way.port == PortId(CLIENTS as u16)),
            "{said:?}"
        );
        let causes: Vec<&str> = said.steps.iter().map(|step| step.cause.as_str()).collect();
        let taken = "frames of red come by trunk with their tag: taken as come by trunk";
        let tag = format!("tag of VLAN {vid}: {name}");
        assert!(
            causes.contains(&taken) && causes.contains(&&*tag),
            "{causes:?}"
        );
    }
}

#[test]
fn captures_have_the_vlan_s_frames_without_its_tag() {
    let mut sim = gateway();
    let rings = sim.gateway.control.captures();
    rings.iter().for_each(|rings| rings.want(1));
    let packet = datagram(RED, BLUE, false);
    sim.put(TRUNK, 0, &from(RED, &packet));
    sim.settle();
    let mut read = Vec::new();
    rings[0].all().unwrap().read_from(0, 0, &mut read);
    let without = |frame: Vec<u8>| [&frame[..12], &frame[16..]].concat();
    let came = (
        PortId(RED as u16),
        Fate::Forward,
        without(from(RED, &packet)),
    );
    let left = (PortId(BLUE as u16), Fate::Sent, without(to(BLUE, &packet)));
    let read: Vec<_> = read
        .into_iter()
        .map(|r| (r.port, r.fate, r.bytes))
        .collect();
    assert_eq!(read, [came, left]);
}

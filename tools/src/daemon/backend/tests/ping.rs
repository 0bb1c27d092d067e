//! Pings of the running gateway: what is refused, what is answered, what ends them.

use super::*;
use crate::server::Pinging;
use crate::wire::ping::Ping;
use crate::wire::ping::PingOutcome;
use stack::icmp::Error;
use stack::icmp::build_error;
use stack::icmp::echo_reply;
use stack::parse;
use stack::pkt::Pkt;
use std::sync::mpsc::RecvTimeoutError;

/// A client behind the uplink, which has no link layer.
const CLIENT: &str = "10.99.0.2";

fn ask(address: &str) -> Ping {
    Ping {
        address: address.parse().unwrap(),
        port: None,
        count: Some(2),
        interval: 10,
        wait: 60_000,
        size: 56,
    }
}

fn started(rig: &mut Rig, ask: Ping) -> Pinging {
    match heard(rig.live.ping(ask)) {
        Ok(pinging) => pinging,
        Err(error) => panic!("{error}"),
    }
}

fn refused(rig: &mut Rig, ask: Ping) -> (Reason, String) {
    refusal(heard(rig.live.ping(ask)).map(|_| ()))
}

/// The next echo request to this address; late ones to others are passed over.
fn request_to(rig: &mut Rig, address: &str) -> (Vec<u8>, parse::IpMeta) {
    loop {
        let packet = request(rig);
        let meta = parse::read(&packet).unwrap();
        if meta.addrs.dst().to_string() == address {
            return (packet, meta);
        }
    }
}

/// The next echo request that leaves for the client.
fn request(rig: &mut Rig) -> Vec<u8> {
    let mut bytes = vec![0; 2000];
    until(rig, |rig| {
        let len = rig.uplink.rx(&mut bytes)?;
        bytes.truncate(len);
        Some(())
    });
    bytes
}

#[test]
fn a_client_is_pinged_and_its_round_trip_is_told() {
    let mut rig = rig();
    let mut next = started(&mut rig, ask(CLIENT));
    for sequence in 0..2 {
        let mut packet = request(&mut rig);
        let meta = parse::read(&packet).unwrap();
        assert_eq!(meta.addrs.src().to_string(), "10.99.0.1");
        assert_eq!(echo_reply(&mut packet, &meta), Ok(true));
        assert!(rig.uplink.tx(&packet));
        let result = next(Duration::from_secs(10)).unwrap();
        assert_eq!(
            (result.sequence, result.outcome),
            (sequence, PingOutcome::Reply)
        );
        assert_eq!((result.bytes, result.ttl), (Some(64), Some(64)));
        assert!(result.rtt.is_some_and(|us| us > 0), "{result:?}");
    }
    let end = next(Duration::from_secs(10));
    assert_eq!(end, Err(RecvTimeoutError::Disconnected));
}

#[test]
fn nobody_who_answers_is_a_timeout() {
    let mut rig = rig();
    let silent = Ping {
        wait: 20,
        ..ask(CLIENT)
    };
    let mut next = started(&mut rig, silent);
    let result = next(Duration::from_secs(10)).unwrap();
    assert_eq!((result.sequence, result.outcome), (0, PingOutcome::Timeout));
    assert_eq!(result.address.to_string(), CLIENT);
}

#[test]
fn what_cannot_be_pinged_is_refused_in_one_line() {
    let mut rig = rig();
    let blackhole = RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix("172.16.0.0/12"),
        paths: vec![PathSpec {
            kind: PathKind::Blackhole,
            ..PathSpec::default()
        }],
    };
    rig.live.route_add(blackhole).unwrap();
    let cases = [
        (
            "198.51.100.1",
            Reason::Unreachable,
            "No route to host: no route covers 198.51.100.1",
        ),
        (
            "172.16.0.1",
            Reason::Unreachable,
            "No route to host: 172.16.0.0/12 is a blackhole",
        ),
        (
            "192.0.2.1",
            Reason::Invalid,
            "192.0.2.1 is the gateway's own address: nothing would be sent",
        ),
        (
            "192.0.2.255",
            Reason::Invalid,
            "192.0.2.255 is a network's broadcast address: write one host's",
        ),
        (
            "ff02::1",
            Reason::Invalid,
            "ff02::1 is not one host's address: write a unicast one",
        ),
        (
            "fe80::1",
            Reason::Invalid,
            "fe80::1 is valid on one link only, and no port has a link-local address",
        ),
    ];
    for (address, reason, line) in cases {
        assert_eq!(refused(&mut rig, ask(address)), (reason, line.into()));
    }
    for (address, most) in [(CLIENT, 1472), ("fd99::2", 1452)] {
        let sized = |size| Ping {
            size,
            ..ask(address)
        };
        let (reason, line) = refused(&mut rig, sized(most + 1));
        assert_eq!(reason, Reason::Invalid);
        assert!(
            line.ends_with(&format!("so write {most} at most")),
            "{line}"
        );
        drop(started(&mut rig, sized(most)));
    }
}

#[test]
fn pings_at_once_are_bounded_and_one_that_is_dropped_makes_room() {
    let mut rig = rig();
    let endless = Ping {
        count: None,
        interval: 3_600_000,
        ..ask(CLIENT)
    };
    let mut all: Vec<_> = (0..16)
        .map(|_| started(&mut rig, endless.clone()))
        .collect();
    let busy = (
        Reason::Busy,
        "16 pings are under way already: try again later".into(),
    );
    assert_eq!(refused(&mut rig, endless.clone()), busy);
    // The host hears of the end before it hears of the next beginning.
    all.pop();
    all.push(started(&mut rig, endless.clone()));
    assert_eq!(refused(&mut rig, endless), busy);
}

#[test]
fn a_router_that_cannot_send_it_on_is_told_with_its_reason() {
    let mut rig = rig();
    for (address, router) in [(CLIENT, "10.99.0.254"), ("fd99::2", "fd99::fe")] {
        let mut next = started(&mut rig, ask(address));
        let (packet, meta) = request_to(&mut rig, address);
        let from = router.parse().unwrap();
        let mut error = Pkt::with_size(2000);
        let why = Error::HostUnreachable;
        assert!(build_error(why, &packet, &meta, from, 1, &mut error));
        assert!(rig.uplink.tx(error.bytes()));
        let result = next(Duration::from_secs(10)).unwrap();
        assert_eq!(result.outcome, PingOutcome::Unreachable, "{result:?}");
        assert_eq!((result.address, result.sequence), (from, 0));
        let reason = result.reason.as_deref();
        assert_eq!(reason, Some("Destination Host Unreachable"));
    }
}

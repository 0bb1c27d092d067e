//! A ping's life: what ends it, and that nothing of it is without a bound.

use super::*;
use crate::ports::{Layer, Port, PortAddr};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

fn ports() -> Ports {
    let own = |addr: &str, len| PortAddr {
        addr: addr.parse().unwrap(),
        len,
    };
    Ports(vec![Port {
        id: PortId(0),
        name: "rack".into(),
        fib: route::FibId(0),
        layer: Layer::L3,
        mtu: 1500,
        narrowed: None,
        up: true,
        addrs: vec![own("192.0.2.1", 24)],
        rules: Default::default(),
        vlan: None,
    }])
}

fn spec(count: Option<u64>) -> PingSpec {
    PingSpec {
        addr: "192.0.2.11".parse().unwrap(),
        port: None,
        source: None,
        count,
        interval_ms: 100,
        wait_ms: 250,
        size: 56,
    }
}

struct Rig {
    pings: Pings,
    pool: Pool,
}

impl Rig {
    fn new() -> Self {
        Self {
            pings: Pings::default(),
            pool: Pool::new(64, 1600),
        }
    }

    fn start(&mut self, spec: PingSpec, room: usize) -> (u64, Receiver<PingOutcome>) {
        let (told, outcomes) = sync_channel(room);
        let started = self.pings.start(spec, told, 0, &ports());
        (started.unwrap(), outcomes)
    }

    /// Requests that leave at this time.
    fn at(&mut self, ms: u64) -> Vec<Pkt> {
        let mut out = Vec::new();
        let now = Moment { ms, us: ms * 1000 };
        self.pings.turn(now, &mut self.pool, &mut out);
        out
    }

    fn answer(&mut self, mut request: Pkt, us: u64) -> bool {
        let meta = crate::parse::read(request.bytes()).unwrap();
        crate::icmp::echo_reply(request.bytes_mut(), &meta).unwrap();
        let meta = crate::parse::read(request.bytes()).unwrap();
        self.pings.input(&meta, request.bytes(), us)
    }
}

fn sequences(outcomes: &Receiver<PingOutcome>) -> Vec<(u64, bool)> {
    let is_reply = |o: PingOutcome| (o.sequence, matches!(o.end, PingEnd::Reply { .. }));
    outcomes.try_iter().map(is_reply).collect()
}

#[test]
fn requests_go_out_at_their_times_and_end_with_answer_or_timeout() {
    let mut rig = Rig::new();
    let (_, outcomes) = rig.start(spec(Some(2)), 8);
    let first = rig.at(0).remove(0);
    assert!(rig.at(50).is_empty());
    assert_eq!(rig.pings.next_at(), Some(100));
    assert_eq!(rig.at(100).len(), 1);
    assert!(rig.answer(first, 120_345));
    let reply = PingEnd::Reply {
        bytes: 64,
        rtt_us: 120_345,
        ttl: 64,
    };
    let told = outcomes.try_recv().unwrap();
    assert_eq!((told.sequence, told.end), (0, reply));
    assert_eq!(rig.pings.next_at(), Some(350));
    rig.at(349);
    assert_eq!(outcomes.try_recv(), Err(TryRecvError::Empty));
    rig.at(350);
    assert_eq!(sequences(&outcomes), [(1, false)]);
    assert_eq!(outcomes.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(rig.pings.next_at(), None);
}

#[test]
fn second_and_late_and_foreign_answers_say_nothing() {
    let mut rig = Rig::new();
    let (_, outcomes) = rig.start(spec(None), 8);
    let request = rig.at(0).remove(0);
    let mut twin = Pkt::with_size(1600);
    assert!(twin.copy_from(request.bytes()));
    let mut foreign = Pkt::with_size(1600);
    let ends = (spec(None).addr, spec(None).addr);
    let len = echo::write(ends, 1, 0, 56, foreign.space()).unwrap();
    foreign.filled(len);
    assert!(!rig.answer(foreign, 1), "another identifier");
    assert!(rig.answer(request, 1));
    assert!(rig.answer(twin, 2));
    let late = rig.at(100).remove(0);
    rig.at(400);
    assert!(rig.answer(late, 401));
    assert_eq!(sequences(&outcomes), [(0, true), (1, false)]);
}

#[test]
fn sequences_go_on_beyond_16_bits() {
    let mut rig = Rig::new();
    let (_, outcomes) = rig.start(spec(None), 8);
    rig.pings.all[0].sent = 65_537;
    let request = rig.at(0).remove(0);
    assert!(rig.answer(request, 1));
    assert_eq!(sequences(&outcomes), [(65_537, true)]);
}

#[test]
fn whoever_goes_away_or_does_not_read_ends_its_ping() {
    let mut rig = Rig::new();
    let (_, gone) = rig.start(spec(None), 8);
    drop(gone);
    let (_, slow) = rig.start(spec(None), 1);
    let (stopped, _outcomes) = rig.start(spec(None), 8);
    rig.at(0);
    rig.pings.stop(stopped);
    rig.pings.stop(stopped);
    assert_eq!(rig.pings.all.len(), 2);
    rig.at(250);
    assert_eq!(rig.pings.all.len(), 1);
    rig.at(500);
    assert!(rig.pings.all.is_empty());
    assert_eq!(sequences(&slow), [(0, false)]);
    assert_eq!(slow.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn there_is_a_bound_of_pings_and_of_waiting_requests() {
    let mut rig = Rig::new();
    let outcomes: Vec<_> = (0..PINGS).map(|_| rig.start(spec(None), 8)).collect();
    let (told, _rest) = sync_channel(1);
    let one_more = rig.pings.start(spec(None), told.clone(), 0, &ports());
    assert_eq!(one_more, Err(PingRefusal::TooMany));
    rig.pings.stop(outcomes[3].0);
    assert!(
        rig.pings
            .start(spec(None), told.clone(), 0, &ports())
            .is_ok()
    );
    let mut idents: Vec<u16> = rig.pings.all.iter().map(|p| p.ident).collect();
    idents.sort_unstable();
    idents.dedup();
    assert_eq!(idents.len(), PINGS);

    let mut rig = Rig::new();
    let v6 = PingSpec {
        addr: "fd00::1".parse().unwrap(),
        ..spec(None)
    };
    let refused = rig.pings.start(v6, told, 0, &ports());
    assert_eq!(refused, Err(PingRefusal::NoSource));
    let endless = PingSpec {
        interval_ms: 1,
        wait_ms: u64::MAX,
        ..spec(None)
    };
    let (_, outcomes) = rig.start(endless, 8);
    // The pool is used up soon: what finds no buffer waits like any other.
    (0..8200).for_each(|ms| drop(rig.at(ms)));
    assert_eq!(rig.pings.all[0].waiting.len(), WAITING);
    assert_eq!(sequences(&outcomes).len(), 8);
}

#[test]
fn a_ping_that_was_late_does_not_hurry() {
    let mut rig = Rig::new();
    let (_, _outcomes) = rig.start(spec(None), 64);
    assert_eq!(rig.at(0).len(), 1);
    assert_eq!(rig.at(5000).len(), 1);
    assert!(rig.at(5000).is_empty());
    assert_eq!(rig.at(5001).len(), 1);
    assert!(rig.at(5100).is_empty());
    assert_eq!(rig.at(5101).len(), 1);
}

#[test]
fn the_largest_ping_fills_the_packet() {
    assert_eq!(largest_ping(&"192.0.2.1".parse().unwrap(), 1500), 1472);
    assert_eq!(largest_ping(&"fd00::1".parse().unwrap(), 1280), 1232);
    assert_eq!(largest_ping(&"fd00::1".parse().unwrap(), 20), 0);
}

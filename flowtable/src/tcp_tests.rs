use super::*;
use crate::key::Dir::{self, Fwd, Rev};
use crate::state::Seen;
use crate::state::State::*;
use crate::track::Touch::*;

const FIN: u8 = L4::FIN;
const SYN: u8 = L4::SYN;
const RST: u8 = L4::RST;
const ACK: u8 = L4::ACK;

/// Initial sequence numbers, so that a wrap of the marks happens in every test.
const ISN: u32 = 0xffff_fff0;
const PEER: u32 = 0x7000_0000;
/// Far from either.
const FAR: u32 = 0x2000_0000;

fn tcp(flags: u8, seq: u32, ack: u32, len: u32) -> Seen {
    Seen {
        l4: L4::Tcp {
            flags,
            seq,
            ack,
            window: 1000,
            len,
        },
        bytes: 40 + len,
        in_port: 1,
    }
}

/// A connection under test, and the clock.
struct Conn {
    track: Track,
    now: u32,
    last: u32,
    packets: u64,
}

impl Conn {
    fn new(dir: Dir, seen: &Seen) -> Self {
        Self {
            track: Track::first(dir, seen),
            now: 0,
            last: 0,
            packets: 1,
        }
    }

    /// A packet, `after` ticks later.
    fn packet(&mut self, after: u32, dir: Dir, seen: &Seen) -> Touch {
        self.now += after;
        let when = When {
            age: self.now,
            idle: self.now - self.last,
            packets: self.packets,
        };
        self.packets += 1;
        let touch = self.track.step(dir, seen, when);
        if touch != Counted {
            self.last = self.now;
        }
        touch
    }

    fn is(&self, state: State, class: Class) {
        assert_eq!((self.track.state, self.track.class), (state, class));
    }

    /// SYN, SYN-ACK, ACK, all seen.
    fn established() -> Self {
        let mut conn = Self::new(Fwd, &tcp(SYN, ISN, 0, 0));
        conn.is(Syn, Class::Probation);
        assert_eq!(
            conn.packet(0, Rev, &tcp(SYN | ACK, PEER, ISN.wrapping_add(1), 0)),
            Used
        );
        conn.is(SynAck, Class::Probation);
        assert_eq!(
            conn.packet(0, Fwd, &tcp(ACK, ISN.wrapping_add(1), PEER + 1, 0)),
            Used
        );
        conn.is(Established, Class::TwoWay);
        conn
    }

    /// SYN, then ACKs and requests of the client; the server answers past us.
    fn direct_return() -> Self {
        let mut conn = Self::new(Fwd, &tcp(SYN, ISN, 0, 0));
        assert_eq!(
            conn.packet(0, Fwd, &tcp(ACK, ISN.wrapping_add(1), PEER + 1, 0)),
            Used
        );
        conn.is(Established, Class::Probation);
        assert_eq!(
            conn.packet(1, Fwd, &tcp(ACK, ISN.wrapping_add(1), PEER + 1, 500)),
            Used
        );
        conn.is(Established, Class::OneWay);
        conn
    }

    fn next_fwd(&self, flags: u8) -> Seen {
        tcp(flags, ISN.wrapping_add(1), PEER + 1, 0)
    }

    fn next_rev(&self, flags: u8) -> Seen {
        tcp(flags, PEER + 1, ISN.wrapping_add(1), 0)
    }
}

#[test]
fn a_handshake_seen_from_both_sides_is_two_way_at_once() {
    Conn::established();
}

#[test]
fn under_direct_return_a_connection_is_one_way_a_tick_after_its_opener() {
    Conn::direct_return();
}

#[test]
fn both_fins_close_and_one_fin_waits() {
    let mut conn = Conn::established();
    assert_eq!(conn.packet(5, Fwd, &conn.next_fwd(FIN | ACK)), Used);
    conn.is(FinWait, Class::TwoWay);
    assert_eq!(conn.packet(0, Rev, &conn.next_rev(ACK)), Used);
    conn.is(FinWait, Class::TwoWay);
    assert_eq!(conn.packet(0, Rev, &conn.next_rev(FIN | ACK)), Used);
    conn.is(Closed, Class::TwoWay);
    assert_eq!(conn.packet(0, Fwd, &conn.next_fwd(ACK)), Used);
    conn.is(Closed, Class::TwoWay);
}

#[test]
fn a_syn_on_a_live_connection_changes_nothing() {
    for flags in [SYN, SYN | 0xc0, SYN | ACK, SYN | FIN, SYN | FIN | ACK] {
        for dir in [Fwd, Rev] {
            for (seq, ack) in [(ISN, PEER), (FAR, FAR), (0, 0)] {
                for mut conn in [Conn::established(), Conn::direct_return()] {
                    let before = conn.track;
                    assert_eq!(conn.packet(100, dir, &tcp(flags, seq, ack, 0)), Counted);
                    assert_eq!(conn.track, before, "{flags} {dir:?} {seq:x}");
                }
            }
        }
    }
}

#[test]
fn a_syn_on_a_flow_that_has_seen_only_a_syn_is_a_retransmission() {
    let mut conn = Conn::new(Fwd, &tcp(SYN, ISN, 0, 0));
    assert_eq!(conn.packet(10, Fwd, &tcp(SYN, ISN, 0, 0)), Used);
    assert_eq!(conn.packet(20, Fwd, &tcp(SYN, ISN, 0, 0)), Used);
    conn.is(Syn, Class::Probation);
    // A SYN the other way, for a simultaneous open, might be forged: it leaves all as it is.
    assert_eq!(conn.packet(0, Rev, &tcp(SYN, PEER, 0, 0)), Counted);
    conn.is(Syn, Class::Probation);
}

#[test]
fn a_forged_second_syn_does_not_keep_a_connection_from_being_established() {
    let mut conn = Conn::new(Fwd, &tcp(SYN, ISN, 0, 0));
    let _ = conn.packet(0, Fwd, &tcp(SYN, FAR, 0, 0));
    let _ = conn.packet(0, Rev, &tcp(SYN | ACK, PEER, ISN.wrapping_add(1), 0));
    assert_eq!(conn.packet(1, Fwd, &conn.next_fwd(ACK)), Used);
    assert_eq!(conn.packet(0, Rev, &conn.next_rev(ACK)), Used);
    conn.is(Established, Class::TwoWay);
}

#[test]
fn a_syn_ack_that_acknowledges_something_else_is_not_believed() {
    let mut conn = Conn::new(Fwd, &tcp(SYN, ISN, 0, 0));
    assert_eq!(conn.packet(0, Rev, &tcp(SYN | ACK, PEER, FAR, 0)), Counted);
    assert_eq!(conn.packet(0, Fwd, &tcp(SYN | ACK, PEER, ISN, 0)), Counted);
    conn.is(Syn, Class::Probation);
}

#[test]
fn a_rst_far_from_the_window_changes_nothing() {
    let step = (u32::from(NEAR) + 2) << UNIT_SHIFT;
    for flags in [RST, RST | ACK] {
        for seq in [FAR, ISN.wrapping_add(step), ISN.wrapping_sub(step)] {
            for mut conn in [Conn::established(), Conn::direct_return()] {
                let before = conn.track;
                assert_eq!(conn.packet(7, Fwd, &tcp(flags, seq, PEER + 1, 0)), Counted);
                assert_eq!(conn.track, before);
            }
        }
    }
}

#[test]
fn a_rst_in_sequence_resets_and_leaves_the_class() {
    let mut conn = Conn::established();
    assert_eq!(conn.packet(3, Rev, &conn.next_rev(RST)), Used);
    conn.is(Reset, Class::TwoWay);
    // Under direct return the server's sequence number is known from the client's acknowledgements.
    let mut conn = Conn::direct_return();
    assert_eq!(conn.packet(3, Rev, &conn.next_rev(RST)), Used);
    conn.is(Reset, Class::OneWay);
}

#[test]
fn a_refused_connection_is_reset_by_a_rst_with_sequence_number_zero() {
    let mut conn = Conn::new(Fwd, &tcp(SYN, ISN, 0, 0));
    assert_eq!(conn.packet(0, Rev, &tcp(RST | ACK, 0, FAR, 0)), Counted);
    assert_eq!(
        conn.packet(0, Rev, &tcp(RST, 0, ISN.wrapping_add(1), 0)),
        Counted
    );
    conn.is(Syn, Class::Probation);
    assert_eq!(
        conn.packet(0, Rev, &tcp(RST | ACK, 0, ISN.wrapping_add(1), 0)),
        Used
    );
    conn.is(Reset, Class::Probation);
}

#[test]
fn a_connection_that_goes_on_after_a_rst_was_not_reset() {
    for (dir, wait) in [(Fwd, REVIVED_BY_RESETTER), (Rev, REVIVED_BY_OTHER)] {
        let mut conn = Conn::established();
        assert_eq!(conn.packet(3, Fwd, &conn.next_fwd(RST)), Used);
        let data = if dir == Fwd {
            conn.next_fwd(ACK)
        } else {
            conn.next_rev(ACK)
        };
        // What was on its way when the RST passed does not count.
        assert_eq!(conn.packet(wait - 1, dir, &data), Counted);
        conn.is(Reset, Class::TwoWay);
        assert_eq!(conn.packet(1, dir, &data), Used);
        conn.is(Established, Class::TwoWay);
    }
}

#[test]
fn a_forged_rst_does_not_undo_a_fin() {
    let mut conn = Conn::established();
    let _ = conn.packet(0, Fwd, &conn.next_fwd(FIN | ACK));
    let _ = conn.packet(0, Fwd, &conn.next_fwd(RST));
    let _ = conn.packet(20, Rev, &conn.next_rev(ACK));
    conn.is(FinWait, Class::TwoWay);
}

#[test]
fn a_fin_far_from_the_window_changes_nothing() {
    let mut conn = Conn::established();
    let before = conn.track;
    let _ = conn.packet(0, Fwd, &tcp(FIN | ACK, FAR, FAR, 0));
    assert_eq!(conn.track, before);
}

#[test]
fn a_syn_after_its_own_fin_both_fins_or_a_rst_reopens() {
    let syn = tcp(SYN, FAR, 0, 0);
    let mut conn = Conn::established();
    let _ = conn.packet(0, Fwd, &conn.next_fwd(FIN | ACK));
    // Only this side has closed: a SYN of the other would be forged.
    assert_eq!(conn.packet(0, Rev, &syn), Counted);
    conn.is(FinWait, Class::TwoWay);
    assert_eq!(conn.packet(0, Fwd, &syn), Reopened);
    conn.is(Syn, Class::Probation);
    assert_eq!(conn.track, Track::first(Fwd, &syn));

    let mut conn = Conn::established();
    let _ = conn.packet(0, Fwd, &conn.next_fwd(FIN | ACK));
    let _ = conn.packet(0, Rev, &conn.next_rev(FIN | ACK));
    assert_eq!(conn.packet(0, Rev, &syn), Reopened);
    assert_eq!(conn.track.opener, Rev);

    let mut conn = Conn::direct_return();
    let _ = conn.packet(0, Fwd, &conn.next_fwd(RST));
    assert_eq!(conn.packet(0, Fwd, &syn), Reopened);
}

#[test]
fn a_connection_picked_up_midstream_is_confirmed_by_going_on() {
    let mut conn = Conn::new(Fwd, &tcp(ACK, ISN, PEER, 100));
    conn.is(Midstream, Class::Probation);
    let _ = conn.packet(0, Fwd, &tcp(ACK, ISN.wrapping_add(100), PEER, 100));
    conn.is(Midstream, Class::Probation);
    let _ = conn.packet(1, Fwd, &tcp(ACK, ISN.wrapping_add(200), PEER, 100));
    conn.is(Established, Class::OneWay);
    let _ = conn.packet(1, Rev, &tcp(ACK, PEER, ISN.wrapping_add(300), 0));
    conn.is(Established, Class::TwoWay);
}

#[test]
fn a_midstream_flow_answered_at_once_is_two_way_but_not_by_a_stranger() {
    let mut conn = Conn::new(Fwd, &tcp(ACK, ISN, PEER, 100));
    let _ = conn.packet(0, Rev, &tcp(ACK, FAR, FAR, 0));
    conn.is(Midstream, Class::Probation);
    let _ = conn.packet(0, Rev, &tcp(ACK, PEER, ISN.wrapping_add(100), 0));
    conn.is(Established, Class::TwoWay);
}

#[test]
fn first_packets_of_every_kind_start_in_their_state() {
    let cases = [
        (SYN, Syn, Fwd),
        (SYN | ACK, SynAck, Rev),
        (ACK, Midstream, Fwd),
        (0, Midstream, Fwd),
        (FIN | ACK, FinWait, Fwd),
        (RST, Reset, Fwd),
        (RST | ACK | FIN | SYN, Reset, Fwd),
        (0xff, Reset, Fwd),
    ];
    for (flags, state, opener) in cases {
        let track = Track::first(Fwd, &tcp(flags, ISN, PEER, 0));
        assert_eq!(
            (track.state, track.opener, track.class),
            (state, opener, Class::Probation),
            "{flags}"
        );
    }
}

#[test]
fn marks_follow_a_long_transfer_in_one_or_the_other_direction_and_its_losses() {
    let mut conn = Conn::established();
    let mut seq = ISN.wrapping_add(1);
    // 16 GiB uploaded in super-packets, some of which never reached us.
    for i in 0_u32..262_144 {
        let _ = conn.packet(0, Fwd, &tcp(ACK, seq, PEER + 1, 65_000));
        seq = seq.wrapping_add(65_000 * (1 + u32::from(i % 100 == 0) * 20));
    }
    assert_eq!(conn.packet(1, Fwd, &tcp(RST, seq, 0, 0)), Used);
    conn.is(Reset, Class::TwoWay);
    // The same downloaded, seen only by its acknowledgements.
    let mut conn = Conn::direct_return();
    let mut ack = PEER;
    for _ in 0..4096 {
        ack = ack.wrapping_add(4 << 20);
        let _ = conn.packet(0, Fwd, &tcp(ACK, ISN.wrapping_add(501), ack, 0));
    }
    assert_eq!(conn.packet(1, Rev, &tcp(RST, ack, 0, 0)), Used);
    conn.is(Reset, Class::OneWay);
}

#[test]
fn a_sweep_of_blind_rsts_is_believed_once_in_thousands() {
    let conn = Conn::established();
    let believed = (0..=u16::MAX).filter(|unit| {
        let mut track = conn.track;
        let seen = tcp(RST, u32::from(*unit) << UNIT_SHIFT, 0, 0);
        track.step(
            Fwd,
            &seen,
            When {
                age: 9,
                idle: 9,
                packets: 9,
            },
        ) != Counted
    });
    assert_eq!(believed.count(), usize::from(2 * NEAR + 1));
}

#[test]
fn whatever_comes_no_class_falls_and_no_live_connection_reopens() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut conn = if rng.bool() {
            Conn::established()
        } else {
            Conn::direct_return()
        };
        for _ in 0..500 {
            let before = conn.track;
            let near = |rng: &mut fastrand::Rng, base: u32| {
                if rng.bool() {
                    base.wrapping_add(rng.u32(..1000))
                } else {
                    rng.u32(..)
                }
            };
            let dir = if rng.bool() { Fwd } else { Rev };
            let (seq, ack) = (near(&mut rng, ISN), near(&mut rng, PEER));
            let seen = tcp(rng.u8(..), seq, ack, rng.u32(..70_000));
            let touch = conn.packet(rng.u32(..5), dir, &seen);
            match touch {
                Reopened => {
                    let closing = matches!(before.state, FinWait | Closed | Reset);
                    assert!(
                        closing && seen.l4.opens(),
                        "seed {seed}: {before:?} {seen:?}"
                    );
                }
                Counted => assert_eq!(conn.track, before, "seed {seed}: {seen:?}"),
                Used => assert!(conn.track.class >= before.class, "seed {seed}: {seen:?}"),
            }
        }
    }
}

use super::*;
use crate::key::Dir::{Fwd, Rev};

fn seen(l4: L4) -> Seen {
    Seen {
        l4,
        bytes: 100,
        in_port: 0,
    }
}

fn when(age: u32, packets: u64) -> When {
    When {
        age,
        idle: 0,
        packets,
    }
}

#[test]
fn each_protocol_has_a_state_for_one_and_for_both_directions() {
    let cases = [
        (L4::Udp, State::UdpOneWay, State::UdpTwoWay),
        (L4::Icmp, State::IcmpOneWay, State::IcmpTwoWay),
        (L4::Other, State::OtherOneWay, State::OtherTwoWay),
        (L4::Opener, State::OtherOneWay, State::OtherTwoWay),
    ];
    for (l4, one, two) in cases {
        let mut track = Track::first(Rev, &seen(l4));
        assert_eq!((track.state, track.opener), (one, Rev));
        assert_eq!(track.step(Rev, &seen(l4), when(0, 1)), Touch::Used);
        assert_eq!((track.state, track.class), (one, Class::Probation));
        assert_eq!(track.step(Fwd, &seen(l4), when(0, 2)), Touch::Used);
        assert_eq!(
            (track.state, track.class, track.opener),
            (two, Class::TwoWay, Rev)
        );
    }
}

#[test]
fn one_way_takes_three_packets_and_a_second() {
    for (age, packets, class) in [
        (0, 1, Class::Probation),
        (10, 1, Class::Probation),
        (9, 1000, Class::Probation),
        (10, 2, Class::OneWay),
        (600, 9, Class::OneWay),
    ] {
        let mut track = Track::first(Fwd, &seen(L4::Udp));
        let _ = track.step(Fwd, &seen(L4::Udp), when(age, packets));
        assert_eq!(track.class, class, "age {age}, {packets} packets before");
    }
}

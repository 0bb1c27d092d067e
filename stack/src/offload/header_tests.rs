use super::*;

fn header(flags: u8, kind: u8, [len, size, start, offset]: [u16; 4]) -> [u8; VNET_HDR] {
    let mut header = [flags, kind, 0, 0, 0, 0, 0, 0, 0, 0];
    for (at, value) in [len, size, start, offset].into_iter().enumerate() {
        header[2 + at * 2..4 + at * 2].copy_from_slice(&value.to_ne_bytes());
    }
    header
}

/// A TCP super-packet's first bytes behind an Ethernet header: only the data offset is read.
fn frame() -> Vec<u8> {
    let mut frame = vec![0; 9000];
    frame[34 + 12] = 8 << 4;
    frame
}

#[test]
fn what_is_written_is_read_again_and_headers_are_counted() {
    let frame = frame();
    let csum = Some(Partial {
        start: 34,
        offset: 16,
    });
    let kinds = [
        None,
        Some((GsoKind::Tcp4, false, 1, 34 + 32)),
        Some((GsoKind::Tcp4, true, 0x81, 34 + 32)),
        Some((GsoKind::Tcp6, false, 4, 34 + 32)),
        Some((GsoKind::Udp, false, 5, 34 + 8)),
    ];
    for kind in kinds {
        let gso = kind.map(|(kind, ecn, ..)| Gso {
            kind,
            size: 1448,
            ecn,
        });
        let offload = Offload { gso, csum };
        let bytes = offload.encode(&frame);
        let (kind, len, size) = kind.map_or((0, 0, 0), |(.., kind, len)| (kind, len, 1448));
        assert_eq!(bytes, header(1, kind, [len, size, 34, 16]));
        assert_eq!(Offload::decode(&bytes, frame.len()), Ok(offload));
    }
    assert_eq!(Offload::NONE.encode(&frame), [0; VNET_HDR]);
    assert_eq!(Offload::decode(&[0; VNET_HDR], 0), Ok(Offload::NONE));
}

#[test]
fn a_finished_checksum_that_was_verified_is_a_finished_checksum() {
    let valid = header(2, 0, [0, 0, 0, 0]);
    assert_eq!(Offload::decode(&valid, 60), Ok(Offload::NONE));
}

#[test]
fn a_header_that_cannot_be_is_refused() {
    let bad = [
        ("a flag that nobody agreed on", header(4, 0, [0; 4])),
        ("UFO", header(1, 3, [42, 1448, 34, 6])),
        ("an unknown kind", header(1, 2, [42, 1448, 34, 6])),
        ("ECN of nothing", header(1, 0x80, [42, 1448, 34, 6])),
        ("ECN of UDP", header(1, 0x85, [42, 1448, 34, 6])),
        ("no segment size", header(1, 1, [66, 0, 34, 16])),
        ("a finished super-packet", header(0, 1, [66, 1448, 34, 16])),
        ("a field beyond the frame", header(1, 0, [0, 0, 34, 25])),
        ("a far start", header(1, 0, [0, 0, 0xffff, 0xffff])),
    ];
    for (what, header) in bad {
        assert_eq!(Offload::decode(&header, 60), Err(BadHeader), "{what}");
    }
    let last = header(1, 0, [0, 0, 34, 24]);
    assert!(Offload::decode(&last, 60).is_ok(), "the last two bytes");
}

#[test]
fn any_ten_bytes_are_refused_or_make_sense() {
    let seed = 0x5eed_0ff1;
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut good, mut bad) = (0, 0);
    for round in 0..200_000 {
        let mut header: [u8; VNET_HDR] = std::array::from_fn(|_| rng.u8(..));
        if rng.bool() {
            // Near enough to a good one that much of it gets through.
            (header[0], header[1]) = (rng.u8(..4), [0, 1, 4, 5, 0x81][rng.usize(..5)]);
        }
        let len = rng.usize(..70_000);
        let Ok(offload) = Offload::decode(&header, len) else {
            bad += 1;
            continue;
        };
        good += 1;
        let field = offload
            .csum
            .map(|c| usize::from(c.start) + usize::from(c.offset) + 2);
        assert!(
            field.is_none_or(|end| end <= len),
            "seed {seed:#x}, round {round}"
        );
        let gso = offload.gso;
        assert!(gso.is_none_or(|gso| gso.size > 0 && offload.csum.is_some()));
        let again = offload.encode(&vec![0x50; len]);
        assert_eq!(
            Offload::decode(&again, len),
            Ok(offload),
            "seed {seed:#x}, round {round}"
        );
    }
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}

#[test]
fn a_device_takes_what_it_says_and_a_super_packet_needs_its_checksum_too() {
    let csum = Some(Partial {
        start: 20,
        offset: 16,
    });
    let of = |kind, ecn| Offload {
        gso: Some(Gso {
            kind,
            size: 100,
            ecn,
        }),
        csum,
    };
    let all = [
        (
            Offload { gso: None, csum },
            Caps {
                csum: false,
                ..Caps::ALL
            },
        ),
        (
            of(GsoKind::Tcp4, false),
            Caps {
                tso4: false,
                ..Caps::ALL
            },
        ),
        (
            of(GsoKind::Tcp6, false),
            Caps {
                tso6: false,
                ..Caps::ALL
            },
        ),
        (
            of(GsoKind::Udp, false),
            Caps {
                uso: false,
                ..Caps::ALL
            },
        ),
        (
            of(GsoKind::Tcp4, true),
            Caps {
                ecn: false,
                ..Caps::ALL
            },
        ),
        (
            of(GsoKind::Tcp4, false),
            Caps {
                csum: false,
                ..Caps::ALL
            },
        ),
    ];
    for (offload, without) in all {
        assert!(Caps::ALL.takes(&offload));
        assert!(!without.takes(&offload), "{without:?} {offload:?}");
        assert!(!Caps::NONE.takes(&offload));
    }
    assert!(Caps::NONE.takes(&Offload::NONE));
}

//! Keys: one for both directions, nothing of a flow lost in them, nothing of two flows equal.

use super::*;

#[test]
fn both_directions_of_a_flow_have_one_key() {
    let (there, fwd) = KeyV4::new(3, 6, 0x0a00_0001, 40_000, 0xc000_0201, 80);
    let (back, rev) = KeyV4::new(3, 6, 0xc000_0201, 80, 0x0a00_0001, 40_000);
    assert_eq!((there, fwd, rev), (back, Dir::Fwd, Dir::Rev));
    let (there, fwd) = KeyV6::new(0, 17, 1 << 100, 9, 7, 10);
    let (back, rev) = KeyV6::new(0, 17, 7, 10, 1 << 100, 9);
    assert_eq!((there, fwd, rev), (back, Dir::Rev, Dir::Fwd));
}

#[test]
fn parts_of_a_key_are_common_to_the_flows_that_share_them() {
    let (client, other, server) = (0x0a00_0001, 0x0a00_0002, 0xc000_0201);
    let flow = |src, sport, dst, dport| KeyV4::new(1, 6, src, sport, dst, dport);
    let source = |(key, dir): (KeyV4, Dir)| key.source_alone(dir);
    let (web, mail) = (flow(client, 9, server, 80), flow(client, 7, other, 25));
    assert_eq!(source(web), source(mail));
    assert_ne!(source(web), source(flow(other, 9, server, 80)));
    assert_ne!(source(web), source(flow(server, 80, client, 9)));
    let (back, _) = flow(server, 22, client, 1);
    assert_eq!(web.0.addresses_alone(), back.addresses_alone());
    assert_ne!(web.0.addresses_alone(), mail.0.addresses_alone());
    assert_eq!(web.0.addresses_xor(), client ^ server);
    let (six, dir) = KeyV6::new(0, 6, 5 << 96, 1, 9, 80);
    assert_eq!(
        six.source_alone(dir),
        KeyV6::new(7, 17, 5 << 96, 3, 4, 4).0.source_alone(Dir::Rev)
    );
    assert_eq!(six.addresses_xor(), 5 ^ 9);
}

#[test]
fn a_network_is_that_of_the_side_that_packets_come_from() {
    let (key, dir) = KeyV4::new(0, 6, 0x0a01_0203, 7, 0xc000_0201, 80);
    assert_eq!(
        (key.network(dir), key.network(dir.flip())),
        (0x0a_0102, 0xc0_0002)
    );
    assert_eq!(
        (key.dst(dir), key.dst(dir.flip())),
        (0xc000_0201, 0x0a01_0203)
    );
    let (src, dst) = (
        0x2001_0db8_0001_02ff_u128 << 64 | 1,
        0x2001_0db8_0002_0300_u128 << 64 | 2,
    );
    let (key, dir) = KeyV6::new(0, 6, src, 7, dst, 80);
    assert_eq!(key.network(dir), 0x0020_010d_b800_0102);
    assert_eq!(key.network(dir.flip()), 0x0020_010d_b800_0203);
    assert_eq!((key.dst(dir), key.dst(dir.flip())), (dst, src));
}

#[test]
fn equal_addresses_are_ordered_by_port_and_equal_ends_are_forward() {
    let (low, dir) = KeyV4::new(0, 17, 5, 1, 5, 2);
    assert_eq!(dir, Dir::Fwd);
    assert_eq!(KeyV4::new(0, 17, 5, 2, 5, 1), (low, Dir::Rev));
    assert_eq!(KeyV4::new(0, 17, 5, 2, 5, 2).1, Dir::Fwd);
}

#[test]
fn a_key_gives_back_what_it_was_made_of() {
    let (key, _) = KeyV4::new(9, 6, 0xc000_0201, 443, 0x0a01_0203, 1024);
    assert_eq!(
        key.ends(),
        (
            "10.1.2.3:1024".parse().unwrap(),
            "192.0.2.1:443".parse().unwrap()
        )
    );
    assert_eq!((key.fib(), key.proto()), (9, 6));
    let (key, _) = KeyV6::new(255, 255, u128::MAX, u16::MAX, 1, 0);
    assert_eq!(key.ends().1.port(), u16::MAX);
    assert_eq!((key.fib(), key.proto()), (255, 255));
    assert_eq!(format!("{key:?}").matches("[::1]:0").count(), 1);
}

#[test]
fn words_and_back_is_the_same_key_whatever_the_spare_bits_say() {
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..1000 {
        let (k4, _) = KeyV4::new(
            rng.u8(..),
            rng.u8(..),
            rng.u32(..),
            rng.u16(..),
            rng.u32(..),
            1,
        );
        let mut words = k4.words();
        assert_eq!(words[1] & !KEY_MASK, 0);
        words[1] |= u64::from(rng.u16(..));
        assert_eq!(KeyV4::from_words(&words), k4);
        let (k6, _) = KeyV6::new(
            rng.u8(..),
            rng.u8(..),
            rng.u128(..),
            2,
            rng.u128(..),
            rng.u16(..),
        );
        let mut words = k6.words();
        words[4] |= u64::from(rng.u16(..));
        assert_eq!(KeyV6::from_words(&words), k6);
    }
}

#[test]
fn keys_that_differ_in_any_field_differ() {
    let base = KeyV4::new(0, 6, 1, 2, 3, 4).0;
    let others = [
        KeyV4::new(1, 6, 1, 2, 3, 4).0,
        KeyV4::new(0, 7, 1, 2, 3, 4).0,
        KeyV4::new(0, 6, 2, 2, 3, 4).0,
        KeyV4::new(0, 6, 1, 3, 3, 4).0,
        KeyV4::new(0, 6, 1, 2, 4, 4).0,
        KeyV4::new(0, 6, 1, 2, 3, 5).0,
        KeyV4::new(0, 6, 1, 4, 3, 2).0,
    ];
    assert!(others.iter().all(|k| *k != base));
}

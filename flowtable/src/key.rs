//! Flow keys: the 5-tuple and the FIB of a flow, written the same way for both of its directions.
//!
//! A key is *canonical*: of the two ends (address, port) the smaller comes first and is called end a. The
//! [`Dir`] that comes with it says which way the packet at hand travels. An ICMP query has its identifier
//! as the port of both ends (the caller passes it twice), so that request and reply share a key.
//!
//! # Words
//!
//! A key is kept in the table as [`Key::WORDS`] words of 64 bits, which are also what is hashed:
//!
//! | word | `KeyV4` | `KeyV6` |
//! |---|---|---|
//! | first ones | address a 32, address b 32 | address a 128 (high word first), address b 128 |
//! | last | port a 16, port b 16, protocol 8, FIB 8, zero 16 | the same |
//!
//! The 16 zero bits of the last word are where an entry keeps its birth and which timeouts it has, see [`entry`](crate::entry).

use crate::machine::LANES;
use crate::sip::sip13_lanes;
use std::fmt::{self, Debug, Formatter};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which way a packet travels between the ends of its canonical key. `dir as usize` indexes pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dir {
    /// From end a to end b.
    Fwd = 0,
    /// From end b to end a.
    Rev = 1,
}

/// Both directions, in the order of pairs.
pub(crate) const BOTH: [Dir; 2] = [Dir::Fwd, Dir::Rev];

impl Dir {
    #[inline]
    fn of(forward: bool) -> Self {
        if forward { Self::Fwd } else { Self::Rev }
    }

    /// The opposite direction.
    #[inline]
    #[must_use]
    pub fn flip(self) -> Self {
        match self {
            Self::Fwd => Self::Rev,
            Self::Rev => Self::Fwd,
        }
    }
}

/// A flow key of either family. Sealed: the layout of the table's memory depends on it.
pub trait Key: Copy + Eq + Hash + Debug + Send + Sync + 'static + sealed::Sealed {
    /// Words of a key.
    const WORDS: usize;
    /// Words of an entry with such a key.
    const ENTRY_WORDS: usize;
    /// The key as words, `[u64; Self::WORDS]`.
    type Words: AsRef<[u64]> + AsMut<[u64]> + Copy + Default;

    /// The key as words, the last 16 bits zero.
    fn words(&self) -> Self::Words;
    /// The key that [`words`](Self::words) made; the last 16 bits are ignored.
    fn from_words(words: &Self::Words) -> Self;
    /// End a and end b.
    fn ends(&self) -> (SocketAddr, SocketAddr);
    /// A key that all flows have in common whose packets in their direction `dir` come from this source address.
    #[must_use]
    fn source_alone(&self, dir: Dir) -> Self;
    /// As [`source_alone`](Self::source_alone), of all sources whose first `len` bits are these.
    #[must_use]
    fn source_net(&self, dir: Dir, len: u8) -> Self;
    /// A key that all flows between these two addresses have in common.
    #[must_use]
    fn addresses_alone(&self) -> Self;
    /// The network that packets of this direction come from: the /24 of IPv4, the /56 of IPv6.
    fn network(&self, dir: Dir) -> u64;
    /// Source xor destination address, folded to 32 bits.
    fn addresses_xor(&self) -> u32;

    /// The words of [`LANES`] keys side by side: the first word of each, the second of each, and so on.
    #[doc(hidden)]
    type Lanes: Clone + Debug + Default + Send + Sync;
    /// Makes this key that of a lane.
    #[doc(hidden)]
    fn put(&self, lanes: &mut Self::Lanes, lane: usize);
    /// The key of a lane.
    #[doc(hidden)]
    fn from_lane(lanes: &Self::Lanes, lane: usize) -> Self;
    /// The same keys in FIB 0.
    #[doc(hidden)]
    fn without_fib(lanes: &Self::Lanes) -> Self::Lanes;
    /// SipHash-1-3 of each lane's words.
    #[doc(hidden)]
    fn sip_lanes(secret: &[u8; 16], lanes: &Self::Lanes) -> [u64; LANES];

    /// IANA protocol number.
    fn proto(&self) -> u8 {
        (last_word(self) >> PROTO_SHIFT) as u8
    }
    /// The FIB of the input port.
    fn fib(&self) -> u8 {
        (last_word(self) >> FIB_SHIFT) as u8
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::KeyV4 {}
    impl Sealed for super::KeyV6 {}
}

const PORT_A_SHIFT: u32 = 48;
const PORT_B_SHIFT: u32 = 32;
const PROTO_SHIFT: u32 = 24;
const FIB_SHIFT: u32 = 16;
/// The FIB's bits in the last word.
pub(crate) const FIB_MASK: u64 = 0xff << FIB_SHIFT;
/// The last word of an entry that has no flow any more: no packet has both ports 65535, protocol 255 and FIB 255.
pub(crate) const NOBODY: u64 = KEY_MASK;
/// The bits of the last word that belong to the key.
pub(crate) const KEY_MASK: u64 = !0xffff;

fn last_word<K: Key>(key: &K) -> u64 {
    key.words().as_ref().last().copied().unwrap_or(0)
}

fn tail(fib: u8, proto: u8, port_a: u16, port_b: u16) -> u64 {
    u64::from(port_a) << PORT_A_SHIFT
        | u64::from(port_b) << PORT_B_SHIFT
        | u64::from(proto) << PROTO_SHIFT
        | u64::from(fib) << FIB_SHIFT
}

fn ports(tail: u64) -> (u16, u16) {
    ((tail >> PORT_A_SHIFT) as u16, (tail >> PORT_B_SHIFT) as u16)
}

/// The key of an IPv4 flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyV4 {
    addrs: u64,
    tail: u64,
}

impl KeyV4 {
    /// The canonical key of a packet and the direction it travels in; all in host order.
    #[inline]
    pub fn new(fib: u8, proto: u8, src: u32, sport: u16, dst: u32, dport: u16) -> (Self, Dir) {
        // Which way a packet goes is a coin's toss: no branches here.
        let end = |addr: u32, port: u16| u64::from(addr) << 16 | u64::from(port);
        let (src, dst) = (end(src, sport), end(dst, dport));
        let (a, b) = (src.min(dst), src.max(dst));
        let key = Self {
            addrs: a >> 16 << 32 | b >> 16,
            tail: tail(fib, proto, a as u16, b as u16),
        };
        (key, Dir::of(src <= dst))
    }

    /// Where packets of this direction go.
    #[inline]
    pub fn dst(&self, dir: Dir) -> u32 {
        match dir {
            Dir::Fwd => self.addrs as u32,
            Dir::Rev => (self.addrs >> 32) as u32,
        }
    }
}

impl Key for KeyV4 {
    const WORDS: usize = 2;
    const ENTRY_WORDS: usize = 8;
    type Words = [u64; 2];
    type Lanes = [[u64; LANES]; 2];

    #[inline]
    fn words(&self) -> [u64; 2] {
        [self.addrs, self.tail]
    }

    #[inline(always)]
    fn put(&self, lanes: &mut Self::Lanes, lane: usize) {
        for (to, word) in lanes.iter_mut().zip(self.words()) {
            to[lane] = word;
        }
    }

    #[inline(always)]
    fn from_lane(lanes: &Self::Lanes, lane: usize) -> Self {
        Self::from_words(&std::array::from_fn(|i| lanes[i][lane]))
    }

    #[inline(always)]
    fn without_fib(lanes: &Self::Lanes) -> Self::Lanes {
        let mut lanes = *lanes;
        lanes[Self::WORDS - 1]
            .iter_mut()
            .for_each(|word| *word &= !FIB_MASK);
        lanes
    }

    #[inline(always)]
    fn sip_lanes(secret: &[u8; 16], lanes: &Self::Lanes) -> [u64; LANES] {
        sip13_lanes(secret, lanes.iter().copied(), Self::WORDS)
    }

    #[inline]
    fn from_words(words: &[u64; 2]) -> Self {
        Self {
            addrs: words[0],
            tail: words[1] & KEY_MASK,
        }
    }

    fn ends(&self) -> (SocketAddr, SocketAddr) {
        let end = |addr: u32, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(addr)), port);
        let (port_a, port_b) = ports(self.tail);
        (
            end((self.addrs >> 32) as u32, port_a),
            end(self.addrs as u32, port_b),
        )
    }

    fn source_alone(&self, dir: Dir) -> Self {
        let addrs = match dir {
            Dir::Fwd => self.addrs >> 32,
            Dir::Rev => self.addrs & u64::from(u32::MAX),
        };
        Self { addrs, tail: 0 }
    }

    fn source_net(&self, dir: Dir, len: u8) -> Self {
        let host = u32::MAX.checked_shr(u32::from(len)).unwrap_or(0);
        let source = self.source_alone(dir);
        Self {
            addrs: source.addrs & !u64::from(host),
            ..source
        }
    }

    fn addresses_alone(&self) -> Self {
        Self { tail: 0, ..*self }
    }

    #[inline]
    fn network(&self, dir: Dir) -> u64 {
        u64::from(self.dst(dir.flip()) >> 8)
    }

    fn addresses_xor(&self) -> u32 {
        (self.addrs >> 32) as u32 ^ self.addrs as u32
    }
}

impl Debug for KeyV4 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fmt_key(self, f)
    }
}

/// The key of an IPv6 flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyV6 {
    a: u128,
    b: u128,
    tail: u64,
}

impl KeyV6 {
    /// The canonical key of a packet and the direction it travels in; all in host order.
    #[inline]
    pub fn new(fib: u8, proto: u8, src: u128, sport: u16, dst: u128, dport: u16) -> (Self, Dir) {
        let forward = src < dst || src == dst && sport <= dport;
        // As a mask, for the same reason as in `KeyV4::new`.
        let swap = u128::from(forward).wrapping_sub(1);
        let (addrs, ports) = ((src ^ dst) & swap, (sport ^ dport) & swap as u16);
        let key = Self {
            a: src ^ addrs,
            b: dst ^ addrs,
            tail: tail(fib, proto, sport ^ ports, dport ^ ports),
        };
        (key, Dir::of(forward))
    }

    /// Where packets of this direction go.
    #[inline]
    pub fn dst(&self, dir: Dir) -> u128 {
        match dir {
            Dir::Fwd => self.b,
            Dir::Rev => self.a,
        }
    }
}

impl Key for KeyV6 {
    const WORDS: usize = 5;
    const ENTRY_WORDS: usize = 12;
    type Words = [u64; 5];
    type Lanes = [[u64; LANES]; 5];

    #[inline]
    fn words(&self) -> [u64; 5] {
        [
            (self.a >> 64) as u64,
            self.a as u64,
            (self.b >> 64) as u64,
            self.b as u64,
            self.tail,
        ]
    }

    #[inline(always)]
    fn put(&self, lanes: &mut Self::Lanes, lane: usize) {
        for (to, word) in lanes.iter_mut().zip(self.words()) {
            to[lane] = word;
        }
    }

    #[inline(always)]
    fn from_lane(lanes: &Self::Lanes, lane: usize) -> Self {
        Self::from_words(&std::array::from_fn(|i| lanes[i][lane]))
    }

    #[inline(always)]
    fn without_fib(lanes: &Self::Lanes) -> Self::Lanes {
        let mut lanes = *lanes;
        lanes[Self::WORDS - 1]
            .iter_mut()
            .for_each(|word| *word &= !FIB_MASK);
        lanes
    }

    #[inline(always)]
    fn sip_lanes(secret: &[u8; 16], lanes: &Self::Lanes) -> [u64; LANES] {
        sip13_lanes(secret, lanes.iter().copied(), Self::WORDS)
    }

    #[inline]
    fn from_words(words: &[u64; 5]) -> Self {
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        Self {
            a: wide(words[0], words[1]),
            b: wide(words[2], words[3]),
            tail: words[4] & KEY_MASK,
        }
    }

    fn ends(&self) -> (SocketAddr, SocketAddr) {
        let end = |addr: u128, port| SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(addr)), port);
        let (port_a, port_b) = ports(self.tail);
        (end(self.a, port_a), end(self.b, port_b))
    }

    fn source_alone(&self, dir: Dir) -> Self {
        let source = match dir {
            Dir::Fwd => self.a,
            Dir::Rev => self.b,
        };
        Self {
            a: 0,
            b: source,
            tail: 0,
        }
    }

    fn source_net(&self, dir: Dir, len: u8) -> Self {
        let host = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
        let source = self.source_alone(dir);
        Self {
            b: source.b & !host,
            ..source
        }
    }

    fn addresses_alone(&self) -> Self {
        Self { tail: 0, ..*self }
    }

    #[inline]
    fn network(&self, dir: Dir) -> u64 {
        (self.dst(dir.flip()) >> 72) as u64
    }

    fn addresses_xor(&self) -> u32 {
        let xor = self.a ^ self.b;
        let xor = (xor >> 64) as u64 ^ xor as u64;
        (xor >> 32) as u32 ^ xor as u32
    }
}

impl Debug for KeyV6 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fmt_key(self, f)
    }
}

fn fmt_key<K: Key>(key: &K, f: &mut Formatter<'_>) -> fmt::Result {
    let (a, b) = key.ends();
    write!(f, "{{fib {} proto {} {a} - {b}}}", key.fib(), key.proto())
}

#[cfg(test)]
mod tests {
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
}

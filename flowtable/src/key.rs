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
#[path = "key_tests.rs"]
mod tests;

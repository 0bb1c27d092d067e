//! Prefixes: an address and how many of its leading bits count. Never with host bits set.

mod text;

use crate::ids::FibId;
use std::fmt;
use std::net::IpAddr;

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(addr: &IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bits of an address.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A network, in a FIB. Ordered by FIB, IPv4 before IPv6, then by address, then by length.
///
/// Its text has no FIB: what is read is of FIB 0, and whoever writes says the FIB beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    fib: FibId,
    addr: IpAddr,
    len: u8,
}

/// Why something is not a prefix; the message says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Bits beyond the length are set.
    #[error("{addr}/{len} has host bits set: write {right}")]
    HostBits {
        /// The address given.
        addr: IpAddr,
        /// The length given.
        len: u8,
        /// The network that it lies in.
        right: Prefix,
    },
    /// The length exceeds the family's.
    #[error("{addr}/{len} is too long: an {family} length is 0 to {max}", family = Family::of(addr), max = Family::of(addr).bits())]
    TooLong {
        /// The address given.
        addr: IpAddr,
        /// The length given.
        len: u8,
    },
    /// The part before the slash is no address.
    #[error("{0:?} is not an address: write all of it, such as 10.1.0.0/16 or 2001:db8::/32")]
    NotAnAddress(String),
    /// The part after the slash is no number.
    #[error("{text:?} has no length after the slash: write a number from 0 to {max}")]
    NotALength {
        /// The text given.
        text: String,
        /// Longest length of its family.
        max: u8,
    },
}

impl Prefix {
    /// The network `addr/len`.
    ///
    /// # Errors
    /// If the length exceeds the family's, or host bits are set.
    pub fn new(addr: IpAddr, len: u8) -> Result<Self, PrefixError> {
        if len > Family::of(&addr).bits() {
            return Err(PrefixError::TooLong { addr, len });
        }
        let right = Self::masked(addr, len);
        if right.addr == addr {
            Ok(right)
        } else {
            Err(PrefixError::HostBits { addr, len, right })
        }
    }

    /// The network of length `len` that `addr` lies in; a longer length than the family has means the host.
    #[must_use]
    pub fn masked(addr: IpAddr, len: u8) -> Self {
        let len = len.min(Family::of(&addr).bits());
        let addr = match addr {
            IpAddr::V4(a) => IpAddr::V4((a.to_bits() & mask4(len)).into()),
            IpAddr::V6(a) => IpAddr::V6((a.to_bits() & mask6(len)).into()),
        };
        let fib = FibId(0);
        Self { fib, addr, len }
    }

    /// The network that is just this address.
    #[must_use]
    pub const fn host(addr: IpAddr) -> Self {
        Self {
            fib: FibId(0),
            addr,
            len: Family::of(&addr).bits(),
        }
    }

    /// The same network in a FIB.
    #[must_use]
    pub const fn in_fib(self, fib: FibId) -> Self {
        Self { fib, ..self }
    }

    /// Its FIB.
    pub const fn fib(&self) -> FibId {
        self.fib
    }

    /// Its first address.
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// How many leading bits count.
    #[expect(
        clippy::len_without_is_empty,
        reason = "the length of a prefix is no count of elements"
    )]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// Its family.
    pub const fn family(&self) -> Family {
        Family::of(&self.addr)
    }

    /// Whether it is one address.
    pub const fn is_host(&self) -> bool {
        self.len == self.family().bits()
    }

    /// Whether `addr` lies in it, whatever the FIB.
    pub fn contains(&self, addr: IpAddr) -> bool {
        Family::of(&addr) == self.family() && Self::masked(addr, self.len).addr == self.addr
    }
}

/// The leading `len` bits of an IPv4 address.
pub(crate) const fn mask4(len: u8) -> u32 {
    match len {
        0 => 0,
        1..=31 => u32::MAX << (32 - len),
        _ => u32::MAX,
    }
}

/// The leading `len` bits of an IPv6 address.
pub(crate) const fn mask6(len: u8) -> u128 {
    match len {
        0 => 0,
        1..=127 => u128::MAX << (128 - len),
        _ => u128::MAX,
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Prefix, String> {
        text.parse::<Prefix>().map_err(|e| e.to_string())
    }

    #[test]
    fn networks_read_back_as_they_are_written() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "::/0",
            "2001:db8::/32",
            "::1/128",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
        assert_eq!(parse("fe80::1").unwrap().to_string(), "fe80::1/128");
    }

    #[test]
    fn a_refusal_says_what_would_be_right() {
        let refusals = [
            (
                "10.0.0.1/8",
                "10.0.0.1/8 has host bits set: write 10.0.0.0/8",
            ),
            (
                "2001:db8::1/32",
                "2001:db8::1/32 has host bits set: write 2001:db8::/32",
            ),
            (
                "10.0.0.0/33",
                "10.0.0.0/33 is too long: an IPv4 length is 0 to 32",
            ),
            ("::/129", "::/129 is too long: an IPv6 length is 0 to 128"),
            (
                "10.1",
                "\"10.1\" is not an address: write all of it, such as 10.1.0.0/16 or 2001:db8::/32",
            ),
            (
                "10.0.0.0/",
                "\"10.0.0.0/\" has no length after the slash: write a number from 0 to 32",
            ),
            (
                "::/+8",
                "\"::/+8\" has no length after the slash: write a number from 0 to 128",
            ),
        ];
        for (text, message) in refusals {
            assert_eq!(parse(text).unwrap_err(), message);
        }
    }

    #[test]
    fn a_network_contains_its_family_s_addresses_only() {
        let contains = |net: &str, addr: &str| parse(net).unwrap().contains(addr.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.255.255") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "203.0.113.1") && !contains("0.0.0.0/0", "::"));
        assert!(contains("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!contains("2001:db8::/33", "2001:db8:8000::1"));
        assert!(contains("::1", "::1") && !contains("::1", "::2"));
    }

    #[test]
    fn order_is_family_then_address_then_length() {
        let text = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.0/16",
            "10.1.0.0/16",
            "::/0",
            "2001:db8::/32",
        ];
        let mut nets: Vec<_> = text.iter().map(|t| parse(t).unwrap()).collect();
        let second: Vec<_> = nets.iter().map(|net| net.in_fib(FibId(1))).collect();
        nets.extend(second);
        assert!(nets.is_sorted(), "and before that, by FIB");
        assert_eq!(nets[6].to_string(), nets[0].to_string());
        assert_ne!(nets[6], nets[0]);
    }
}

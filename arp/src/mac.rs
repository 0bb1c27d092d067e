//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

use smoltcp::wire::EthernetAddress;
use thiserror::Error;

/// An Ethernet (IEEE 802) address. Prints and parses as `aa:bb:cc:dd:ee:ff`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones: every host of the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// All zeroes: unknown, as in the target field of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// Whether it can be one host's address: neither a group's nor zero.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self != Self::ZERO
    }

    /// The address as a number of 48 bits, its first byte on top.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl From<EthernetAddress> for Mac {
    fn from(address: EthernetAddress) -> Self {
        Self(address.0)
    }
}

impl From<Mac> for EthernetAddress {
    fn from(mac: Mac) -> Self {
        Self(mac.0)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is not an Ethernet address; write six hexadecimal bytes, as 02:00:00:00:00:0a")]
pub struct MacError(String);

impl FromStr for Mac {
    type Err = MacError;

    /// Six groups of one or two hexadecimal digits between colons, as `arp(8)` takes them.
    fn from_str(text: &str) -> Result<Self, MacError> {
        let wrong = || MacError(text.to_owned());
        let mut bytes = [0; 6];
        let mut groups = text.split(':');
        for byte in &mut bytes {
            let group = groups.next().ok_or_else(wrong)?;
            let digits = group.len() <= 2 && group.bytes().all(|c| c.is_ascii_hexdigit());
            if !digits {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(group, 16).map_err(|_| wrong())?;
        }
        if groups.next().is_some() {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_parses() {
        let mac = Mac([0x02, 0, 0, 0xab, 0xcd, 0x0f]);
        assert_eq!(mac.to_string(), "02:00:00:ab:cd:0f");
        assert_eq!("02:00:00:ab:cd:0f".parse(), Ok(mac));
        assert_eq!("2:0:0:AB:cd:f".parse(), Ok(mac));
        assert_eq!(Mac::from_bits(mac.to_bits()), mac);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "02",
            "1:2:3:4:5",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:g",
            "1:2:3:4:5:",
            "1:2:3:4:5:+6",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn groups_and_zero_are_nobodys_address() {
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_unicast());
        for mac in [Mac::ZERO, Mac::BROADCAST, Mac([0x33, 0x33, 0, 0, 0, 1])] {
            assert!(!mac.is_unicast(), "{mac}");
        }
    }
}

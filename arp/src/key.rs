//! What names a neighbour: the port it lives on and its address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::PortId;

/// A neighbour's name. The same link-local address on two ports is two neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) port: PortId,
    pub(crate) addr: IpAddr,
}

/// IPv6's mark in the third word: `::ffff:10.0.0.1` is not `10.0.0.1`.
const V6: u64 = 1 << 16;

impl Key {
    pub(crate) const fn new(port: PortId, addr: IpAddr) -> Self {
        Self { port, addr }
    }

    /// The address in the words of [`Key::words`].
    pub(crate) fn addr_of(words: &[u64; 3]) -> Option<IpAddr> {
        let [high, low, port] = *words;
        if port & V6 != 0 {
            let bits = u128::from(high) << 64 | u128::from(low);
            return Some(Ipv6Addr::from_bits(bits).into());
        }
        u32::try_from(low)
            .ok()
            .map(|bits| Ipv4Addr::from_bits(bits).into())
    }

    /// The key as the three words that the view stores and compares.
    pub(crate) fn words(&self) -> [u64; 3] {
        let port = u64::from(self.port.0);
        match self.addr {
            IpAddr::V4(v4) => [0, u64::from(v4.to_bits()), port],
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                [(bits >> 64) as u64, bits as u64, port | V6]
            }
        }
    }
}

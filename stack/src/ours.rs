//! Which source addresses may be ours, or a broadcast of a network of ours: asked of every packet, so it is answered by one bit.
//!
//! A filter has no false "no". A "may be" is asked again of the ports, address by address; who aims at it gains nothing else.

use crate::parse::Addrs;
use crate::ports::Ports;
use std::net::IpAddr;

/// Words of the filter: two cache lines, 1,024 bits.
const WORDS: usize = 16;

/// A filter of the addresses that [`Ports::is_own`] or [`Ports::is_broadcast`] may say yes to, in whatever FIB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ours([u64; WORDS]);

impl Ours {
    /// Of these ports.
    pub(crate) fn of(ports: &Ports) -> Self {
        let mut filter = Self([0; WORDS]);
        for own in ports.0.iter().flat_map(|port| &port.addrs) {
            match own.addr {
                IpAddr::V4(addr) => {
                    let (addr, host) = (addr.to_bits(), host_bits(own.len));
                    for of_network in [addr, addr & !host, addr | host] {
                        filter.add(bit4(of_network));
                    }
                }
                IpAddr::V6(addr) => filter.add(bit6(addr.to_bits())),
            }
        }
        filter
    }

    fn add(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    /// Whether the source may be one of them.
    #[inline]
    pub(crate) fn may_have_source(&self, addrs: &Addrs) -> bool {
        match *addrs {
            Addrs::V4 { src, .. } => self.may_have4(src),
            Addrs::V6 { src, .. } => self.may_have6(src),
        }
    }

    /// The same of an IPv4 address,
    #[inline]
    pub(crate) fn may_have4(&self, addr: u32) -> bool {
        self.has(bit4(addr))
    }

    /// and of an IPv6 address.
    #[inline]
    pub(crate) fn may_have6(&self, addr: u128) -> bool {
        self.has(bit6(addr))
    }

    #[inline]
    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }
}

/// The bits of an address that name a host; all stay the network's where it has only two addresses or one.
fn host_bits(len: u8) -> u32 {
    u32::MAX.checked_shr(len.into()).unwrap_or(0)
}

#[inline]
fn bit4(addr: u32) -> usize {
    (addr.wrapping_mul(0x9e37_79b1) >> 22) as usize
}

#[inline]
fn bit6(addr: u128) -> usize {
    let both = addr as u64 ^ ((addr >> 64) as u64).rotate_left(32);
    (both.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Layer, Port, PortAddr};
    use route::{FibId, PortId};

    fn ports(addrs: &[(IpAddr, u8)]) -> Ports {
        let addrs = addrs.iter().map(|&(addr, len)| PortAddr { addr, len });
        Ports(vec![Port {
            id: PortId(0),
            name: "tun0".into(),
            fib: FibId(0),
            layer: Layer::L3,
            mtu: 1500,
            narrowed: None,
            up: true,
            addrs: addrs.collect(),
            rules: Default::default(),
            vlan: None,
        }])
    }

    fn from(src: IpAddr) -> Addrs {
        match src {
            IpAddr::V4(src) => Addrs::V4 {
                src: src.to_bits(),
                dst: 0,
            },
            IpAddr::V6(src) => Addrs::V6 {
                src: src.to_bits(),
                dst: 0,
            },
        }
    }

    #[test]
    fn whatever_the_ports_know_the_filter_knows() {
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..200 {
            let len = rng.u8(0..=32);
            let (v4, v6) = (rng.u32(..), rng.u128(..));
            let own = [(IpAddr::V4(v4.into()), len), (IpAddr::V6(v6.into()), 64)];
            let ports = ports(&own);
            let ours = Ours::of(&ports);
            let host = host_bits(len);
            let near =
                [v4, v4 & !host, v4 | host, v4 ^ 1, rng.u32(..)].map(|a| IpAddr::V4(a.into()));
            for addr in near
                .into_iter()
                .chain([IpAddr::V6(v6.into()), IpAddr::V6((v6 ^ 1).into())])
            {
                let known = ports.is_own(FibId(0), &addr) || ports.is_broadcast(FibId(0), &addr);
                assert!(
                    !known || ours.may_have_source(&from(addr)),
                    "{addr} of {own:?}"
                );
            }
        }
    }

    #[test]
    fn of_others_it_stops_few() {
        let mut rng = fastrand::Rng::with_seed(6);
        let own = [([10, 1, 0, 1].into(), 16), ([192, 0, 2, 254].into(), 24)];
        let ours = Ours::of(&ports(&own));
        let stopped = (0..100_000)
            .filter(|_| ours.may_have_source(&from(IpAddr::V4(rng.u32(..).into()))))
            .count();
        // Six of 1,024 bits.
        assert!((400..800).contains(&stopped), "{stopped}");
    }
}

//! Who has which address. Servers are numbered from 1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port on which servers echo; see [`super::echo`].
pub const ECHO_PORT: u16 = 7;
/// The port of large transfers; see [`super::bulk`].
pub const BULK_PORT: u16 = 9;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(addr: IpAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The option by which most tools choose it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }

    /// Bits of a prefix that is one address.
    pub fn host_len(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// Bytes of the header without options.
    pub fn header_len(self) -> u32 {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    fn pick(self, v4: [u8; 4], v6: [u16; 8]) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from(v4).into(),
            Self::V6 => Ipv6Addr::from(v6).into(),
        }
    }
}

/// The clients' address.
pub fn client(family: Family) -> IpAddr {
    family.pick([198, 51, 100, 2], [0xfd00, 1, 0, 0, 0, 0, 0, 2])
}

/// The gateway's address towards the clients.
pub fn client_gateway(family: Family) -> IpAddr {
    family.pick([198, 51, 100, 1], [0xfd00, 1, 0, 0, 0, 0, 0, 1])
}

/// The gateway's address on the rack.
pub fn rack_gateway(family: Family) -> IpAddr {
    family.pick([192, 0, 2, 1], [0xfd00, 2, 0, 0, 0, 0, 0, 1])
}

/// A server's own address: 192.0.2.11 and fd00:2::11 for server 1, and so on.
pub fn server(family: Family, number: usize) -> IpAddr {
    let number = u8::try_from(number).expect("a server's number");
    family.pick(
        [192, 0, 2, 10 + number],
        [0xfd00, 2, 0, 0, 0, 0, 0, 0x10 + u16::from(number)],
    )
}

/// The address that all servers share.
pub fn service(family: Family) -> IpAddr {
    family.pick([203, 0, 113, 10], [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x10])
}

/// Prefix length of the clients' and the rack's networks.
pub fn net_len(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

/// The rack's network.
pub fn rack_net(family: Family) -> String {
    format!(
        "{}/{}",
        family.pick([192, 0, 2, 0], [0xfd00, 2, 0, 0, 0, 0, 0, 0]),
        net_len(family)
    )
}

/// The prefix of the service address alone.
pub fn service_net(family: Family) -> String {
    format!("{}/{}", service(family), family.host_len())
}

/// An address of a network's own with its prefix length, as tools take it.
pub fn with_len(addr: IpAddr) -> String {
    format!("{addr}/{}", net_len(Family::of(addr)))
}

/// Where the shared echo service is.
pub fn echo_service(family: Family) -> SocketAddr {
    (service(family), ECHO_PORT).into()
}

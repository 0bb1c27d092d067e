//! What may happen, drawn by chance.

use super::place::{Place, one_of};
use crate::net::{Conditions, Echo, SERVICE, SERVICE6, Steer};
use crate::rack::Family;
use crate::sim::ip;
use arp::Mac;
use route::{Failback, FibId, OptionsAsked, Prefix, Selection, StickyAsked};
use stack::ports::DeviceState;
use std::net::IpAddr;

/// Something that an operator, a device, a cable, a host or a stranger does.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// `route add`: gateways, by their servers, with weights.
    Add(Prefix, Vec<(usize, u32)>),
    /// `route change -weight`; 0 drains, until the deadline if there is one.
    Weight(Prefix, usize, u32, Option<u32>),
    /// `route change` to other gateways.
    Change(Prefix, Vec<(usize, u32)>),
    /// `route delete`: of one gateway, or of all.
    Delete(Prefix, Option<usize>),
    /// A blackhole, or a reject.
    Nowhere(Prefix, bool),
    /// `route load -replace` of so many routes.
    Replace(Vec<(Prefix, usize)>, usize),
    /// `route change` of options alone.
    Options(Prefix, OptionsAsked),
    /// `nexthop drain`.
    Drain(usize, Family, Option<u32>),
    /// `nexthop in`.
    Undrain(usize, Family),
    /// `nexthop down` and `up`.
    Declare(usize, Family, bool),
    /// A cable.
    Cable(usize, bool),
    /// What a server's echo service does.
    Serve(usize, Echo),
    /// A server's hardware address becomes another.
    NewMac(usize, Mac),
    /// `arp -d`.
    ForgetNeighbours,
    /// What a port's link does.
    Link(usize, Conditions),
    /// `port down` and `up`.
    Port(usize, bool),
    /// A device.
    Device(usize, DeviceState),
    /// `workers set`.
    Workers(usize),
    /// Which queues frames come by.
    Steer(Steer),
    /// `flow flush`.
    Flush,
    /// Flows that send one packet.
    Flood(u16),
    /// Packets to addresses of a port's network that nobody has.
    Scan(usize, u16),
    /// Datagrams in pieces, each piece lost with this chance in ten.
    Pieces(u8, u8),
    /// Packets whose TTL ends.
    Expiring(u8),
    /// Errors about what the steady flows sent.
    Errors(u8),
    /// Mutilated packets.
    Noise(u16),
}

/// Where routes lead and steady flows go: prefixes in prefixes.
pub(super) fn prefixes() -> Vec<Prefix> {
    let all = [
        "203.0.113.10/32",
        "2001:db8:113::10/128",
        "203.0.113.0/24",
        "0.0.0.0/0",
        "198.18.0.0/15",
        "198.18.0.0/16",
        "198.18.1.0/24",
        "198.18.1.128/25",
        "198.18.2.0/24",
        "198.18.2.7/32",
        "198.19.0.0/16",
        "::/0",
        "2001:db8::/32",
        "2001:db8:1::/48",
        "2001:db8:1:8000::/49",
        "2001:db8:2::/48",
        "2001:db8:2::7/128",
    ];
    all.map(|p| p.parse().expect("a prefix")).to_vec()
}

/// The service of a family.
pub(super) fn service(family: Family) -> Prefix {
    let (addr, len) = match family {
        Family::V4 => (SERVICE, 32),
        Family::V6 => (SERVICE6, 128),
    };
    Prefix::new(ip(addr), len).expect("a host route")
}

/// The family of an address.
pub(super) fn family(addr: IpAddr) -> Family {
    if addr.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    }
}

fn prefix(place: &Place, rng: &mut fastrand::Rng) -> Prefix {
    // The service has more to bear than the rest.
    let prefix = match rng.u8(..5) {
        0 => service(Family::V4),
        1 => service(Family::V6),
        _ => one_of(rng, &prefixes()),
    };
    prefix.in_fib(FibId(if rng.u8(..4) == 0 {
        rng.u8(..place.fibs)
    } else {
        0
    }))
}

fn members(place: &Place, rng: &mut fastrand::Rng) -> Vec<(usize, u32)> {
    let mut all: Vec<usize> = (0..place.servers.len()).collect();
    rng.shuffle(&mut all);
    all.truncate(rng.usize(1..=all.len()));
    all.into_iter()
        .map(|server| (server, one_of(rng, &[1, 1, 1, 2, 5, 40])))
        .collect()
}

fn deadline(rng: &mut fastrand::Rng) -> Option<u32> {
    rng.bool().then(|| rng.u32(1..30))
}

fn options(rng: &mut fastrand::Rng) -> OptionsAsked {
    let mut asked = OptionsAsked::default();
    match rng.u8(..4) {
        0 => asked.selection = Some(one_of(rng, &Selection::ALL)),
        1 => {
            asked.sticky = Some(StickyAsked {
                len: Some(one_of(rng, &[16, 24, 32])),
                timeout: Some(one_of(rng, &[0, 20, 300])),
            });
        }
        2 => asked.failback = Some(one_of(rng, &[Failback::Stay, Failback::Return])),
        _ => asked.slow_start = Some(one_of(rng, &[0, 5, 60])),
    }
    asked
}

fn conditions(rng: &mut fastrand::Rng) -> Conditions {
    match rng.u8(..6) {
        0..=2 => Conditions::GOOD,
        3 => Conditions::BAD,
        4 => Conditions::CUT,
        _ => Conditions {
            delay_ms: rng.u64(..20),
            jitter_ms: rng.u64(..200),
            loss: rng.u32(..400),
            duplicate: rng.u32(..400),
            reorder: rng.bool(),
        },
    }
}

impl Event {
    pub(super) fn draw(place: &Place, rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..4) {
            0 => Self::of_routes(place, rng),
            1 => Self::of_hosts(place, rng),
            2 => Self::of_ports(place, rng),
            _ => Self::of_packets(place, rng),
        }
    }

    fn of_routes(place: &Place, rng: &mut fastrand::Rng) -> Self {
        let prefix = prefix(place, rng);
        let server = rng.usize(..place.servers.len());
        match rng.u8(..20) {
            0..=5 => Self::Add(prefix, members(place, rng)),
            6..=8 => Self::Weight(prefix, server, rng.u32(1..9), None),
            9..=10 => Self::Weight(prefix, server, 0, deadline(rng)),
            11 => Self::Change(prefix, members(place, rng)),
            12..=14 => Self::Delete(prefix, Some(server)),
            15 => Self::Delete(prefix, None),
            16 => Self::Nowhere(prefix, rng.bool()),
            17 => {
                let all = prefixes();
                let some = all.iter().filter(|_| rng.bool()).copied();
                let some: Vec<Prefix> = some.collect();
                let server = |p| (p, rng.usize(..place.servers.len()));
                let routes = some.into_iter().map(server).collect();
                Self::Replace(routes, 7)
            }
            _ => Self::Options(prefix, options(rng)),
        }
    }

    fn of_hosts(place: &Place, rng: &mut fastrand::Rng) -> Self {
        let server = rng.usize(..place.servers.len());
        let family = one_of(rng, &[Family::V4, Family::V6]);
        match rng.u8(..16) {
            0..=1 => Self::Drain(server, family, deadline(rng)),
            2..=4 => Self::Undrain(server, family),
            5 => Self::Declare(server, family, true),
            6..=7 => Self::Declare(server, family, false),
            8..=9 => Self::Cable(server, false),
            10..=12 => Self::Cable(server, true),
            13 => Self::NewMac(server, Mac([2, 0, 0, 1, server as u8, rng.u8(..)])),
            14 => Self::ForgetNeighbours,
            _ => Self::Serve(
                server,
                one_of(rng, &[Echo::Open, Echo::Open, Echo::Refusing]),
            ),
        }
    }

    fn of_ports(place: &Place, rng: &mut fastrand::Rng) -> Self {
        let port = rng.usize(..place.ports.len());
        let queue = rng.usize(..place.most_workers);
        match rng.u8(..12) {
            0..=2 => Self::Link(port, conditions(rng)),
            3 => Self::Port(port, false),
            4..=5 => Self::Port(port, true),
            6 => Self::Device(port, DeviceState::Down),
            7..=8 => Self::Device(port, one_of(rng, &[DeviceState::Up, DeviceState::Moved])),
            9 => Self::Steer(one_of(
                rng,
                &[Steer::ByFlow, Steer::Random, Steer::Queue(queue)],
            )),
            _ => Self::Workers(rng.usize(1..=place.most_workers)),
        }
    }

    fn of_packets(place: &Place, rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..12) {
            0 => Self::Flush,
            1..=2 => Self::Flood(if place.tight {
                rng.u16(..1500)
            } else {
                rng.u16(..200)
            }),
            3..=4 => Self::Scan(rng.usize(..place.ports.len()), rng.u16(..300)),
            5..=6 => Self::Pieces(rng.u8(1..30), rng.u8(..4)),
            7 => Self::Expiring(rng.u8(1..20)),
            8..=9 => Self::Errors(rng.u8(1..20)),
            _ if place.dirty => Self::Noise(rng.u16(1..200)),
            _ => Self::Flood(20),
        }
    }
}

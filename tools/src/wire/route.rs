//! Routes on the wire: what is asked for, what is answered, what a monitor sees.

mod news;

pub use news::Event;
pub use news::News;

use super::options::Options;
use super::text;
use route::Prefix;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;

/// The greatest weight of a path, FreeBSD's `RT_MAX_WEIGHT`: 2^24 - 1.
pub const MAX_WEIGHT: u32 = (1 << 24) - 1;

/// An address family, to list one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::Inet
        } else {
            Self::Inet6
        }
    }
}

/// What a next hop does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Sends it to a neighbour, the gateway.
    #[default]
    Gateway,
    /// Sends it out of a port to its own destination.
    Interface,
    /// Drops it, silently.
    Blackhole,
    /// Drops it and answers "host unreachable".
    Reject,
    /// Delivers it: the destination is an own address.
    Local,
}

/// One path of a route that is to be added or changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathSpec {
    /// What it does; a gateway when left out.
    #[serde(default)]
    pub kind: PathKind,
    /// The neighbour, for a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The port's name: needed for an interface and for a link-local gateway, else found by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Its share against the other paths: 1 when left out; in a change, 0 drains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The next hop's MTU in bytes. When left out, a new one has its port's, and one that is there keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The gateway may be on no port's network: other routes lead to it, now or later.
    #[serde(default, skip_serializing_if = "is_not")]
    pub recursive: bool,
}

/// Parameters of `RouteAdd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteAdd {
    /// The prefix.
    #[serde(with = "text")]
    pub destination: Prefix,
    /// The FIB; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Its paths; paths of a prefix that is in the table already join those it has.
    #[serde(deserialize_with = "text::object::list")]
    pub paths: Vec<PathSpec>,
    /// How the route treats flows.
    #[serde(
        default,
        deserialize_with = "text::object::one",
        skip_serializing_if = "Options::is_empty"
    )]
    pub options: Options,
}

/// Parameters of `RouteChange`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteChange {
    /// The prefix.
    #[serde(with = "text")]
    pub destination: Prefix,
    /// The FIB; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Present members only: their weights change. Otherwise: the whole new set.
    #[serde(deserialize_with = "text::object::list")]
    pub paths: Vec<PathSpec>,
    /// With weight 0: seconds until the flows that are left must move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u32>,
    /// Without paths: the MTU of all those that it has, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// How the route treats flows from now on.
    #[serde(
        default,
        deserialize_with = "text::object::one",
        skip_serializing_if = "Options::is_empty"
    )]
    pub options: Options,
}

/// Parameters of `RouteDelete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDelete {
    /// The prefix.
    #[serde(with = "text")]
    pub destination: Prefix,
    /// The FIB; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// The member's gateway; needed when the route has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The member's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// The rest of a flow's 5-tuple, beside the destination address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowOf {
    /// `tcp`, `udp`, `icmp`, `icmp6` or a number.
    pub protocol: String,
    /// Where the packet comes from.
    pub source: IpAddr,
    /// Its source port; ICMP echo: the identifier. 0 when left out.
    #[serde(default)]
    pub source_port: u16,
    /// Its destination port. 0 when left out.
    #[serde(default)]
    pub destination_port: u16,
}

/// Parameters of `RouteGet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteGet {
    /// Where a packet would go.
    pub destination: IpAddr,
    /// The FIB; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// With it a prefix is meant: its route, or the longest one that covers all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u8>,
    /// The port that a link-local destination is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// With it the answer names the one next hop, and why.
    #[serde(
        default,
        deserialize_with = "text::object::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub flow: Option<FlowOf>,
}

impl RouteGet {
    /// Of an address, and nothing else.
    pub fn to(destination: IpAddr) -> Self {
        Self {
            destination,
            fib: 0,
            length: None,
            port: None,
            flow: None,
        }
    }
}

/// Parameters of `RouteList`, `RouteFlush` and `RouteExport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFamily {
    /// One family only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The FIB; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
}

/// Parameters of `RouteMonitor` and `RouteMoves`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfFib {
    /// Of this FIB only, which must be there; of what has no FIB in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fib: Option<u8>,
}

impl From<Option<Family>> for RouteFamily {
    /// Of FIB 0.
    fn from(family: Option<Family>) -> Self {
        Self { family, fib: 0 }
    }
}

/// Whether a FIB goes without saying.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn is_first_fib(fib: &u8) -> bool {
    *fib == 0
}

/// Whether something goes without saying.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn is_not(said: &bool) -> bool {
    !*said
}

/// Whether a next hop takes new flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admin {
    /// It does.
    In,
    /// It keeps the flows it has and takes no new ones.
    Draining,
    /// Its deadline has passed: its flows have to move.
    Drained,
}

/// Whether a next hop answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It does.
    Up,
    /// It does not: its flows move, its buckets are with others.
    Dead,
    /// It answers again.
    Returning,
}

/// A path of a route in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// What it does.
    pub kind: PathKind,
    /// The neighbour, for a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The port's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Its share; 0: draining.
    pub weight: u32,
    /// The path's MTU in bytes; 0 when the port's counts.
    pub mtu: u32,
    /// The next hop's place.
    pub nexthop: u32,
    /// The next hop's generation: another one at the same place is another next hop.
    pub generation: u32,
    /// Whether it takes new flows.
    pub admin: Admin,
    /// Whether it answers.
    pub health: Health,
    /// Seconds until its drain's deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u32>,
    /// How many of the group's buckets it owns.
    pub buckets: u32,
    /// How far its slow start is, if it has not all of its buckets yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting: Option<Starting>,
    /// Its gateway is on no port's network: other routes lead to it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub recursive: bool,
    /// Of a recursive one: the neighbour that its packets go to at present; absent if no route leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<IpAddr>,
    /// Why it is dead: `neighbour`, `check`, `port`, `operator`, `unresolved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

/// A slow start under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starting {
    /// Percent of its time, 0 to 99.
    pub percent: u8,
    /// Seconds until it has all of its buckets.
    pub left: u32,
}

impl Path {
    /// How a table names it: the gateway, with its port where that is needed to tell it apart, else `link#port`,
    /// `blackhole` and so on.
    pub fn name(&self) -> String {
        path_name(self.kind, self.gateway, self.port.as_deref())
    }
}

/// The name of a next hop: its gateway (a link-local one with its port), its port, or what it does.
pub fn path_name(kind: PathKind, gateway: Option<IpAddr>, port: Option<&str>) -> String {
    match (kind, gateway, port) {
        (PathKind::Gateway, Some(IpAddr::V6(v6)), Some(port)) if v6.is_unicast_link_local() => {
            format!("{v6}%{port}")
        }
        (PathKind::Gateway, Some(gateway), _) => gateway.to_string(),
        // What remains of a next hop that is no more.
        (PathKind::Gateway, None, None) => "gone".into(),
        (PathKind::Gateway | PathKind::Interface, None, Some(port))
        | (PathKind::Interface, Some(_), Some(port)) => format!("link#{port}"),
        (PathKind::Interface, _, None) => "link".into(),
        (PathKind::Blackhole, ..) => "blackhole".into(),
        (PathKind::Reject, ..) => "reject".into(),
        (PathKind::Local, ..) => "local".into(),
    }
}

/// A route in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The prefix.
    #[serde(with = "text")]
    pub destination: Prefix,
    /// The FIB; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Its next-hop group.
    pub group: u32,
    /// The group's buckets.
    pub buckets: u32,
    /// How the group treats flows: `select` always, the others where they are not as by default.
    pub options: Options,
    /// Somebody added it (configuration, `route add`); otherwise it follows from a port's address.
    pub is_static: bool,
    /// Its paths, in the group's order.
    pub paths: Vec<Path>,
}

/// What a successful add, change or delete did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteDone {
    /// The prefix.
    #[serde(with = "text")]
    pub destination: Prefix,
    /// The FIB; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// The paths concerned.
    pub paths: Vec<Path>,
    /// What the caller should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Which next hop a given flow takes, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The bucket of the flow's hash.
    pub bucket: u32,
    /// The next hop that it has a pin to, and whether that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// The next hop that its next packet takes; absent when no member is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// One sentence.
    pub why: String,
}

/// A flow's pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The next hop's place.
    pub nexthop: u32,
    /// Its generation when the flow was pinned.
    pub generation: u32,
    /// Its name, when it still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a worker would find: `live`, `gone`, `dead` or `drained`.
    pub state: String,
}

/// What `RouteGet` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAnswer {
    /// What was asked for.
    pub destination: IpAddr,
    /// The longest match.
    pub route: Route,
    /// The one next hop, when a whole 5-tuple was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
}

/// A page of `RouteList`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Routes {
    /// IPv4 before IPv6, by address, then length.
    pub routes: Vec<Route>,
}

/// A page of `RouteFlush`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flushed {
    /// The routes that were deleted.
    pub deleted: Vec<RouteDone>,
}

/// Checks a weight, with the answer that says what would be right.
///
/// # Errors
/// One line: above [`MAX_WEIGHT`], or 0 where nothing can drain yet.
pub fn check_weight(weight: u32, may_drain: bool) -> Result<(), String> {
    match weight {
        0 if !may_drain => Err(
            "weight 0 is not valid for add: 0 means drain; use 'route change ... -weight 0'".into(),
        ),
        0..=MAX_WEIGHT => Ok(()),
        _ => Err(format!(
            "weight {weight} is out of range: write 1 to {MAX_WEIGHT}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_bounds_and_zero_drains() {
        assert_eq!(check_weight(1, false), Ok(()));
        assert_eq!(check_weight(MAX_WEIGHT, false), Ok(()));
        assert_eq!(check_weight(0, true), Ok(()));
        assert_eq!(
            check_weight(0, false).unwrap_err(),
            "weight 0 is not valid for add: 0 means drain; use 'route change ... -weight 0'"
        );
        assert_eq!(
            check_weight(MAX_WEIGHT + 1, true).unwrap_err(),
            "weight 16777216 is out of range: write 1 to 16777215"
        );
    }

    #[test]
    fn a_path_is_named_by_what_tells_it_apart() {
        let global = "10.0.0.1".parse().ok();
        let local = "fe80::1".parse().ok();
        assert_eq!(
            path_name(PathKind::Gateway, global, Some("rack")),
            "10.0.0.1"
        );
        assert_eq!(
            path_name(PathKind::Gateway, local, Some("rack")),
            "fe80::1%rack"
        );
        assert_eq!(
            path_name(PathKind::Interface, None, Some("rack")),
            "link#rack"
        );
        assert_eq!(path_name(PathKind::Blackhole, None, None), "blackhole");
    }
}

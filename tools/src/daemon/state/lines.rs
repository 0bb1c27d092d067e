//! The lines of a file of groups.

use crate::daemon::backend::asked;
use crate::daemon::backend::kind;
use crate::daemon::backend::options_of;
use crate::wire::options::Options;
use crate::wire::route::PathKind;
use route::FibId;
use route::NhopKey;
use route::NhopKind;
use route::Prefix;
use route::PrefixError;
use route::SavedGroup;
use route::SavedName;
use route::SavedRun;
use serde::Deserialize;
use serde::Serialize;
use stack::ports::Ports;
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// Of this form; another one is not read.
const FORM: u32 = 1;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    #[serde(rename = "flowgate-groups")]
    form: u32,
    /// Seconds since 1970.
    saved: u64,
    /// How many lines follow.
    pub(super) groups: usize,
}

impl Head {
    pub(super) fn now(groups: usize) -> Self {
        Self {
            form: FORM,
            saved: unix_s(),
            groups,
        }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn of(line: &str) -> Option<Self> {
        let head: Self = serde_json::from_str(line).ok()?;
        (head.form == FORM).then_some(head)
    }

    /// Seconds since it was written; none, if the clock was set back.
    pub(super) fn elapsed(&self) -> u32 {
        u32::try_from(unix_s().saturating_sub(self.saved)).unwrap_or(u32::MAX)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the I/O edge: how long the gateway was away only the time of day can tell"
)]
fn unix_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A group's line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    routes: Vec<String>,
    uses: u32,
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    options: Options,
    names: Vec<Name>,
    /// Buckets, claims, owner, and whom they remember since how many seconds.
    runs: Vec<Run>,
}

type Run = (u32, Vec<u16>, Option<u16>, Vec<(u16, u32)>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    kind: PathKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    port: String,
    /// Of a recursive one: the FIB that resolves it. It has no port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recursive: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
}

/// A group as a line.
pub(super) fn write_group(group: &SavedGroup, ports: &Ports) -> String {
    let name = |name: &SavedName| {
        let port = ports.get(name.key.port);
        Name {
            kind: kind(name.key.kind),
            gateway: name.key.gateway,
            port: port.map_or_else(String::new, |port| port.name.clone()),
            recursive: name.key.resolved().map(|(fib, _)| fib.0),
            weight: name.weight,
        }
    };
    let run = |run: &SavedRun| {
        let SavedRun {
            buckets,
            claims,
            owner,
            remembered,
        } = run.clone();
        (buckets, claims, owner, remembered)
    };
    let group = Group {
        routes: group.routes.iter().copied().map(route_text).collect(),
        uses: group.uses,
        options: options_of(group.options),
        names: group.names.iter().map(name).collect(),
        runs: group.runs.iter().map(run).collect(),
    };
    serde_json::to_string(&group).unwrap_or_default()
}

/// A destination, with its FIB behind it if that is not 0.
fn route_text(prefix: Prefix) -> String {
    match prefix.fib() {
        FibId(0) => prefix.to_string(),
        FibId(fib) => format!("{prefix} fib {fib}"),
    }
}

fn route_of(text: &str) -> Result<Prefix, String> {
    let (prefix, fib) = text.split_once(" fib ").unwrap_or((text, "0"));
    let prefix: Prefix = prefix
        .parse()
        .map_err(|error: PrefixError| error.to_string())?;
    let fib = fib.parse().map_err(|_| format!("{text:?} names no FIB"))?;
    Ok(prefix.in_fib(FibId(fib)))
}

/// The group of a line.
pub(super) fn read_group(line: &str, ports: &Ports) -> Result<SavedGroup, String> {
    let group: Group = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let routes = group.routes.iter().map(|text| route_of(text));
    let routes = routes.collect::<Result<Vec<Prefix>, String>>()?;
    let any = Prefix::host(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let of = routes.first().copied().unwrap_or(any);
    let options = asked(of, &group.options).map_err(|_| "its options are out of bounds")?;
    let run = |(buckets, claims, owner, remembered): Run| SavedRun {
        buckets,
        claims,
        owner,
        remembered,
    };
    let (runs, names) = (group.runs, group.names);
    Ok(SavedGroup {
        routes,
        uses: group.uses,
        options: options.over(route::Options::default()),
        names: (0..)
            .zip(names)
            .map(|(place, of)| name(place, of, ports))
            .collect(),
        runs: runs.into_iter().map(run).collect(),
    })
}

/// A next hop by a port that is no more is nobody whom a route could name.
fn name(place: u16, of: Name, ports: &Ports) -> SavedName {
    if let (Some(fib), Some(gateway)) = (of.recursive, of.gateway) {
        return SavedName {
            key: NhopKey::recursive(FibId(fib), gateway),
            weight: of.weight,
        };
    }
    let gone = route::PortId(route::PortId::END.0 - 1 - place);
    let port = ports.named(&of.port).map(|port| port.id);
    let port = match of.kind {
        PathKind::Blackhole | PathKind::Reject => Some(route::PortId(0)),
        _ => port,
    };
    SavedName {
        key: NhopKey {
            kind: nhop_kind(of.kind),
            port: port.unwrap_or(gone),
            gateway: of.gateway,
        },
        weight: of.weight,
    }
}

const fn nhop_kind(kind: PathKind) -> NhopKind {
    match kind {
        PathKind::Gateway => NhopKind::Gateway,
        PathKind::Interface => NhopKind::Iface,
        PathKind::Blackhole => NhopKind::Blackhole,
        PathKind::Reject => NhopKind::Reject,
        PathKind::Local => NhopKind::Local,
    }
}

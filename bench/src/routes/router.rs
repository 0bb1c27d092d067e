//! Flowgate's own tables, as the benchmark uses them: every route has one gateway.

use super::table::{HOPS, Route};
use crate::clock;
use route::{Control, Family, GroupId, NhopKey, NhopKind, Path, PortId, Secs, View};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

/// Routes between two reports of progress.
const STEP: usize = 250_000;

/// Control, and what readers read.
pub(super) struct Router {
    pub(super) control: Control,
    pub(super) view: Arc<View>,
    began: Instant,
}

/// A path through gateway number `hop` of a family.
pub(super) fn path(family: Family, hop: u32) -> Path {
    let gateway = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + hop + 1)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits((0xfe80 << 112) + u128::from(hop) + 1)),
    };
    let key = NhopKey {
        kind: NhopKind::Gateway,
        port: PortId(0),
        gateway: Some(gateway),
    };
    Path {
        key,
        weight: 1,
        neigh: hop,
        mtu: 1500,
        through: None,
    }
}

impl Router {
    /// Without routes, with one place for a reader.
    pub(super) fn empty() -> Self {
        let (control, view) = route::new(route::Config {
            max_routes: 1 << 22,
            ..route::Config::default()
        });
        Self {
            control,
            view,
            began: clock::now(),
        }
    }

    /// With all of `routes`.
    #[cfg(test)]
    pub(super) fn loaded(routes: &[Route]) -> Result<Self, String> {
        let mut router = Self::empty();
        router.load(routes)?;
        Ok(router)
    }

    /// Adds `routes`.
    pub(super) fn load(&mut self, routes: &[Route]) -> Result<(), String> {
        for (number, route) in routes.iter().enumerate() {
            if number % STEP == STEP - 1 {
                eprintln!("  {} of {} routes are in", number + 1, routes.len());
            }
            self.add(route)?;
        }
        Ok(())
    }

    /// Adds a route.
    pub(super) fn add(&mut self, route: &Route) -> Result<(), String> {
        let path = path(route.prefix.family(), route.hop);
        let added = self.control.add(route.prefix, &[path], self.now());
        added.map(drop).map_err(|error| error.to_string())
    }

    /// Adds a route with two paths: through gateways 0 and 1.
    pub(super) fn add_balanced(&mut self, prefix: route::Prefix) -> Result<(), String> {
        let paths = [0, 1].map(|hop| path(Family::V4, hop));
        let added = self.control.add(prefix, &paths, self.now());
        added.map(drop).map_err(|error| error.to_string())
    }

    /// Deletes a route.
    pub(super) fn delete(&mut self, route: &Route) -> Result<(), String> {
        let deleted = self.control.delete(route.prefix, None, self.now());
        deleted.map(drop).map_err(|error| error.to_string())
    }

    /// Gives a route another gateway.
    pub(super) fn change(&mut self, route: &Route) -> Result<(), String> {
        let path = path(route.prefix.family(), route.hop);
        let changed = self.control.change(route.prefix, &[path], None, self.now());
        changed.map(drop).map_err(|error| error.to_string())
    }

    /// What control does now and then in the gateway.
    pub(super) fn tick(&mut self) {
        let now = Secs(1 + self.began.elapsed().as_secs() as u32);
        self.control.tick(now);
    }

    /// The group of every route: the value that it has in each table.
    pub(super) fn values(&self, routes: &[Route]) -> Result<Vec<u32>, String> {
        // Routes with equal next hops share a group, so few need to be asked for.
        let mut known = vec![0; 2 * HOPS as usize];
        let value = |route: &Route| {
            let family = u32::from(route.prefix.family() == Family::V6);
            let known = &mut known[(family * HOPS + route.hop) as usize];
            if *known == 0 {
                *known = self.group(route.prefix)?.0;
            }
            Ok(*known)
        };
        routes.iter().map(value).collect()
    }

    fn group(&self, prefix: route::Prefix) -> Result<GroupId, String> {
        let info = self.control.get(prefix);
        info.map(|info| info.group)
            .ok_or_else(|| format!("{prefix} was added and is not there"))
    }

    /// Bytes of a family's FIB, as control counts them.
    pub(super) fn fib_bytes(&self, family: Family) -> i64 {
        let name = match family {
            Family::V4 => "IPv4 FIB bytes",
            Family::V6 => "IPv6 FIB bytes",
        };
        let fills = self.control.fills();
        let fill = fills.iter().find(|fill| fill.name == name);
        fill.map_or(0, |fill| fill.used as i64)
    }

    /// Time does not matter to changes without deadlines.
    const fn now(&self) -> Secs {
        Secs(1)
    }
}

//! MTUs of paths: what is asked for, what a port takes of it, and what is said of that.
//!
//! An MTU is the next hop's, so routes by the same next hop share it.

use super::super::{Control, ControlError};
use super::{MTU_MOST, PathKind, RouteSpec, warned};
use crate::host::HostLink;
use crate::time::Now;
use route::{Change, NhopIdx, NhopKey, NhopKind, OptionsAsked, Path, Prefix, RouteError};

/// The MTUs that next hops are to have.
pub(in crate::control) type Mtus = Vec<(NhopIdx, u32)>;

/// A change of all MTUs of a route, and of its options.
///
/// # Errors
/// As of options; nothing was changed then.
pub(in crate::control) fn change_mtu(
    routes: &mut route::Control,
    prefix: Prefix,
    (mtus, options): (&[(NhopIdx, u32)], OptionsAsked),
    now: route::Secs,
) -> Result<Change, RouteError> {
    let warning = match options == OptionsAsked::default() {
        true => None,
        false => routes.change_with(prefix, &[], options, None, now)?.warning,
    };
    let change = routes.change_mtu(prefix, mtus)?;
    Ok(Change { warning, ..change })
}

impl RouteSpec {
    /// The MTU that is said of a path.
    fn mtu_said(&self, at: usize) -> Option<u32> {
        match &self.kind {
            PathKind::Gateways(gateways) => gateways.get(at)?.mtu.or(self.mtu),
            _ => self.mtu,
        }
    }
}

impl Control {
    /// The MTU that a path asks for. One that says none leaves a next hop that there is as it is, and gives a new one
    /// the most that its port takes.
    pub(in crate::control) fn mtu_of(&self, key: &NhopKey, said: Option<u32>, most: u32) -> u32 {
        let present = || self.routes.nhop_info(self.routes.nhop(key)?);
        match said {
            Some(said) => said.min(most),
            None => present().map_or(most, |nhop| nhop.mtu),
        }
    }

    /// A change that names no path, and an MTU for all that the route has.
    pub(super) fn route_mtu(
        &mut self,
        spec: &RouteSpec,
        (mtu, options): (u32, OptionsAsked),
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<Change, ControlError> {
        let (mtus, clipped) = self.mtus_of(spec.prefix, mtu);
        let asked = (&*mtus, options);
        let changed = change_mtu(&mut self.routes, spec.prefix, asked, now.secs());
        let changed = self.committed(changed, Vec::new(), host, now);
        let changed = self.settled(changed, host, now);
        changed.map(|change| warned(change, clipped))
    }

    /// The MTU of every path of a route, as its port takes it, and one line if that is less than was said.
    pub(in crate::control) fn mtus_of(&self, prefix: Prefix, said: u32) -> (Mtus, Option<String>) {
        let paths = self.routes.get(prefix).map_or_else(Vec::new, |r| r.paths);
        let of = |key: &NhopKey| said.min(self.mtu_most(key));
        let clipped = paths
            .iter()
            .find_map(|path| self.clipped(&path.key, said, of(&path.key)));
        let mtus = paths.iter().map(|path| (path.idx, of(&path.key)));
        (mtus.collect(), clipped)
    }

    /// The MTU of a path of a whole table: where none is said, its port's is meant, and a next hop that is there and
    /// has another is told of.
    pub(in crate::control) fn mtu_in_table(
        &self,
        spec: &RouteSpec,
        at: usize,
        key: &NhopKey,
    ) -> u32 {
        let most = self.mtu_most(key);
        spec.mtu_said(at).map_or(most, |said| said.min(most))
    }

    /// The most that the port of a next hop takes, if it has one.
    fn mtu_most(&self, key: &NhopKey) -> u32 {
        let has_port = matches!(key.kind, NhopKind::Gateway | NhopKind::Iface);
        let port = self.ports.get(key.port).filter(|_| has_port);
        port.map_or(MTU_MOST, |port| port.mtu)
    }

    /// One line if a port takes less than the MTU that was said of a path.
    pub(in crate::control) fn clip_warning(
        &self,
        spec: &RouteSpec,
        paths: &[Path],
    ) -> Option<String> {
        let mut paths = paths.iter().enumerate();
        paths.find_map(|(at, path)| self.clipped(&path.key, spec.mtu_said(at)?, path.mtu))
    }

    fn clipped(&self, key: &NhopKey, said: u32, mtu: u32) -> Option<String> {
        let line = || {
            let port = self.port_name(key.port);
            format!(
                "{key}: port {port} takes packets of up to {mtu} bytes, so its MTU is that and not {said}"
            )
        };
        (said > mtu).then(line)
    }
}

//! Routes as text that [`super::read`] reads back as the same routes.

use crate::wire::batch::PathSet;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;
use std::fmt::Write;

/// What stands behind a prefix.
pub fn set(set: &PathSet) -> String {
    let first = set.paths.first().and_then(|path| path.mtu);
    let is_one = set.paths.iter().all(|path| path.mtu == first);
    let paths = set.paths.iter().map(|one| path(one, !is_one));
    let mut text = paths.collect::<Vec<_>>().join(",");
    // A string takes whatever it is given.
    if let Some(mtu) = first.filter(|_| is_one) {
        let _ = write!(text, " -mtu {mtu}");
    }
    if set.paths.iter().any(|path| path.recursive) {
        text += " -recursive";
    }
    let _ = write!(text, "{}", set.options);
    // A group may be all that a route names.
    text.trim_start().to_owned()
}

/// A path; its MTU too, unless all have the same.
fn path(path: &PathSpec, with_mtu: bool) -> String {
    let port = path.port.as_deref().unwrap_or_default();
    let mut text = match (path.kind, path.gateway) {
        (PathKind::Gateway, Some(gateway)) if port.is_empty() => gateway.to_string(),
        (PathKind::Gateway, Some(gateway)) => format!("{gateway}%{port}"),
        (PathKind::Interface, _) => format!("-iface {port}"),
        (PathKind::Reject, _) => "-reject".into(),
        // Own addresses are no operator's routes, and a gateway has an address.
        (PathKind::Blackhole | PathKind::Local | PathKind::Gateway, _) => "-blackhole".into(),
    };
    if let Some(weight) = path.weight.filter(|_| path.kind == PathKind::Gateway) {
        let _ = write!(text, "*{weight}");
    }
    if let Some(mtu) = path.mtu.filter(|_| with_mtu) {
        let _ = write!(text, "@{mtu}");
    }
    text
}

//! Routes as text that [`super::read`] reads back as the same routes.

use crate::wire::batch::PathSet;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;
use std::fmt::Write;

/// What stands behind a prefix.
pub fn set(set: &PathSet) -> String {
    let paths: Vec<String> = set.paths.iter().map(path).collect();
    let mut text = paths.join(",");
    // A string takes whatever it is given.
    if let Some(mtu) = set.paths.first().and_then(|path| path.mtu) {
        let _ = write!(text, " -mtu {mtu}");
    }
    if set.paths.iter().any(|path| path.recursive) {
        text += " -recursive";
    }
    let _ = write!(text, "{}", set.options);
    // A group may be all that a route names.
    text.trim_start().to_owned()
}

fn path(path: &PathSpec) -> String {
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
    text
}

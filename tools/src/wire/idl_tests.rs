//! The description and the types must say the same: a small parser reads the one, serde writes the other.

use super::batch::*;
use super::capture::*;
use super::explain::*;
use super::flow::*;
use super::group::*;
use super::idl::METHODS;
use super::message::Reason;
use super::moves::*;
use super::neighbour::*;
use super::nexthop::*;
use super::ping::*;
use super::route::*;
use super::stats::*;
use super::template::*;
use super::timeout::*;
use super::workers::*;
use description::read_description;
use full::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;

mod description;
mod full;

fn keys_of(value: &impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

fn set(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

/// What a type writes when every field is there; and that it reads what it writes.
fn keys<T: Full + Serialize + DeserializeOwned + PartialEq + Debug>() -> BTreeSet<String> {
    let full = T::full();
    let written = serde_json::to_value(&full).unwrap();
    assert_eq!(serde_json::from_value::<T>(written).unwrap(), full);
    keys_of(&full)
}

/// The same of an order that may be foreseen only.
fn order<T: Full + Serialize + DeserializeOwned + PartialEq + Debug>() -> BTreeSet<String> {
    let how = How {
        plan: true,
        truth: false,
    };
    let ask = &T::full();
    let asked = keys_of(&Asked { ask, how });
    assert!(asked.is_superset(&keys::<T>()));
    asked
}

fn nothing() -> BTreeSet<String> {
    BTreeSet::new()
}

/// What `RouteMonitor` tells: every field of every event.
fn events() -> BTreeSet<String> {
    let nexthop = News::Nexthop {
        nexthop: 1,
        name: "n".into(),
        port: Full::full(),
        admin: Admin::In,
        health: Health::Up,
        through: Full::full(),
    };
    let port = News::Port {
        port: "p".into(),
        up: true,
    };
    let many = News::RoutesChanged {
        fib: 1,
        added: 1,
        changed: 1,
        deleted: 1,
    };
    let (route, group) = (
        News::RouteAdded(Full::full()),
        News::GroupAdded(Full::full()),
    );
    let all = [route, many, group, nexthop, port];
    let all = all.map(|news| keys_of(&Event { time: 1, news }));
    all.into_iter().flatten().collect()
}

type Keys = fn() -> BTreeSet<String>;

/// Each method's parameters and its reply.
const CALLS: &[(&str, Keys, Keys)] = &[
    ("Capture", keys::<Capture>, keys::<Captured>),
    ("CounterList", keys::<CountersOf>, keys::<Counters>),
    ("Explain", keys::<Explain>, keys::<Explained>),
    ("FlowFlush", keys::<FlowFilter>, keys::<FlowsFlushed>),
    ("FlowList", keys::<FlowFilter>, keys::<Flows>),
    ("FlowStats", nothing, keys::<FlowStats>),
    (
        "FlowTimeoutDelete",
        keys::<FlowTimeoutDelete>,
        keys::<FlowTimeouts>,
    ),
    (
        "FlowTimeoutSet",
        keys::<FlowTimeoutSet>,
        keys::<FlowTimeouts>,
    ),
    ("FlowTimeouts", nothing, keys::<FlowTimeouts>),
    ("GroupAdd", order::<GroupAdd>, keys::<GroupChanged>),
    ("GroupChange", order::<GroupChange>, keys::<GroupChanged>),
    ("GroupDelete", order::<GroupDelete>, keys::<GroupChanged>),
    ("GroupExport", keys::<GroupOf>, keys::<GroupLayout>),
    ("GroupList", keys::<GroupsOf>, keys::<Groups>),
    ("NeighbourDelete", keys::<NeighbourDelete>, keys::<Deleted>),
    ("NeighbourFlush", keys::<NeighbourFilter>, keys::<Deleted>),
    ("NeighbourList", keys::<NeighbourFilter>, keys::<Neighbours>),
    ("NeighbourSet", keys::<NeighbourSet>, nothing),
    ("NexthopList", nothing, keys::<Nexthops>),
    ("NexthopSet", keys::<NexthopSet>, keys::<NexthopsSet>),
    ("Ping", keys::<Ping>, keys::<PingResult>),
    ("PortList", nothing, keys::<Ports>),
    ("RouteAdd", order::<RouteAdd>, keys::<RouteChanged>),
    ("RouteBatchAdd", keys::<BatchAdd>, keys::<BatchAdded>),
    ("RouteBatchBegin", keys::<BatchBegin>, keys::<BatchBegun>),
    ("RouteBatchCommit", keys::<BatchOf>, keys::<BatchDone>),
    ("RouteBatchDrop", keys::<BatchOf>, nothing),
    ("RouteChange", order::<RouteChange>, keys::<RouteChanged>),
    ("RouteDelete", order::<RouteDelete>, keys::<RouteChanged>),
    ("RouteExport", keys::<RouteFamily>, keys::<Exported>),
    ("RouteFlush", keys::<RouteFamily>, keys::<Flushed>),
    ("RouteGet", keys::<RouteGet>, keys::<RouteAnswer>),
    ("RouteList", keys::<RouteFamily>, keys::<Routes>),
    ("RouteMonitor", keys::<OfFib>, events),
    ("RouteMoves", keys::<OfFib>, keys::<RouteMovesList>),
    ("Status", nothing, keys::<Status>),
    (
        "TemplateFlush",
        keys::<TemplateFilter>,
        keys::<TemplatesFlushed>,
    ),
    ("TemplateList", keys::<TemplateFilter>, keys::<Templates>),
    ("Workers", nothing, keys::<Workers>),
    ("WorkersSet", keys::<WorkersSet>, keys::<WorkersDone>),
];

#[test]
fn every_method_and_error_is_described() {
    let description = read_description();
    assert_eq!(
        METHODS.map(String::from).to_vec(),
        Vec::from_iter(description.methods.into_keys())
    );
    let errors = Reason::ALL.map(|reason| reason.name().to_owned());
    assert_eq!(BTreeSet::from(errors), description.errors);
}

#[test]
fn every_type_has_the_fields_that_are_described() {
    let types = read_description().types;
    let written = full::types();
    for (name, keys) in &written {
        let described = types.get(*name).unwrap_or_else(|| panic!("no type {name}"));
        assert_eq!(*keys, set(described), "{name}");
    }
    let seen: BTreeSet<&str> = written.iter().map(|(name, _)| *name).collect();
    let all = types.keys().map(String::as_str).collect();
    assert_eq!(seen, all, "types that no test knows");
}

#[test]
fn parameters_and_replies_have_the_fields_that_are_described() {
    let methods = read_description().methods;
    for (name, asks, answers) in CALLS {
        assert_eq!(asks(), set(&methods[*name].0), "parameters of {name}");
        assert_eq!(answers(), set(&methods[*name].1), "reply of {name}");
    }
    let seen: BTreeSet<&str> = CALLS.iter().map(|(name, ..)| *name).collect();
    let all = methods.keys().map(String::as_str).collect();
    assert_eq!(seen, all, "methods that no test knows");
}

#[test]
fn every_event_has_fields_that_are_described() {
    let described = set(&read_description().methods["RouteMonitor"].1);
    assert_eq!(events(), described);
}

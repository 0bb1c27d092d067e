//! Control messages: bytes to frames, frames to calls, parameters to every type that a call takes, checked as the call
//! does it.

use flowgate::wire::capture::Capture;
use flowgate::wire::explain::Explain;
use flowgate::wire::flow::FlowFilter;
use flowgate::wire::frame::FrameReader;
use flowgate::wire::message::{Reply, Request, parameters};
use flowgate::wire::{
    batch, group, neighbour, nexthop, ping, route, stats, template, timeout, workers,
};
use serde_json::Value;

/// Messages of an input that are looked at.
const MOST: usize = 32;

pub(crate) fn run(data: &[u8]) {
    let mut reader = FrameReader::new(data);
    for _ in 0..MOST {
        let Ok(Some(message)) = reader.next_message() else {
            return;
        };
        if let Ok(reply) = serde_json::from_slice::<Reply>(message) {
            let _ = reply.outcome();
        }
        let Ok(request) = serde_json::from_slice::<Request>(message) else {
            continue;
        };
        every_type(&request.parameters);
    }
}

macro_rules! taken {
    ($given:expr => $($type:ty),+ $(,)?) => {
        $(taken_as::<$type>($given);)+
    };
}

fn taken_as<T: serde::de::DeserializeOwned>(given: &Value) {
    if let Err(refused) = parameters::<T>(given.clone()) {
        assert!(!refused.to_string().is_empty());
    }
}

fn every_type(given: &Value) {
    taken!(given =>
        batch::BatchAdd, batch::BatchBegin, batch::BatchOf,
        group::GroupAdd, group::GroupChange, group::GroupDelete, group::GroupOf, group::GroupsOf,
        neighbour::NeighbourDelete, neighbour::NeighbourFilter, neighbour::NeighbourSet,
        route::OfFib, route::RouteAdd, route::RouteChange, route::RouteDelete, route::RouteFamily, route::RouteGet,
        stats::CountersOf,
        template::TemplateFilter,
        timeout::FlowTimeoutDelete, timeout::FlowTimeoutSet,
        workers::WorkersSet,
    );
    if let Ok(filter) = parameters::<FlowFilter>(given.clone()) {
        let _ = filter.normal();
    }
    if let Ok(order) = parameters::<nexthop::NexthopSet>(given.clone()) {
        let _ = order.checked();
    }
    if let Ok(asked) = parameters::<ping::Ping>(given.clone()) {
        let _ = asked.checked();
    }
    if let Ok(asked) = parameters::<Capture>(given.clone()) {
        let _ = asked.checked();
    }
    if let Ok(asked) = parameters::<Explain>(given.clone()).and_then(Explain::checked) {
        let _ = asked.bytes();
    }
}

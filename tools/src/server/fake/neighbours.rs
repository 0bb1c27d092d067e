//! Made-up neighbours: in a list, whatever is said of them.

use super::Fake;
use crate::server::Answer;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::neighbour::*;
use crate::wire::route::Family;
use arp::Mac;

pub(super) fn neighbour(address: &str, expires: Option<u64>, state: NeighbourState) -> Neighbour {
    let known = state != NeighbourState::Incomplete;
    Neighbour {
        address: address.parse().unwrap(),
        port: "rack".into(),
        mac: known.then_some(Mac([2, 0, 0, 0, 0, 0x11])),
        state,
        expires,
        published: false,
        reserved: known,
    }
}

pub(super) fn list(fake: &Fake, filter: NeighbourFilter) -> Vec<Neighbour> {
    let wanted = |n: &&Neighbour| {
        filter.address.is_none_or(|address| n.address == address)
            && filter
                .family
                .is_none_or(|family| Family::of(n.address) == family)
    };
    fake.neighbours.iter().filter(wanted).cloned().collect()
}

pub(super) fn set(fake: &mut Fake, ask: NeighbourSet) {
    fake.neighbours.push(Neighbour {
        address: ask.address,
        port: ask.port.unwrap_or_else(|| "rack".into()),
        mac: Some(ask.mac),
        state: NeighbourState::Permanent,
        expires: None,
        published: ask.published,
        reserved: false,
    });
}

pub(super) fn delete(fake: &mut Fake, ask: NeighbourDelete) -> Answer<Deleted> {
    let (deleted, kept) = fake
        .neighbours
        .drain(..)
        .partition(|n| n.address == ask.address);
    fake.neighbours = kept;
    let message = format!("no entry for {}", ask.address);
    match deleted {
        deleted if deleted.is_empty() => Err(CallError::refused(Reason::NotFound, message)),
        deleted => Ok(Deleted { deleted }),
    }
}

pub(super) fn flush(fake: &mut Fake, filter: NeighbourFilter) -> Deleted {
    let doomed = |n: &Neighbour| filter.family.is_none_or(|f| f == Family::of(n.address));
    let (deleted, kept) = fake.neighbours.drain(..).partition(doomed);
    fake.neighbours = kept;
    Deleted { deleted }
}

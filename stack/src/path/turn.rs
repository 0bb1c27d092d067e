//! A burst's packet when it is its turn: its lookup has begun, and most take a short way to their next hop.

use super::Shared;
use super::decide::{Asked, Query, found, hit, quoted};
use super::missed::Ways;
use super::told::Told;
use crate::parse::Role;
use crate::routed::Routed;
use crate::vouch::Vouch;
use flowtable::{Burst, Flow, Hit, Writer};
use route::{Pin, PinState};

/// A burst's packet, when it is its turn.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a, K: Routed> {
    pub(super) burst: &'a Burst<K>,
    pub(super) ways: &'a Ways<K>,
    /// Which of the burst's flows it belongs to.
    pub(super) which: u32,
    pub(super) asked: Asked<'a>,
}

/// The way of a packet whose lookup has begun with its burst's. One whose pin holds takes the short way; what the long one
/// needs is put together only there.
#[inline]
pub(super) fn of_burst<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    turn: Turn<'_, K>,
) -> Option<Told> {
    let Turn {
        burst,
        which,
        asked,
        ..
    } = turn;
    let flow = burst.get(which)?;
    if asked.role != Role::Quoting
        && let Some(hit) = flows.touch_settled(&flow, asked.seen, asked.now.tick())
    {
        let Some(told) = still(s, &flow, &hit) else {
            return changed(flows, s, burst.get(which)?, hit, asked);
        };
        asked.counters.pinned.bump();
        return Some(told);
    }
    let away = flows
        .floods(flow.probe.slot())
        .then(|| turned_away(flows, s, turn));
    away.flatten().or_else(|| at_length(flows, s, turn))
}

/// In a flood: a packet whose flow is new and gets no entry, over a group that needs nothing but the bucket to answer, which
/// remembers nobody. As [`miss`] would do it; `None`: that has to.
#[inline(never)]
fn turned_away<K: Routed>(flows: &mut Writer<K>, s: &Shared, turn: Turn<'_, K>) -> Option<Told> {
    let Turn {
        burst,
        ways,
        which,
        asked,
    } = turn;
    let way = ways.get(which).filter(|way| way.plain)?;
    let new = s.view.group(way.group?).choice(way.bucket)?;
    let told = Told::over(new.chosen.pin, new.nhop.kind(), new.nhop.place());
    let probe = burst.get(which)?.probe;
    let away = asked.role != Role::Quoting
        && told.is_via()
        && !new.remembers
        && flows.turns_away_absent(&probe, asked.now.tick());
    if away {
        asked.counters.unpinned.bump();
    }
    away.then_some(told)
}

/// A packet in the middle of its connection, whose pin has to be looked at again.
#[inline(never)]
fn changed<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    flow: Flow<K>,
    found: Hit,
    asked: Asked<'_>,
) -> Option<Told> {
    Some(hit(flows, s, &Query::new(&flow, None, asked), found))
}

/// Any other packet.
#[inline(never)]
fn at_length<K: Routed>(flows: &mut Writer<K>, s: &Shared, turn: Turn<'_, K>) -> Option<Told> {
    let Turn {
        burst,
        ways,
        which,
        asked,
    } = turn;
    let flow = burst.get(which)?;
    let q = Query::new(&flow, ways.get(which), asked);
    Some(match asked.role {
        Role::Quoting => quoted(flows, s, &q),
        // The short way was tried.
        _ => found(flows, s, &q, Writer::touch_anew),
    })
}

/// Steps 1 to 4 of design section 4, for a packet in the middle of its connection: most end here. `None`: something has
/// changed.
#[inline]
fn still<K: Routed>(s: &Shared, flow: &Flow<K>, hit: &Hit) -> Option<Told> {
    let pin = Pin::from_raw(hit.pin.0);
    let nhop = s.view.nhop(pin.idx());
    let stamp = flow.key.stamp(&s.view, flow.key.dst(flow.dir));
    let holds = nhop.judge(pin) == PinState::Live && Vouch::from_word(hit.stamp).holds(stamp);
    holds.then(|| Told::over(pin, nhop.kind(), nhop.place()))
}

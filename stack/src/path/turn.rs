//! A burst's packet when it is its turn: its lookup has begun, and most take a short way to their next hop.

use super::Shared;
use super::decide::{Asked, Query, found, hit, quoted};
use super::missed::Ways;
use super::told::{Settled, Told};
use crate::counters::Counters;
use crate::parse::Role;
use crate::routed::Routed;
use crate::time::Now;
use crate::vouch::Vouch;
use flowtable::{Burst, Entry, Hit, Observed, PinWord, Seen, SlotNo, Tick, Writer};
use route::{Pin, PinState};

/// A burst's packet, when it is its turn.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a, K: Routed> {
    burst: &'a Burst<K>,
    ways: &'a Ways<K>,
    /// Which of the burst's flows it belongs to.
    which: u32,
    asked: Asked<'a>,
}

impl<'a, K: Routed> Turn<'a, K> {
    pub(super) fn new(
        burst: &'a Burst<K>,
        ways: &'a Ways<K>,
        which: u32,
        asked: Asked<'a>,
    ) -> Self {
        Self {
            burst,
            ways,
            which,
            asked,
        }
    }
}

/// The way of a packet, no ICMP error, whose lookup has begun with its burst's, if it is one in the middle of its connection:
/// the short way. `None`: it is another, and nothing was done.
///
/// `known` tells what is known of a pin that was live when an earlier packet of the burst asked.
#[inline(always)]
pub(super) fn settled<K: Routed, B>(
    flows: &mut Writer<K>,
    s: &Shared,
    (burst, which): (&Burst<K>, u32),
    (seen, tick): (&Seen, Tick),
    (now, counters): (Now, &Counters),
    known: impl FnOnce(Pin) -> Option<B>,
) -> Option<Settled<B>> {
    let flow = burst.get(which)?;
    let hit = flows.touch_settled(&flow, seen, tick)?;
    let pin = Pin::from_raw(hit.pin.0);
    let stamp = flow.key.stamp(&s.view, flow.key.dst(flow.dir));
    let holds = Vouch::from_word(hit.stamp).holds(stamp);
    // Steps 1 to 4 of design section 4: most end here.
    if holds && let Some(known) = known(pin) {
        counters.pinned.bump();
        return Some(Settled::Known(known));
    }
    let role = Role::Own;
    let asked = Asked {
        role,
        seen,
        now,
        counters,
    };
    let found = (hit.pin, hit.stamp);
    judged(flows, s, (burst, which), hit.entry, found, holds, asked).map(Settled::Told)
}

/// A packet in the middle of its connection, of whose next hop nothing is known yet in this burst. What was found comes in
/// pieces: who takes the short way shall not have to put it together.
#[inline(never)]
fn judged<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    burst: (&Burst<K>, u32),
    entry: Entry,
    found: (PinWord, u32),
    holds: bool,
    asked: Asked<'_>,
) -> Option<Told> {
    let pin = Pin::from_raw(found.0.0);
    let nhop = s.view.nhop(pin.idx());
    if !holds || nhop.judge(pin) != PinState::Live {
        return changed(flows, s, burst, entry, found, asked);
    }
    asked.counters.pinned.bump();
    Some(Told::over(pin, nhop.kind(), nhop.place()))
}

/// In a flood: the way of a packet, no ICMP error, whose flow is new and was held back when its burst started, over a group that
/// needs nothing but the bucket to answer, which remembers nobody. `None`: it has to be looked at like any other.
///
/// A packet before it may have got its flow an entry all the same, in the other direction, if just then there was room again:
/// its bucket's owner is where that leads too, only the entry does not hear of this packet.
///
/// `known` as for [`settled`].
#[inline(always)]
pub(super) fn held_back<K: Routed, B>(
    s: &Shared,
    (burst, ways): (&Burst<K>, &Ways<K>),
    which: u32,
    known: impl FnOnce(Pin) -> Option<B>,
) -> Option<(SlotNo, Settled<B>)> {
    let slot = burst.held_back(which)?;
    let pin = ways.get(which)?.owner?;
    let answer = match known(pin) {
        Some(known) => Settled::Known(known),
        None => Settled::Told(live(s, pin)?),
    };
    Some((slot, answer))
}

/// A next hop, if it is live and packets may go there.
#[inline(never)]
fn live(s: &Shared, pin: Pin) -> Option<Told> {
    let nhop = s.view.nhop(pin.idx());
    let told = Told::over(pin, nhop.kind(), nhop.place());
    (nhop.judge(pin) == PinState::Live && told.is_via()).then_some(told)
}

/// A packet in the middle of its connection, whose pin has to be looked at again. What was found comes in pieces: who takes
/// the short way shall not have to put it together.
#[cold]
#[inline(never)]
fn changed<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    (burst, which): (&Burst<K>, u32),
    entry: Entry,
    (pin, stamp): (PinWord, u32),
    asked: Asked<'_>,
) -> Option<Told> {
    let flow = burst.get(which)?;
    let found = Hit {
        entry,
        observed: Observed::Normal,
        pin,
        stamp,
    };
    Some(hit(flows, s, &Query::new(&flow, None, asked), found))
}

/// The way of any other packet of a burst.
#[inline(never)]
pub(super) fn unsettled<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    turn: Turn<'_, K>,
) -> Option<Told> {
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

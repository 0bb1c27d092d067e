//! What becomes of a packet: steps 1 to 4 of design section 4, and *no pin, no break*.

use super::Shared;
use super::missed::Way;
use super::sticky::renew_moved;
use super::told::Told;
use crate::affinity::{Affine, affine, told};
use crate::counters::Counters;
use crate::fate::{DropReason, MoveReason};
use crate::parse::Role;
use crate::routed::{Routed, UNKNOWN_IDLE_S, bucket_of};
use crate::time::Now;
use crate::vouch::Vouch;
use flowtable::{Dir, Entry, Flow, Hit, Observed, PinWord, Seen, Tick, TimeoutsNo, Writer};
use route::{Answer, Chosen, GroupId, GroupRef, Pin, PinState, Recall, stamps_then_routes};

/// What a packet is asked about, besides its flow.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) role: Role,
    pub(super) seen: &'a Seen,
    pub(super) now: Now,
    pub(super) counters: &'a Counters,
}

/// One packet's question.
pub(super) struct Query<'a, K: Routed> {
    flow: &'a Flow<K>,
    /// Its route, if it was looked up before its turn.
    way: Option<Way>,
    pub(super) key: &'a K,
    pub(super) dir: Dir,
    dst: K::Addr,
    role: Role,
    seen: &'a Seen,
    now: Now,
    counters: &'a Counters,
}

impl<'a, K: Routed> Query<'a, K> {
    #[inline]
    pub(super) fn new(flow: &'a Flow<K>, way: Option<Way>, asked: Asked<'a>) -> Self {
        let Flow { key, dir, .. } = flow;
        let Asked {
            role,
            seen,
            now,
            counters,
        } = asked;
        Self {
            flow,
            way,
            key,
            dir: *dir,
            dst: key.dst(*dir),
            role,
            seen,
            now,
            counters,
        }
    }
}

/// What a lookup of the route found: the group, its bucket for this flow, and the stamp read before.
pub(super) struct Choice<'v> {
    pub(super) id: GroupId,
    pub(super) group: GroupRef<'v>,
    pub(super) bucket: u32,
    stamp: u32,
    /// The template that the flow's direction has, if the group is sticky.
    pub(super) affine: Option<Affine>,
}

impl Choice<'_> {
    /// Which idle timeouts the route gives its flows.
    fn timeouts(&self) -> TimeoutsNo {
        TimeoutsNo::new(self.group.timeouts())
    }
}

/// The way of a packet, whose flow gets an entry if it has none.
pub(super) fn answer<K: Routed>(flows: &mut Writer<K>, s: &Shared, q: &Query<'_, K>) -> Told {
    match q.role {
        Role::Quoting => quoted(flows, s, q),
        _ => found(flows, s, q, Writer::touch),
    }
}

#[inline]
pub(super) fn found<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    q: &Query<'_, K>,
    touch: impl FnOnce(&mut Writer<K>, &Flow<K>, &Seen, Tick) -> Option<Hit>,
) -> Told {
    match touch(flows, q.flow, q.seen, q.now.tick()) {
        Some(touched) => hit(flows, s, q, touched),
        None => miss(flows, s, q),
    }
}

/// Steps 1 to 4 of design section 4.
#[inline(never)]
pub(super) fn hit<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    q: &Query<'_, K>,
    hit: Hit,
) -> Told {
    let Hit {
        entry,
        observed,
        pin,
        stamp,
    } = hit;
    let pin = Pin::from_raw(pin.0);
    if pin == Pin::NONE {
        return rechoose(flows, s, q, entry, None);
    }
    if observed == Observed::Reopened {
        return rechoose(flows, s, q, entry, Some(MoveReason::Reopened));
    }
    match s.view.judge(pin) {
        PinState::Gone => {
            q.counters.stale_generation.bump();
            rechoose(flows, s, q, entry, Some(MoveReason::Policy))
        }
        PinState::Dead => rechoose(flows, s, q, entry, Some(MoveReason::Dead)),
        PinState::Drained => rechoose(flows, s, q, entry, Some(MoveReason::Deadline)),
        PinState::Live => {
            if !Vouch::from_word(stamp).holds(q.key.stamp(&s.view, q.dst)) {
                return revalidate(flows, s, q, entry, pin);
            }
            q.counters.pinned.bump();
            via(s, pin)
        }
    }
}

/// The stamp differs: the route is looked up again, and the pin kept if its group still has the member.
#[inline(never)]
fn revalidate<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    q: &Query<'_, K>,
    entry: Entry,
    pin: Pin,
) -> Told {
    q.counters.stale_stamp.bump();
    let Some((stamp, id)) = look_up(s, q) else {
        return Told::nowhere(DropReason::NoRoute);
    };
    let group = s.view.group(id);
    if !group.has_member(pin) {
        return rechoose(flows, s, q, entry, Some(why_left(&group, pin)));
    }
    let bucket = bucket_of(&group, &s.secret, q.key, q.dir);
    let stands_in = Vouch::from_word(flows.stamp(entry, q.dir)).stands_in();
    let recall = stands_in.then(|| group.recall(bucket, pin));
    if recall == Some(Recall::Return) {
        return rechoose(flows, s, q, entry, Some(MoveReason::Failback));
    }
    q.counters.revalidated.bump();
    let vouch = Vouch::new(stamp, recall == Some(Recall::Wait));
    flows.set_stamp(entry, q.dir, vouch.word());
    if group.owner(bucket) != Some(pin) {
        flows.set_debt(entry, true);
    }
    via(s, pin)
}

/// Why a flow leaves a next hop that its route's group does not have, and that is alive.
#[cold]
fn why_left(group: &GroupRef<'_>, pin: Pin) -> MoveReason {
    if group.drained(pin) {
        MoveReason::Deadline
    } else {
        MoveReason::Policy
    }
}

/// An entry exists, and its pin in this direction must be chosen (again): what its client's template says, else the
/// bucket's owner.
/// With no member alive, or a route that forwards nothing, the old pin stays as it is.
#[inline(never)]
fn rechoose<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    q: &Query<'_, K>,
    entry: Entry,
    why: Option<MoveReason>,
) -> Told {
    let choice = match choose(s, q) {
        Ok(choice) => choice,
        Err(reason) => return Told::nowhere(reason),
    };
    let Some(chosen) = choice.group.chosen(choice.bucket) else {
        return Told::nowhere(DropReason::NoNexthop);
    };
    let owner = chosen.pin;
    let outcome = via(s, owner);
    if !outcome.is_via() {
        return outcome;
    }
    let went = s
        .take(&choice, chosen, flows.round_since(), q.now)
        .unwrap_or(chosen);
    if why == Some(MoveReason::Reopened) {
        // A new connection, by the route as it is now.
        flows.set_timeouts(entry, choice.timeouts());
    }
    if let Some(why) = why
        && Pin::from_raw(flows.pin(entry, q.dir).0) != went.pin
    {
        let own = went.pin == owner;
        q.counters
            .moved(if own { why } else { MoveReason::Template });
    }
    store(flows, q, entry, &choice, went);
    via(s, went.pin)
}

/// No entry: the route decides, and the flow is pinned if there is room (design section 4, *no pin, no break*).
#[inline(never)]
fn miss<K: Routed>(flows: &mut Writer<K>, s: &Shared, q: &Query<'_, K>) -> Told {
    let choice = match choose(s, q) {
        Ok(choice) => choice,
        Err(reason) => return Told::nowhere(reason),
    };
    let Some(new) = choice.group.choice(choice.bucket) else {
        return Told::nowhere(DropReason::NoNexthop);
    };
    let first = Told::over(new.chosen.pin, new.nhop.kind(), new.nhop.place());
    if !first.is_via() {
        return first;
    }
    let (slot, hash) = (q.flow.probe.slot(), q.flow.probe.hash());
    // In a flood: no entry, and no template that could say anything.
    let away = q.role != Role::Quoting
        && choice.affine.is_none()
        && flows.turns_away(slot, hash, q.now.tick());
    if away && !new.remembers {
        // The owner's way is what its bucket answers.
        q.counters.unpinned.bump();
        return first;
    }
    let idle = flows.idle_timeout(&q.seen.l4, choice.timeouts());
    if away {
        return unpinned(s, q, &choice, stateless(q, &choice, idle));
    }
    place(flows, s, q, &choice, (new.chosen, idle))
}

/// A flow without an entry gets one if there is room, and its packet goes where the flow belongs.
#[inline(never)]
fn place<K: Routed>(
    flows: &mut Writer<K>,
    s: &Shared,
    q: &Query<'_, K>,
    choice: &Choice<'_>,
    (chosen, idle): (Chosen, u32),
) -> Told {
    let owner = chosen.pin;
    let (slot, hash) = (q.flow.probe.slot(), q.flow.probe.hash());
    let new = q.seen.l4.opens() || flows.proves_new(slot, hash, idle, q.now.tick());
    let stored = if q.role == Role::Quoting {
        None
    } else {
        flows
            .insert_missed(slot, hash, q.key, q.dir, q.seen, q.now.tick())
            .ok()
            .inspect(|entry| {
                flows.set_timeouts(*entry, choice.timeouts());
                renew_moved(flows, s, q.now);
            })
    };
    // Without an entry, or with one that may not be its first: what a packet without a pin gets.
    let pinned_new = stored.is_some() && new;
    let answer = (!pinned_new).then(|| stateless(q, choice, idle)).flatten();
    let by_group = match pinned_new {
        true => chosen,
        false => {
            let pin = answer.map_or(owner, |answer| answer.pin);
            let stands_in = chosen.stands_in && pin == owner;
            Chosen { pin, stands_in }
        }
    };
    let taken = match q.role {
        Role::Quoting => s.told(choice, q),
        _ => s.take(choice, by_group, flows.round_since(), q.now),
    };
    match (stored, taken) {
        (Some(entry), _) => {
            let went = taken.unwrap_or(by_group);
            store(flows, q, entry, choice, went);
            via(s, went.pin)
        }
        (None, Some(went)) => {
            if q.role != Role::Quoting {
                q.counters.unpinned.bump();
            }
            via(s, went.pin)
        }
        (None, None) => unpinned(s, q, choice, answer),
    }
}

/// Forwards without a pin: the bucket's stateless answer, because the next packet will take that too.
fn unpinned<K: Routed>(
    s: &Shared,
    q: &Query<'_, K>,
    choice: &Choice<'_>,
    answer: Option<Answer>,
) -> Told {
    let Some(answer) = answer else {
        return Told::nowhere(DropReason::NoNexthop);
    };
    if q.role != Role::Quoting {
        q.counters.unpinned.bump();
        if let Some(place) = answer.remembered {
            s.marks.mark(choice.id, choice.bucket, place, q.now.secs());
        }
    }
    via(s, answer.pin)
}

/// An ICMP error: about a flow we know it goes where the flow's own packets of that direction go, and leaves no trace in
/// the entry.
#[inline(never)]
pub(super) fn quoted<K: Routed>(flows: &mut Writer<K>, s: &Shared, q: &Query<'_, K>) -> Told {
    let Some(entry) = flows.lookup_probed(&q.flow.probe, q.key, q.now.tick()) else {
        return miss(flows, s, q);
    };
    let pin = Pin::from_raw(flows.pin(entry, q.dir).0);
    let live = pin != Pin::NONE && s.view.judge(pin) == PinState::Live;
    let vouch = Vouch::from_word(flows.stamp(entry, q.dir));
    if live && vouch.holds(q.key.stamp(&s.view, q.dst)) {
        return via(s, pin);
    }
    let choice = match choose(s, q) {
        Ok(choice) => choice,
        Err(reason) => return Told::nowhere(reason),
    };
    let called_back =
        || vouch.stands_in() && choice.group.recall(choice.bucket, pin) == Recall::Return;
    if live && choice.group.has_member(pin) && !called_back() {
        return via(s, pin);
    }
    let told = s.told(&choice, q).map(|told| told.pin);
    told.or_else(|| choice.group.owner(choice.bucket))
        .map_or(Told::nowhere(DropReason::NoNexthop), |p| via(s, p))
}

/// The stamp of a packet's destination, and the route looked up after it was read.
#[inline(always)]
fn look_up<K: Routed>(s: &Shared, q: &Query<'_, K>) -> Option<(u32, GroupId)> {
    stamps_then_routes(
        &mut (),
        |()| q.key.stamp(&s.view, q.dst),
        |(), stamp| Some((stamp, q.key.lookup(&s.view, q.dst)?)),
    )
}

/// Reads the stamp, then looks the route up, then finds the flow's bucket; unless that was done before its turn.
#[inline(always)]
fn choose<'v, K: Routed>(s: &'v Shared, q: &Query<'_, K>) -> Result<Choice<'v>, DropReason> {
    let (stamp, id, group, bucket) = match q.way {
        Some(way) => {
            let id = way.group.ok_or(DropReason::NoRoute)?;
            (way.stamp, id, s.view.group(id), way.bucket)
        }
        None => {
            let (stamp, id) = look_up(s, q).ok_or(DropReason::NoRoute)?;
            let group = s.view.group(id);
            (stamp, id, group, bucket_of(&group, &s.secret, q.key, q.dir))
        }
    };
    Ok(Choice {
        id,
        group,
        bucket,
        stamp,
        affine: affine(&group, q.key, q.dir),
    })
}

fn stateless<K: Routed>(q: &Query<'_, K>, choice: &Choice<'_>, idle: u32) -> Option<Answer> {
    choice.group.stateless(choice.bucket, q.now.secs(), idle)
}

/// Stores a pin with the stamp read before its lookup, and marks pin debt (design section 4).
fn store<K: Routed>(
    flows: &mut Writer<K>,
    q: &Query<'_, K>,
    entry: Entry,
    choice: &Choice<'_>,
    chosen: Chosen,
) {
    let pin = chosen.pin;
    let vouch = Vouch::new(choice.stamp, chosen.stands_in);
    flows.set_pin(entry, q.dir, PinWord(pin.raw()), vouch.word());
    let idle = flows.idle_timeout(&q.seen.l4, choice.timeouts());
    let free_to_lose = choice.group.owner(choice.bucket) == Some(pin)
        && stateless(q, choice, idle).is_some_and(|answer| answer.pin == pin);
    if !free_to_lose {
        flows.set_debt(entry, true);
    }
}

/// What a next hop means for a packet.
#[inline]
fn via(s: &Shared, pin: Pin) -> Told {
    Told::via(&s.view, pin)
}

/// Of a packet that gets no entry: what a packet without a pin gets.
pub(super) fn plain<K: Routed>(s: &Shared, key: &K, dir: Dir, now: Now) -> Told {
    let Some(id) = key.lookup(&s.view, key.dst(dir)) else {
        return Told::nowhere(DropReason::NoRoute);
    };
    let group = s.view.group(id);
    let bucket = bucket_of(&group, &s.secret, key, dir);
    let templates = s.templates();
    let told = templates.and_then(|t| told(t.table(), &s.view, (&group, bucket), key, dir));
    if let Some(told) = told {
        return via(s, told.pin);
    }
    match group.stateless(bucket, now.secs(), UNKNOWN_IDLE_S) {
        Some(answer) => via(s, answer.pin),
        None => Told::nowhere(DropReason::NoNexthop),
    }
}

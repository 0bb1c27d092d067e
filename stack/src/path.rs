//! The flow cache: from a packet's flow to its next hop, in the exact order of design section 4.
//!
//! A [`Path`] belongs to one thread (a worker, or the host for its own sockets) and holds the writers of
//! that thread's flow tables. On a hit it judges the pin by generation, state and stamp; on a miss it looks
//! the route up, lets the group choose and stores the pin. It reads shared memory and writes only its own.
//!
//! *Order.* A stamp is always read before the lookup that it vouches for, and stored with the pin: a route
//! that changes in between leaves an old stamp with a new route (one lookup too many), never the reverse.

mod missed;
mod ready;
mod sticky;

pub use ready::Ready;

use crate::affinity::{Affine, affine, told};
use crate::counters::Counters;
use crate::fate::{DropReason, MoveReason};
use crate::marks::Marks;
use crate::parse::{Addrs, IpMeta, Role, Tuple};
use crate::routed::{Routed, UNKNOWN_IDLE_S, bucket_of};
use crate::time::Now;
use crate::vouch::Vouch;
use flowtable::{
    Dir, Entry, Flow, GroupSecret, Hit, KeyV4, KeyV6, Observed, Pages, PinWord, Probe, Seen,
    SlotNo, Table, TableSecret, TemplateWriter, TimeoutsNo, Touched, Writer,
};
use missed::Way;
use ready::{Bursts, Named, name};
use route::{
    Answer, Chosen, FibId, GroupId, GroupRef, NhopAttrs, NhopKind, Pin, PinState, Recall, View,
};
use std::sync::Arc;
use sticky::{renew_moved, visit};

/// What the flow cache says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to this next hop.
    Via(Hop),
    /// Its destination is one of our own addresses.
    Local,
    /// It goes nowhere, for this reason.
    Unroutable(DropReason),
}

/// A next hop chosen for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Which one.
    pub pin: Pin,
    /// Where it is.
    pub attrs: NhopAttrs,
}

/// What a packet is asked about, besides its flow.
#[derive(Clone, Copy)]
struct Asked<'a> {
    role: Role,
    seen: &'a Seen,
    now: Now,
    counters: &'a Counters,
}

/// One packet's question.
struct Query<'a, K: Routed> {
    flow: &'a Flow<K>,
    /// Its route, if it was looked up before its turn.
    way: Option<Way>,
    key: &'a K,
    dir: Dir,
    dst: K::Addr,
    role: Role,
    seen: &'a Seen,
    now: Now,
    counters: &'a Counters,
}

impl<'a, K: Routed> Query<'a, K> {
    #[inline]
    fn new(flow: &'a Flow<K>, way: Option<Way>, asked: Asked<'a>) -> Self {
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

/// What a query needs besides the table.
struct Shared {
    view: Arc<View>,
    secret: GroupSecret,
    marks: Arc<Marks>,
    /// Affinity templates; the host has none.
    templates: Option<TemplateWriter>,
}

/// One thread's flow cache.
pub struct Path {
    shared: Shared,
    flows4: Writer<KeyV4>,
    flows6: Writer<KeyV6>,
    bursts: Bursts,
}

/// What a lookup of the route found: the group, its bucket for this flow, and the stamp read before.
struct Choice<'v> {
    id: GroupId,
    group: GroupRef<'v>,
    bucket: u32,
    stamp: u32,
    /// The template that the flow's direction has, if the group is sticky.
    affine: Option<Affine>,
}

impl Choice<'_> {
    /// Which idle timeouts the route gives its flows.
    fn timeouts(&self) -> TimeoutsNo {
        TimeoutsNo::new(self.group.timeouts())
    }
}

impl Path {
    /// A path over the slots that `tables` give to this thread.
    pub fn new(
        view: Arc<View>,
        tables: &FlowTables,
        slots: &[SlotNo],
        secret: GroupSecret,
        marks: Arc<Marks>,
    ) -> Self {
        Self {
            shared: Shared {
                view,
                secret,
                marks,
                templates: None,
            },
            flows4: tables.v4.writer(slots.iter().copied()),
            flows6: tables.v6.writer(slots.iter().copied()),
            bursts: Bursts::new(0),
        }
    }

    /// Keeps room for bursts of `most` packets, so that [`ready`](Self::ready) allocates nothing.
    #[must_use]
    pub fn with_bursts(mut self, most: usize) -> Self {
        self.bursts = Bursts::new(most);
        self
    }

    /// Asks affinity templates for the flows of sticky routes.
    #[must_use]
    pub fn with_templates(mut self, templates: TemplateWriter) -> Self {
        self.shared.templates = Some(templates);
        self
    }

    /// The owner slot of a flow; both directions have the same.
    pub fn slot(&self, tuple: &Tuple) -> SlotNo {
        let owner = self.flows4.table().owner();
        match tuple.addrs {
            Addrs::V4 { src, dst } => owner.slot4(tuple.proto, src, tuple.sport, dst, tuple.dport),
            Addrs::V6 { src, dst } => owner.slot6(tuple.proto, src, tuple.sport, dst, tuple.dport),
        }
    }

    /// Finds the next hop of a packet, pinning its flow. The packet must be one that will be sent on.
    pub fn resolve(
        &mut self,
        slot: SlotNo,
        meta: &IpMeta,
        seen: &Seen,
        now: Now,
        counters: &Counters,
    ) -> Outcome {
        let asked = Asked {
            role: meta.role,
            seen,
            now,
            counters,
        };
        match name(meta) {
            Named::V4((key, dir)) => {
                let probe = Probe::alone(slot, self.flows4.hash(&key));
                let flow = Flow { key, dir, probe };
                answer(
                    &mut self.flows4,
                    &self.shared,
                    &Query::new(&flow, None, asked),
                )
            }
            Named::V6((key, dir)) => {
                let probe = Probe::alone(slot, self.flows6.hash(&key));
                let flow = Flow { key, dir, probe };
                answer(
                    &mut self.flows6,
                    &self.shared,
                    &Query::new(&flow, None, asked),
                )
            }
        }
    }

    /// As [`resolve`](Self::resolve), of a packet of the burst whose lookups [`ready`](Self::ready) has started. `None`
    /// if it is not one.
    #[inline]
    pub fn resolve_ready(
        &mut self,
        ready: Ready,
        role: Role,
        seen: &Seen,
        now: Now,
        counters: &Counters,
    ) -> Option<Outcome> {
        let asked = Asked {
            role,
            seen,
            now,
            counters,
        };
        match ready {
            Ready::V4(which) => {
                let flow = self.bursts.v4.get(which)?;
                let query = Query::new(&flow, self.bursts.ways4.get(which), asked);
                Some(answer(&mut self.flows4, &self.shared, &query))
            }
            Ready::V6(which) => {
                let flow = self.bursts.v6.get(which)?;
                let query = Query::new(&flow, self.bursts.ways6.get(which), asked);
                Some(answer(&mut self.flows6, &self.shared, &query))
            }
            Ready::Not => None,
        }
    }

    /// The next hop of a packet that has no flow entry and gets none: ICMP errors and echo replies of
    /// our own, and the question whether a destination is ours.
    pub fn route_only(&self, fib: FibId, tuple: &Tuple, now: Now) -> Outcome {
        let Tuple {
            addrs,
            sport,
            dport,
            proto,
        } = *tuple;
        let fib = fib.0;
        match addrs {
            Addrs::V4 { src, dst } => {
                let (key, dir) = KeyV4::new(fib, proto, src, sport, dst, dport);
                plain(&self.shared, &key, dir, now)
            }
            Addrs::V6 { src, dst } => {
                let (key, dir) = KeyV6::new(fib, proto, src, sport, dst, dport);
                plain(&self.shared, &key, dir, now)
            }
        }
    }

    /// The hand: frees expired entries in the next few buckets. Returns how many.
    pub fn sweep(&mut self, buckets: usize, now: Now) -> usize {
        self.flows4.sweep(buckets, now.tick()) + self.flows6.sweep(buckets, now.tick())
    }

    /// The hand under load: at most so many buckets, and no faster than it must be.
    pub fn sweep_paced(&mut self, most: usize, now: Now) -> usize {
        self.flows4.sweep_paced(most, now.tick()) + self.flows6.sweep_paced(most, now.tick())
    }

    /// The other hand: says anew which entries in the next few buckets owe their flow more than the route would
    /// give it without them (pin debt), and that their clients' templates are in use.
    pub fn visit(&mut self, buckets: usize, now: Now) {
        visit(&mut self.flows4, &self.shared, buckets, now);
        visit(&mut self.flows6, &self.shared, buckets, now);
    }

    /// Whether there are templates that [`visit`](Self::visit) has to say this of.
    pub fn has_templates(&self) -> bool {
        self.shared.templates().is_some()
    }

    /// Counts flows again by source network after slots have changed their thread, see [`Writer::recount`].
    pub fn recount(&mut self, buckets: usize) {
        self.flows4.recount(buckets);
        self.flows6.recount(buckets);
    }

    /// Gives a slot up: this thread touches its flows no more.
    pub(crate) fn give(&mut self, slot: SlotNo, now: Now) {
        self.flows4.give(slot, now.tick());
        self.flows6.give(slot, now.tick());
    }

    /// Takes a slot that another thread has given up. `false`: it has not.
    pub(crate) fn take(&mut self, slot: SlotNo, now: Now) -> bool {
        let taken = self.flows4.take(slot, now.tick());
        if taken && !self.flows6.take(slot, now.tick()) {
            self.flows4.give(slot, now.tick());
            return false;
        }
        taken
    }

    /// Live entries of this thread.
    pub fn len(&self) -> usize {
        self.flows4.len() + self.flows6.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What workers read of the routes.
    pub fn view(&self) -> &Arc<View> {
        &self.shared.view
    }

    /// The secret by which groups choose.
    pub fn group_secret(&self) -> &GroupSecret {
        &self.shared.secret
    }

    /// The writers of both families, for a flush.
    pub(crate) fn writers(&mut self) -> (&mut Writer<KeyV4>, &mut Writer<KeyV6>) {
        (&mut self.flows4, &mut self.flows6)
    }
}

/// Both flow tables of a gateway (or of the host).
#[derive(Clone)]
pub struct FlowTables {
    /// IPv4.
    pub v4: Arc<Table<KeyV4>>,
    /// IPv6.
    pub v6: Arc<Table<KeyV6>>,
}

impl FlowTables {
    /// Empty tables of at least so many entries; their memory is touched here, by several threads if there is much of it.
    pub fn new(v4: usize, v6: usize, secret: TableSecret, now: Now, touched: Touched<'_>) -> Self {
        Self {
            v4: Table::new_touched(v4, secret, now.tick(), touched),
            v6: Table::new_touched(v6, secret, now.tick(), touched),
        }
    }

    /// Bytes that such tables take.
    pub const fn bytes(v4: usize, v6: usize) -> u64 {
        Table::<KeyV4>::bytes(v4) as u64 + Table::<KeyV6>::bytes(v6) as u64
    }

    /// On what pages they are.
    pub fn pages(&self) -> Pages {
        self.v4.pages().plus(self.v6.pages())
    }
}

#[inline]
fn answer<K: Routed>(flows: &mut Writer<K>, s: &Shared, q: &Query<'_, K>) -> Outcome {
    if q.role == Role::Quoting {
        return quoted(flows, s, q);
    }
    match flows.touch(q.flow, q.seen, q.now.tick()) {
        Some(touched) => hit(flows, s, q, touched),
        None => miss(flows, s, q),
    }
}

/// Steps 1 to 4 of design section 4.
#[inline]
fn hit<K: Routed>(flows: &mut Writer<K>, s: &Shared, q: &Query<'_, K>, hit: Hit) -> Outcome {
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
) -> Outcome {
    q.counters.stale_stamp.bump();
    let stamp = q.key.stamp(&s.view, q.dst);
    let Some(id) = q.key.lookup(&s.view, q.dst) else {
        return Outcome::Unroutable(DropReason::NoRoute);
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
) -> Outcome {
    let choice = match choose(s, q) {
        Ok(choice) => choice,
        Err(reason) => return Outcome::Unroutable(reason),
    };
    let Some(chosen) = choice.group.chosen(choice.bucket) else {
        return Outcome::Unroutable(DropReason::NoNexthop);
    };
    let owner = chosen.pin;
    let outcome = via(s, owner);
    if !matches!(outcome, Outcome::Via(_)) {
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
fn miss<K: Routed>(flows: &mut Writer<K>, s: &Shared, q: &Query<'_, K>) -> Outcome {
    let choice = match choose(s, q) {
        Ok(choice) => choice,
        Err(reason) => return Outcome::Unroutable(reason),
    };
    let Some(chosen) = choice.group.chosen(choice.bucket) else {
        return Outcome::Unroutable(DropReason::NoNexthop);
    };
    let owner = chosen.pin;
    let first = via(s, owner);
    if !matches!(first, Outcome::Via(_)) {
        return first;
    }
    let idle = flows.idle_timeout(&q.seen.l4, choice.timeouts());
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
    let answer = (!pinned_new).then(|| stateless(q, &choice, idle)).flatten();
    let by_group = match pinned_new {
        true => chosen,
        false => {
            let pin = answer.map_or(owner, |answer| answer.pin);
            let stands_in = chosen.stands_in && pin == owner;
            Chosen { pin, stands_in }
        }
    };
    let taken = match q.role {
        Role::Quoting => s.told(&choice, q),
        _ => s.take(&choice, by_group, flows.round_since(), q.now),
    };
    match (stored, taken) {
        (Some(entry), _) => {
            let went = taken.unwrap_or(by_group);
            store(flows, q, entry, &choice, went);
            via(s, went.pin)
        }
        (None, Some(went)) => {
            if q.role != Role::Quoting {
                q.counters.unpinned.bump();
            }
            via(s, went.pin)
        }
        (None, None) => unpinned(s, q, &choice, answer),
    }
}

/// Forwards without a pin: the bucket's stateless answer, because the next packet will take that too.
fn unpinned<K: Routed>(
    s: &Shared,
    q: &Query<'_, K>,
    choice: &Choice<'_>,
    answer: Option<Answer>,
) -> Outcome {
    let Some(answer) = answer else {
        return Outcome::Unroutable(DropReason::NoNexthop);
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
fn quoted<K: Routed>(flows: &mut Writer<K>, s: &Shared, q: &Query<'_, K>) -> Outcome {
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
        Err(reason) => return Outcome::Unroutable(reason),
    };
    let called_back =
        || vouch.stands_in() && choice.group.recall(choice.bucket, pin) == Recall::Return;
    if live && choice.group.has_member(pin) && !called_back() {
        return via(s, pin);
    }
    let told = s.told(&choice, q).map(|told| told.pin);
    told.or_else(|| choice.group.owner(choice.bucket))
        .map_or(Outcome::Unroutable(DropReason::NoNexthop), |p| via(s, p))
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
            let stamp = q.key.stamp(&s.view, q.dst);
            let id = q.key.lookup(&s.view, q.dst).ok_or(DropReason::NoRoute)?;
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
fn via(s: &Shared, pin: Pin) -> Outcome {
    let attrs = s.view.attrs(pin.idx());
    match attrs.kind {
        NhopKind::Gateway | NhopKind::Iface => Outcome::Via(Hop { pin, attrs }),
        NhopKind::Local => Outcome::Local,
        NhopKind::Blackhole => Outcome::Unroutable(DropReason::Blackhole),
        NhopKind::Reject => Outcome::Unroutable(DropReason::Reject),
    }
}

fn plain<K: Routed>(s: &Shared, key: &K, dir: Dir, now: Now) -> Outcome {
    let Some(id) = key.lookup(&s.view, key.dst(dir)) else {
        return Outcome::Unroutable(DropReason::NoRoute);
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
        None => Outcome::Unroutable(DropReason::NoNexthop),
    }
}

//! `ip_forward`: from the flow to its next hop. Retraces `path::decide` without a writer: what that stores is not stored
//! here, what it counts is not counted.

use super::{Stage, Tracing, Verdict, words};
use crate::affinity::{affine, told};
use crate::fate::{DropReason, MoveReason};
use crate::icmp::Error;
use crate::martian::{self, Dest};
use crate::parse::{IpMeta, Role};
use crate::path::{Named, name};
use crate::routed::{Routed, UNKNOWN_IDLE_S, bucket_of};
use crate::vouch::Vouch;
use flowtable::{
    Dir, EntryView, FlowHash, Observed, Room, Seen, SlotNo, Table, TimeoutsNo, flow_hash,
};
use route::{Answer, Chosen, GroupRef, NhopKind, Pin, PinState, Recall};

/// Where the flow leads: to a next hop, or nowhere.
type Told = Result<Pin, DropReason>;

/// A packet's flow.
pub(super) struct Flow<'t, K: Routed> {
    pub(super) table: &'t Table<K>,
    pub(super) key: K,
    pub(super) dir: Dir,
    slot: SlotNo,
    hash: FlowHash,
    role: Role,
    seen: Seen,
}

/// What the route of a flow says of it.
struct Choice<'v> {
    group: GroupRef<'v>,
    bucket: u32,
    /// What its client's template says, if the route is sticky, there is one, and it holds.
    template: Option<Chosen>,
    /// Seconds that a packet without a pin may be late.
    idle: u32,
}

impl Choice<'_> {
    fn stateless(&self, t: &Tracing<'_>) -> Option<Answer> {
        self.group.stateless(self.bucket, t.now.secs(), self.idle)
    }
}

impl<'c> Tracing<'c> {
    /// As a worker's `ip_forward`.
    pub(super) fn forward(&mut self, meta: &IpMeta, ip: &[u8]) -> Verdict {
        let addrs = &meta.addrs;
        let one_link =
            martian::bad_dest(addrs) == Dest::LinkLocal || martian::link_local_source(addrs);
        if meta.ttl <= 1 || one_link {
            return self.only_if_local(meta, ip);
        }
        self.pass(
            Stage::Transit,
            format!("TTL {} leaves {} for the way", meta.ttl, meta.ttl - 1),
        );
        let tables = self.control.tables.clone();
        let told = match name(meta) {
            Named::V4((key, dir)) => self.follow(&self.flow(&tables.v4, key, dir, meta)),
            Named::V6((key, dir)) => self.follow(&self.flow(&tables.v6, key, dir, meta)),
        };
        match told {
            Ok(pin) => self.by(pin, meta, ip),
            Err(reason) => self.unreachable(meta, ip, reason),
        }
    }

    fn flow<'t, K: Routed>(
        &self,
        table: &'t Table<K>,
        key: K,
        dir: Dir,
        meta: &IpMeta,
    ) -> Flow<'t, K> {
        Flow {
            table,
            key,
            dir,
            slot: self.control.slot_of(&meta.tuple),
            hash: flow_hash(table.secret(), &key),
            role: meta.role,
            seen: Seen {
                l4: meta.l4,
                bytes: u32::from(meta.len),
                in_port: self.port.id.0 as u8,
            },
        }
    }

    /// A packet that may reach our own addresses but must not be forwarded.
    fn only_if_local(&mut self, meta: &IpMeta, ip: &[u8]) -> Verdict {
        let source = martian::link_local_source(&meta.addrs);
        let why = match () {
            () if source => format!("its source {} is valid on one link only", meta.addrs.src()),
            () if meta.ttl <= 1 => format!("TTL {} is used up here", meta.ttl),
            () => format!("{} is valid on one link only", meta.addrs.dst()),
        };
        if self.is_for_us(meta) {
            self.pass(
                Stage::Transit,
                format!("{why}: good for our own addresses only, as this one is"),
            );
            return self.deliver(meta, ip);
        }
        let reason = match () {
            () if source => DropReason::IpBadSource,
            () if meta.ttl <= 1 => DropReason::TtlExpired,
            () => DropReason::IpBadDest,
        };
        self.stop(
            Stage::Transit,
            format!("{why}: {}", words::refused(reason, self.v6)),
        );
        match reason {
            DropReason::IpBadSource => self.told(reason, Error::BeyondScope, meta, ip),
            DropReason::TtlExpired => self.told(reason, Error::TimeExceeded, meta, ip),
            _ => Verdict::Drop {
                reason,
                answer: None,
            },
        }
    }

    fn is_for_us(&self, meta: &IpMeta) -> bool {
        if martian::bad_dest(&meta.addrs) == Dest::LinkLocal {
            let dst = meta.addrs.dst();
            return self.control.ports.is_own_at(self.port.id, meta.fib, &dst);
        }
        let pin = match name(meta) {
            Named::V4((key, dir)) => self.plain(&key, dir),
            Named::V6((key, dir)) => self.plain(&key, dir),
        };
        pin.is_some_and(|pin| self.control.view.nhop(pin.idx()).kind() == NhopKind::Local)
    }

    /// Of a packet that gets no entry.
    pub(super) fn plain<K: Routed>(&self, key: &K, dir: Dir) -> Option<Pin> {
        let control = self.control;
        let group = control.view.group(key.lookup(&control.view, key.dst(dir))?);
        let bucket = bucket_of(&group, &control.group_secret, key, dir);
        let told = self.template(&group, bucket, key, dir).map(|told| told.pin);
        let answer = || group.stateless(bucket, self.now.secs(), UNKNOWN_IDLE_S);
        told.or_else(|| Some(answer()?.pin))
    }

    fn template<K: Routed>(
        &self,
        group: &GroupRef<'_>,
        bucket: u32,
        key: &K,
        dir: Dir,
    ) -> Option<Chosen> {
        let templates = self.control.templates.table();
        let in_use = templates.in_use().then_some(templates)?;
        told(in_use, &self.control.view, (group, bucket), key, dir)
    }

    /// As `path::decide`: a hit or a miss.
    fn follow<K: Routed>(&mut self, f: &Flow<'_, K>) -> Told {
        let now = self.now.tick();
        let found = f
            .table
            .foresee((f.slot, f.hash), &f.key, f.dir, &f.seen, now);
        let told = match (found, f.role) {
            (Some((entry, _)), Role::Quoting) => {
                self.pass(Stage::Flow, self.entry_words(f, &entry));
                self.quoted(f, &entry)
            }
            (Some((entry, observed)), _) => {
                self.pass(Stage::Flow, self.entry_words(f, &entry));
                self.hit(f, &entry, observed)
            }
            (None, _) => self.miss(f),
        };
        if let Ok(pin) = told {
            self.found.nhop = Some(pin.idx());
        }
        told
    }

    fn hit<K: Routed>(
        &mut self,
        f: &Flow<'_, K>,
        entry: &EntryView<K>,
        observed: Observed,
    ) -> Told {
        let pin = Pin::from_raw(entry.pins[f.dir as usize].0);
        if pin == Pin::NONE {
            self.pass(Stage::Pin, "none in this direction yet: chosen now");
            return self.rechoose(f, None);
        }
        self.found.pin = Some(pin);
        let name = self.nhop_name(pin);
        if observed == Observed::Reopened {
            let cause =
                format!("{name}, but this opens a new connection on the old tuple: chosen anew");
            self.pass(Stage::Pin, cause);
            return self.rechoose(f, Some(MoveReason::Reopened));
        }
        match self.control.view.judge(pin) {
            PinState::Gone => {
                self.pass(
                    Stage::Pin,
                    format!("{name}, which is no more: chosen again"),
                );
                self.rechoose(f, Some(MoveReason::Policy))
            }
            PinState::Dead => {
                self.pass(Stage::Pin, format!("{name}, which is dead: chosen again"));
                self.rechoose(f, Some(MoveReason::Dead))
            }
            PinState::Drained => {
                let cause = format!("{name}, whose drain is over: chosen again");
                self.pass(Stage::Pin, cause);
                self.rechoose(f, Some(MoveReason::Deadline))
            }
            PinState::Live => self.stamped(f, entry, pin),
        }
    }

    /// A live pin: kept as it is if nothing has changed near its destination, else if its group still has it.
    fn stamped<K: Routed>(&mut self, f: &Flow<'_, K>, entry: &EntryView<K>, pin: Pin) -> Told {
        let name = self.nhop_name(pin);
        let stamp = f.key.stamp(&self.control.view, f.key.dst(f.dir));
        let vouch = Vouch::from_word(entry.stamps[f.dir as usize]);
        if vouch.holds(stamp) {
            let cause = format!(
                "{name}: alive, and no route near the destination has changed: kept without a lookup"
            );
            self.pass(Stage::Pin, cause);
            self.not_asked(f);
            return Ok(pin);
        }
        let changed = "routes near the destination have changed since";
        let choice = match self.choose(f) {
            Ok(choice) => choice,
            Err(reason) => {
                self.pass(Stage::Pin, format!("{name}: alive, but {changed}"));
                return Err(reason);
            }
        };
        if !choice.group.has_member(pin) {
            let cause = format!(
                "{name}: alive, but {changed} and the group does not have it any more: chosen again"
            );
            self.pass(Stage::Pin, cause);
            let why = match choice.group.drained(pin) {
                true => MoveReason::Deadline,
                false => MoveReason::Policy,
            };
            return self.rechosen(&choice, Some(why));
        }
        if vouch.stands_in() && choice.group.recall(choice.bucket, pin) == Recall::Return {
            let cause = format!(
                "{name}: it stood in for the bucket's owner, which is back (failback): chosen again"
            );
            self.pass(Stage::Pin, cause);
            return self.rechosen(&choice, Some(MoveReason::Failback));
        }
        let cause = format!("{name}: alive; {changed}, and the group still has it: kept");
        self.pass(Stage::Pin, cause);
        Ok(pin)
    }

    fn rechoose<K: Routed>(&mut self, f: &Flow<'_, K>, why: Option<MoveReason>) -> Told {
        let choice = self.choose(f)?;
        self.rechosen(&choice, why)
    }

    fn rechosen(&mut self, choice: &Choice<'_>, why: Option<MoveReason>) -> Told {
        let chosen = choice.group.chosen(choice.bucket);
        let owner = chosen.ok_or(DropReason::NoNexthop)?.pin;
        self.sends(owner)?;
        let (pin, because) = match choice.template {
            Some(template) => (template.pin, "its client's template says so".to_owned()),
            None => (owner, self.owner_words(&choice.group, choice.bucket, owner)),
        };
        let moved = why.filter(|_| self.found.pin != Some(pin));
        let counted = moved.map_or_else(String::new, |why| {
            let why = match pin == owner {
                true => why,
                false => MoveReason::Template,
            };
            format!("; the flow moves, counted as {}", why.name())
        });
        self.chose(pin, &format!("{because}{counted}"));
        Ok(pin)
    }

    fn miss<K: Routed>(&mut self, f: &Flow<'_, K>) -> Told {
        let quoting = f.role == Role::Quoting;
        if quoting {
            self.pass(Stage::Flow, "no entry, and an ICMP error makes none");
        }
        let choice = match self.choose(f) {
            Ok(choice) => choice,
            Err(reason) => {
                self.no_entry(quoting, "no entry");
                return Err(reason);
            }
        };
        let chosen = choice.group.chosen(choice.bucket);
        let Some(chosen) = chosen else {
            self.no_entry(quoting, "no entry");
            return Err(DropReason::NoNexthop);
        };
        if let Err(reason) = self.sends(chosen.pin) {
            self.no_entry(quoting, "no entry, and none is made: it is not sent on");
            return Err(reason);
        }
        if self.control.view.nhop(chosen.pin.idx()).kind() == NhopKind::Local {
            self.no_entry(quoting, "no entry, and none is made: it is for us");
            return Ok(chosen.pin);
        }
        if quoting {
            return self.without_entry(&choice, chosen.pin);
        }
        let now = self.now.tick();
        let opens = f.seen.l4.opens();
        let new = opens || f.table.proves_new(f.slot, f.hash, choice.idle, now);
        let contested = f.table.room(f.slot, f.hash) == Room::Contested;
        let proof = match (opens, new) {
            (true, _) => "it opens a connection",
            (_, true) => "no pin was lost here lately, so the flow is new",
            _ => "it may belong to an old flow whose pin was lost",
        };
        let room = match contested {
            true => "one is made if another flow makes room",
            false => "one is made",
        };
        self.no_entry(false, &format!("no entry, {room}; {proof}"));
        self.placed(&choice, chosen.pin, (new, contested))
    }

    fn no_entry(&mut self, said: bool, cause: &str) {
        if said {
            return;
        }
        // What the route says was asked to find this out, and belongs behind it.
        let first = self
            .steps
            .iter()
            .position(|step| matches!(step.stage, Stage::Route | Stage::Bucket | Stage::Template));
        self.pass(Stage::Flow, cause);
        if let (Some(first), Some(step)) = (first, self.steps.pop()) {
            self.steps.insert(first, step);
        }
    }

    /// The entry is made, if there is room.
    fn placed(&mut self, choice: &Choice<'_>, owner: Pin, (new, contested): (bool, bool)) -> Told {
        let answer = choice.stateless(self);
        let unpinned = answer.map_or(owner, |answer| answer.pin);
        if choice.template.is_none() && new && contested && unpinned != owner {
            self.found.unsure = true;
        }
        if new && choice.template.is_none() {
            let because = self.owner_words(&choice.group, choice.bucket, owner);
            self.chose(owner, &because);
            return Ok(owner);
        }
        self.without_entry(choice, owner)
    }

    /// As one without an entry goes: by its template, else by the stateless answer.
    fn without_entry(&mut self, choice: &Choice<'_>, owner: Pin) -> Told {
        if let Some(template) = choice.template {
            self.chose(template.pin, "its client's template says so");
            return Ok(template.pin);
        }
        match choice.stateless(self) {
            Some(Answer {
                pin,
                remembered: Some(_),
            }) => {
                let because = "it had the bucket before, and packets without a pin take the oldest owner that is remembered";
                self.chose(pin, because);
                Ok(pin)
            }
            Some(Answer { pin, .. }) => {
                let because = self.owner_words(&choice.group, choice.bucket, pin);
                self.chose(pin, &because);
                Ok(pin)
            }
            None => {
                let because = self.owner_words(&choice.group, choice.bucket, owner);
                self.chose(owner, &because);
                Ok(owner)
            }
        }
    }

    /// An ICMP error about a flow that has an entry.
    fn quoted<K: Routed>(&mut self, f: &Flow<'_, K>, entry: &EntryView<K>) -> Told {
        let view = &self.control.view;
        let pin = Pin::from_raw(entry.pins[f.dir as usize].0);
        let live = pin != Pin::NONE && view.judge(pin) == PinState::Live;
        let vouch = Vouch::from_word(entry.stamps[f.dir as usize]);
        let stamp = f.key.stamp(view, f.key.dst(f.dir));
        if pin != Pin::NONE {
            self.found.pin = Some(pin);
        }
        let kept = format!(
            "{}: the error goes where the flow's packets go",
            self.nhop_name(pin)
        );
        if live && vouch.holds(stamp) {
            self.pass(Stage::Pin, kept);
            self.not_asked(f);
            return Ok(pin);
        }
        let choice = self.choose(f)?;
        let called_back =
            || vouch.stands_in() && choice.group.recall(choice.bucket, pin) == Recall::Return;
        if live && choice.group.has_member(pin) && !called_back() {
            self.pass(Stage::Pin, kept);
            return Ok(pin);
        }
        self.pass(
            Stage::Pin,
            "none that holds in this direction: the error goes where a new choice would",
        );
        if let Some(template) = choice.template {
            self.chose(template.pin, "its client's template says so");
            return Ok(template.pin);
        }
        let owner = choice
            .group
            .owner(choice.bucket)
            .ok_or(DropReason::NoNexthop)?;
        self.sends(owner)?;
        let because = self.owner_words(&choice.group, choice.bucket, owner);
        self.chose(owner, &because);
        Ok(owner)
    }

    /// Looks the route up and finds the bucket.
    fn choose<K: Routed>(&mut self, f: &Flow<'_, K>) -> Result<Choice<'c>, DropReason> {
        self.looked_up(f, "")
    }

    /// The same, for who reads: the packet does not ask.
    fn not_asked<K: Routed>(&mut self, f: &Flow<'_, K>) {
        let _ = self.looked_up(f, "not asked: ");
    }

    fn looked_up<K: Routed>(
        &mut self,
        f: &Flow<'_, K>,
        asked: &str,
    ) -> Result<Choice<'c>, DropReason> {
        let control = self.control;
        let id = f.key.lookup(&control.view, f.key.dst(f.dir));
        let id = id.ok_or(DropReason::NoRoute)?;
        let group = control.view.group(id);
        let bucket = bucket_of(&group, &control.group_secret, &f.key, f.dir);
        self.tell_route(f, &group, asked);
        self.tell_bucket(&group, bucket, asked);
        let template = self.template(&group, bucket, &f.key, f.dir);
        let affine = affine(&group, &f.key, f.dir);
        if let Some(affine) = &affine {
            self.tell_template(affine, template, asked);
        }
        let timeouts = f.table.timeouts_of(TimeoutsNo::new(group.timeouts()));
        Ok(Choice {
            group,
            bucket,
            template,
            idle: timeouts.idle(&f.seen.l4),
        })
    }

    /// A blackhole or a reject sends nothing.
    fn sends(&self, pin: Pin) -> Result<(), DropReason> {
        match self.control.view.nhop(pin.idx()).kind() {
            NhopKind::Blackhole => Err(DropReason::Blackhole),
            NhopKind::Reject => Err(DropReason::Reject),
            NhopKind::Gateway | NhopKind::Iface | NhopKind::Local => Ok(()),
        }
    }
}

//! A worker's side of slots that change their owner, see [`crate::slots`].
//!
//! In quiet times this is one load a burst, of a version that nobody writes. When it has changed, what the worker still
//! holds of slots that leave (packets that wait for a neighbour, pieces and what is known of their datagrams) goes to the
//! new owner before any packet that came after it; and what comes of slots that are ours but not open yet is parked:
//! bounded, counted, in two queues, so that what came through the old owner goes first.

use super::{BURST, Worker};
use crate::fate::DropReason;
use crate::icmp::{Rate, Rates};
use crate::io::Queue;
use crate::pkt::Pkt;
use crate::slots::follow::{Following, PARKS};
use flowtable::SlotNo;
use std::collections::VecDeque;

/// What the active workers share evenly.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// ICMP limits of all workers together.
    pub icmp: Rates,
    /// New neighbours that all of them may ask for on a port.
    pub neighbours: Rate,
}

impl Shared {
    /// The part of one worker. One that owns no slot has next to nothing to say.
    pub(crate) fn part(&self, id: usize, active: usize) -> Self {
        let part = |rate: Rate| {
            let share = |n: u32| {
                if id < active {
                    n / active.max(1) as u32
                } else {
                    0
                }
            };
            Rate {
                per_second: share(rate.per_second).max(1),
                burst: share(rate.burst).max(1),
            }
        };
        let Rates {
            errors,
            source,
            redirects,
            redirect_again_ms,
            echo,
        } = self.icmp;
        Self {
            icmp: Rates {
                errors: part(errors),
                source: part(source),
                redirects: part(redirects),
                // Flows of one pair of hosts are spread over all of them.
                redirect_again_ms: redirect_again_ms.saturating_mul(active.max(1) as u64),
                echo: part(echo),
            },
            neighbours: part(self.neighbours),
        }
    }
}

/// The packets that a worker parks, and what it knows of the slots.
pub(super) struct Moving {
    pub(super) follow: Following,
    shared: Shared,
    /// Room to sort a burst's packets in, and for what leaves.
    arrived: Vec<Pkt>,
    leaving: Vec<Pkt>,
    first: VecDeque<Pkt>,
    rest: VecDeque<Pkt>,
    /// Packets that may be parked.
    room: usize,
}

impl Moving {
    /// `arrived` and `leaving`: packets that a burst brings at most, and that can wait at the worker.
    pub(super) fn new(
        follow: Following,
        shared: Shared,
        room: usize,
        (arrived, leaving): (usize, usize),
    ) -> Self {
        Self {
            follow,
            shared,
            arrived: Vec::with_capacity(arrived),
            leaving: Vec::with_capacity(leaving),
            first: VecDeque::with_capacity(room),
            rest: VecDeque::with_capacity(room),
            room,
        }
    }

    /// Where packets are parked that came through their slot's old owner, or did not.
    fn parking(&mut self, through_old_owner: bool) -> &mut VecDeque<Pkt> {
        match through_old_owner {
            true => &mut self.first,
            false => &mut self.rest,
        }
    }

    fn parked(&self) -> usize {
        self.first.len() + self.rest.len()
    }
}

impl Worker {
    /// After packets were taken from the rings: reads the slots again, and sees to it that each packet gets where it must.
    pub(super) fn follow_slots(&mut self) {
        if self.moving.follow.reload() {
            self.share_again();
            self.give_slots();
            let rings = self.links.from.iter();
            let waiting = rings.map(|link| link.as_ref().map_or(0, |link| link.waiting()));
            self.moving.follow.count_down(waiting);
        }
        if !self.moving.follow.calm {
            self.sort_arrived();
        }
    }

    /// After the rings' packets were worked on: what they became (a piece is its datagram's only then) may be parked still, and
    /// must not be overtaken by what comes to an open slot.
    pub(super) fn settle_slots(&mut self) {
        if !self.moving.follow.settled {
            let (path, now) = (&mut self.path, self.now);
            self.moving.follow.settle(|slot| path.take(slot, now));
        }
    }

    /// The limits that workers share, after their number has changed.
    fn share_again(&mut self) {
        let part = self.moving.shared.part(self.id, self.moving.follow.active);
        self.limits.set_rates(part.icmp);
        self.waiting.set_rate(part.neighbours);
    }

    /// Gives up what has gone, with all that waits here for it.
    fn give_slots(&mut self) {
        if self.moving.follow.gone.is_empty() {
            return;
        }
        let gone = std::mem::take(&mut self.moving.follow.gone);
        let mut leaving = std::mem::take(&mut self.moving.leaving);
        for slot in &gone {
            self.path.give(*slot, self.now);
        }
        self.take_out_pieces(&gone, &mut leaving);
        self.take_out_waiting(&gone, &mut leaving);
        for pkt in leaving.drain(..) {
            self.pass_on(pkt, None);
        }
        (self.moving.follow.gone, self.moving.leaving) = (gone, leaving);
        self.moving.follow.gone.clear();
    }

    /// Datagrams whose collector is another's now.
    fn take_out_pieces(&mut self, gone: &[SlotNo], leaving: &mut Vec<Pkt>) {
        let before = self.collector.waiting();
        let leaves = |slot| gone.contains(&slot);
        let (seed, pool) = (self.fragment_seed, &mut self.pool);
        let lost = self.collector.hand_over(seed, leaves, pool, leaving);
        self.counters.datagrams_lost.add(lost);
        let released = before - self.collector.waiting();
        self.counters.waiting.sub(released as u64);
    }

    /// What came by the rings, each to its place.
    fn sort_arrived(&mut self) {
        let room = std::mem::take(&mut self.moving.arrived);
        let mut arrived = std::mem::replace(&mut self.own, room);
        let mut from = 0;
        for (at, pkt) in arrived.drain(..).enumerate() {
            while self
                .moving
                .follow
                .ends
                .get(from)
                .is_some_and(|end| at >= *end)
            {
                from += 1;
            }
            if pkt.note {
                // Not a packet that was received.
                self.counters.taken_over.sub(1);
            }
            self.pass_on(pkt, Some(from));
        }
        self.moving.arrived = arrived;
    }

    /// To whom the packet's slot belongs: to our own work, to the parking place, or to another worker's ring. `ring`: by
    /// which it came.
    #[inline]
    pub(super) fn pass_on(&mut self, pkt: Pkt, ring: Option<usize>) {
        let owner = self.owner_of(pkt.slot);
        if owner == self.id as u16 {
            self.own.push(pkt);
        } else if owner & PARKS != 0 {
            self.park(pkt, ring);
        } else {
            self.send_to(usize::from(owner), pkt);
        }
    }

    fn send_to(&mut self, owner: usize, pkt: Pkt) {
        let note = pkt.note;
        let sent = match self.links.to.get_mut(owner) {
            Some(Some(link)) => link.send(pkt),
            _ => Err(pkt),
        };
        match sent {
            Ok(()) if note => self.ring_later(owner),
            Ok(()) => {
                self.counters.handed_off.bump();
                self.ring_later(owner);
            }
            Err(pkt) => self.lose(pkt, DropReason::HandoffFull),
        }
    }

    fn park(&mut self, pkt: Pkt, ring: Option<usize>) {
        if self.moving.parked() >= self.moving.room {
            return self.lose(pkt, DropReason::ParkFull);
        }
        if !pkt.note {
            self.counters.waiting.bump();
        }
        self.counters.parked.bump();
        self.counters.parked_in_all.bump();
        let follow = &self.moving.follow;
        if ring.is_some_and(|ring| follow.is_old_owner(pkt.slot, ring)) {
            self.moving.first.push_back(pkt);
        } else {
            self.moving.rest.push_back(pkt);
        }
    }

    fn lose(&mut self, pkt: Pkt, reason: DropReason) {
        if pkt.note {
            self.counters.datagrams_lost.bump();
            return self.pool.put(pkt);
        }
        self.drop_pkt(pkt, reason);
    }

    /// A parked packet goes on, or back to where it was if its slot is another that is not open yet: what comes through that
    /// slot's old owner from now on must still go behind it.
    fn let_go(&mut self, pkt: Pkt, through_old_owner: bool) {
        if self.owner_of(pkt.slot) & PARKS != 0 {
            return self.moving.parking(through_old_owner).push_back(pkt);
        }
        if !pkt.note {
            self.counters.waiting.sub(1);
        }
        self.counters.parked.sub(1);
        self.pass_on(pkt, None);
    }

    /// What was parked for slots that are open now.
    pub(super) fn let_parked_go(&mut self, queues: &mut [Box<dyn Queue>]) -> usize {
        if !std::mem::take(&mut self.moving.follow.opened) {
            return 0;
        }
        let parked = self.moving.parked();
        // What has been at its collector goes before what has still to go there.
        for (pieces, through_old_owner) in
            [(false, true), (false, false), (true, true), (true, false)]
        {
            self.let_these_go(pieces, through_old_owner, queues);
        }
        parked
    }

    /// Those of one queue that are pieces, or are not.
    fn let_these_go(
        &mut self,
        pieces: bool,
        through_old_owner: bool,
        queues: &mut [Box<dyn Queue>],
    ) {
        for _ in 0..self.moving.parking(through_old_owner).len() {
            match self.moving.parking(through_old_owner).pop_front() {
                Some(pkt) if pkt.is_piece() == pieces => self.let_go(pkt, through_old_owner),
                other => self.moving.parking(through_old_owner).extend(other),
            }
            if self.own.len() >= BURST {
                self.process_own();
                self.flush_tx(queues);
            }
        }
        self.process_own();
        self.flush_tx(queues);
    }
}

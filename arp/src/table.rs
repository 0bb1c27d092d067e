//! The neighbours' table: what the host thread owns.
//!
//! The table holds the entries, the ports and the timers' order, and publishes every change to
//! the [`View`]. Every entry is changed by [`Table::amend`] alone, which keeps the order and the
//! view in step; so no state is reachable that a worker would see differently. What a frame does
//! is in `input.rs`, what time does in `timer.rs`, and a neighbour's life in `entry`.
//!
//! **Room.** `limit` slots. Who needs one when all are taken displaces, oldest first, a failed
//! neighbour, then one that was heard of but never used, then one that has not answered within
//! `answer_ms`. Reserved, permanent and answered neighbours are never displaced. A port's
//! unanswered neighbours are limited apart, so that a scan of one segment cannot even displace
//! another's. Free slots are reused oldest first.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::entry::Entry;
use crate::key::Key;
use crate::order::{Evictable, Order};
use crate::port::{Port, is_host};
use crate::wire;
use crate::{
    ArpStats, Config, Event, Frame, Mac, NeighError, NeighIdx, NeighState, NeighWord, Neighbour,
    PortId, PortInfo, View,
};

/// `Moved` and `Conflict` events kept for a caller that does not take them.
const EVENTS_KEPT: usize = 4096;

/// The host's half of the neighbours: the only writer. See the crate's documentation.
pub struct Table {
    pub(crate) cfg: Config,
    pub(crate) view: Arc<View>,
    pub(crate) ports: HashMap<PortId, Port>,
    pub(crate) order: Order,
    pub(crate) stats: ArpStats,
    slots: Vec<Option<Entry>>,
    /// Free slots with the generation of their last owner, longest free first.
    free: VecDeque<(NeighIdx, u16)>,
    /// Whose answers are overdue, until it is known whether they could have been heard.
    pub(crate) overdue: VecDeque<NeighIdx>,
    events: VecDeque<Event>,
    /// For times that hosts shall not be able to foretell: any number.
    random: u64,
    /// The latest time handed in, for the operator's calls, which bring none.
    clock: u64,
}

/// Makes an empty table and the workers' view of it. `seed` keys the view's index: any secret
/// number; equal seeds behave equally.
#[must_use]
pub fn new(cfg: Config, seed: u64) -> (Table, Arc<View>) {
    let cfg = cfg.in_range();
    let view = Arc::new(View::new(cfg.limit, seed));
    let table = Table {
        slots: (0..cfg.limit).map(|_| None).collect(),
        free: (0..cfg.limit as u32)
            .map(|slot| (NeighIdx(slot), 0))
            .collect(),
        cfg,
        view: Arc::clone(&view),
        ports: HashMap::new(),
        order: Order::default(),
        stats: ArpStats::default(),
        overdue: VecDeque::new(),
        events: VecDeque::new(),
        random: seed,
        clock: 0,
    };
    (table, view)
}

/// Ports.
impl Table {
    /// Adds a port or replaces what is known of it. New addresses (all of them, if the port is
    /// new, came up or changed its MAC) are probed and announced, neighbours that are no longer on the
    /// link are forgotten, and gateways that are (again) are asked at once.
    ///
    /// A port that is down forgets its ordinary neighbours; its gateways are down.
    pub fn set_port(&mut self, info: PortInfo, now: u64, out: &mut Vec<Frame>) {
        self.tick(now);
        let id = info.port;
        let stops = |old: &Port| old.up && old.adverts.is_some() && info.advertise.is_none();
        if self.ports.get(&id).is_some_and(stops) {
            self.say_farewell(id, out);
        }
        let before = self.ports.remove(&id);
        let port = Port::new(&info, before.as_ref(), now);
        let same = before.filter(|old| old.up && old.mac == port.mac);
        if port.up {
            let known = |addr| same.as_ref().is_some_and(|old| old.owns(addr));
            for addr in port.addrs().filter(|&addr| is_host(addr) && !known(addr)) {
                self.stats.probes += 1;
                self.stats.announcements += 1;
                // The probe first: who has the address answers it, but learns nothing from it.
                let said = [
                    wire::probe(port.mac, addr),
                    wire::announcement(port.mac, addr),
                ];
                out.extend(said.map(|bytes| Frame { port: id, bytes }));
            }
        }
        self.ports.insert(id, port);
        self.recheck(id, now);
    }

    /// Removes a port with its neighbours. Its gateways stay reserved, and are down.
    pub fn remove_port(&mut self, port: PortId) {
        self.ports.remove(&port);
        for idx in self.indices(|entry| entry.key.port == port) {
            self.let_go(idx);
        }
        self.order.forget_port(port);
    }

    /// Looks at a port's neighbours again after it changed.
    fn recheck(&mut self, port: PortId, now: u64) {
        for idx in self.indices(|entry| entry.key.port == port && !entry.is_permanent()) {
            if self.source_for(idx).is_some() {
                self.amend(idx, |entry, _| entry.wake(now));
            } else {
                self.let_go(idx);
            }
        }
    }

    /// The MAC and the address of ours from which this neighbour can be asked now.
    pub(crate) fn source_for(&self, idx: NeighIdx) -> Option<(Mac, IpAddr)> {
        let key = self.entry(idx)?.key;
        let port = self
            .ports
            .get(&key.port)
            .filter(|port| port.up && !port.owns(key.addr))?;
        Some((port.mac, port.source_for(key.addr)?))
    }

    /// A neighbour that nobody can be asked for: only a gateway is kept, until it can be.
    pub(crate) fn let_go(&mut self, idx: NeighIdx) {
        if self.entry(idx).is_some_and(Entry::is_reserved) {
            self.cut_off(idx);
        } else {
            self.free(idx);
        }
    }

    fn cut_off(&mut self, idx: NeighIdx) {
        self.amend(idx, |entry, _| entry.cut_off());
        if self.entry(idx).is_some_and(|entry| !entry.is_permanent()) {
            self.report(idx, false);
        }
    }

    /// Whether `addr` can be a neighbour on that port.
    fn check(&self, port: PortId, addr: IpAddr) -> Result<&Port, NeighError> {
        let known = self.ports.get(&port).ok_or(NeighError::UnknownPort(port))?;
        if known.owns(addr) {
            return Err(NeighError::OwnAddress(addr));
        }
        if !is_host(addr) {
            return Err(NeighError::NotUnicast(addr));
        }
        known
            .source_for(addr)
            .ok_or(NeighError::OffLink { port, addr })?;
        Ok(known)
    }
}

/// Neighbours.
impl Table {
    /// Takes the neighbour that is a next hop's gateway: never displaced, and probed for ever,
    /// from the next [`poll`](Self::poll) on. Every reserve is undone by one
    /// [`release`](Self::release).
    ///
    /// Its first answer is reported as [`Event::Up`] (a permanent one's at once). One that was
    /// reserved before is not reported again: see [`is_up`](Self::is_up).
    ///
    /// # Errors
    /// [`NeighError`]: no such port, off-link, ours, no unicast address, no room. A port that is
    /// down is no error: the gateway is down until it comes up.
    pub fn reserve(
        &mut self,
        port: PortId,
        addr: IpAddr,
        now: u64,
    ) -> Result<NeighIdx, NeighError> {
        self.tick(now);
        self.check(port, addr)?;
        let idx = self.find_or_make(port, addr, now)?;
        self.amend(idx, |entry, cfg| entry.reserve(cfg, now));
        if self.entry(idx).is_some_and(Entry::is_permanent) {
            self.report(idx, true);
        } else if self.source_for(idx).is_none() {
            self.cut_off(idx);
        }
        Ok(idx)
    }

    /// Gives back one reserve. The last one makes the neighbour an ordinary one, which lapses.
    pub fn release(&mut self, idx: NeighIdx, now: u64) {
        self.tick(now);
        if self.entry(idx).is_some_and(Entry::is_reserved) {
            self.amend(idx, |entry, cfg| entry.release(cfg, now));
        }
    }

    /// A packet waits for this on-link neighbour: it is asked, from the next
    /// [`poll`](Self::poll) on, at most once per `retrans_ms` however often this is called.
    /// Counts as a use.
    ///
    /// # Errors
    /// [`NeighError`]: as for [`reserve`](Self::reserve); also a port that is down, or that has
    /// too many young unanswered neighbours.
    pub fn ask(&mut self, port: PortId, addr: IpAddr, now: u64) -> Result<NeighIdx, NeighError> {
        self.tick(now);
        if let Some(idx) = self.find(port, addr) {
            self.used(idx, now);
            return Ok(idx);
        }
        if !self.check(port, addr)?.up {
            return Err(NeighError::PortDown(port));
        }
        self.make_room_on(port, now)?;
        self.find_or_make(port, addr, now)
    }

    /// Packets were sent to it since this was last said. A neighbour that is used is asked
    /// again before its answer lapses, and at once if it never gave one.
    pub fn used(&mut self, idx: NeighIdx, now: u64) {
        self.tick(now);
        self.amend(idx, |entry, cfg| entry.want(cfg, now));
    }

    /// What control was last told of a gateway: `None` until it answered or failed, or if it is
    /// not reserved.
    #[must_use]
    pub fn is_up(&self, idx: NeighIdx) -> Option<bool> {
        self.entry(idx).and_then(|entry| entry.health)
    }

    /// Sets a neighbour that is never asked and never changed by what is heard. If `published`,
    /// questions for it are answered with `mac` (proxy ARP and ND).
    ///
    /// # Errors
    /// [`NeighError`]: as for [`reserve`](Self::reserve), or a MAC that is no host's.
    pub fn set_static(
        &mut self,
        port: PortId,
        addr: IpAddr,
        mac: Mac,
        published: bool,
    ) -> Result<NeighIdx, NeighError> {
        let now = self.clock;
        self.check(port, addr)?;
        if !mac.is_unicast() {
            return Err(NeighError::BadMac(mac));
        }
        let idx = self.find_or_make(port, addr, now)?;
        self.amend(idx, |entry, _| entry.set_permanent(mac, published, now));
        if self.entry(idx).is_some_and(Entry::is_reserved) {
            self.report(idx, true);
        }
        Ok(idx)
    }

    /// Sets a neighbour as if it had just told us its MAC: what it says itself later counts more, and it lapses as a
    /// learned one does. It replaces one that was set for good.
    ///
    /// # Errors
    /// As for [`set_static`](Self::set_static).
    pub fn set_temporary(
        &mut self,
        port: PortId,
        addr: IpAddr,
        mac: Mac,
    ) -> Result<NeighIdx, NeighError> {
        let now = self.clock;
        self.check(port, addr)?;
        if !mac.is_unicast() {
            return Err(NeighError::BadMac(mac));
        }
        let idx = self.find_or_make(port, addr, now)?;
        self.amend(idx, |entry, cfg| entry.set_temporary(mac, cfg, now));
        self.report_answer(idx);
        Ok(idx)
    }

    /// Deletes the neighbour with this address, on one port or on all; returns how many there
    /// were. A gateway's is emptied and asked again.
    ///
    /// # Errors
    /// [`NeighError::NotFound`].
    pub fn delete(&mut self, port: Option<PortId>, addr: &IpAddr) -> Result<usize, NeighError> {
        let now = self.clock;
        let of_port = |key: &Key| port.is_none_or(|port| port == key.port);
        let found = self.indices(|entry| entry.key.addr == *addr && of_port(&entry.key));
        for &idx in &found {
            if self.entry(idx).is_some_and(Entry::is_reserved) {
                self.amend(idx, |entry, _| entry.restart(now));
                if self.source_for(idx).is_none() {
                    self.cut_off(idx);
                }
            } else {
                self.free(idx);
            }
        }
        if found.is_empty() {
            Err(NeighError::NotFound(*addr))
        } else {
            Ok(found.len())
        }
    }

    /// The address of the neighbour in a slot; `None` if it is free.
    #[must_use]
    pub fn addr(&self, idx: NeighIdx) -> Option<IpAddr> {
        self.entry(idx).map(|entry| entry.key.addr)
    }

    /// Every neighbour, sorted by port and address.
    #[must_use]
    pub fn list(&self, now: u64) -> Vec<Neighbour> {
        let mut all: Vec<_> = self
            .entries()
            .map(|(idx, entry)| line(idx, entry, now))
            .collect();
        all.sort_unstable_by_key(|line| (line.port, line.addr));
        all
    }

    /// Events since the last call, oldest first. Those left in the iterator are lost.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.events.drain(..)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> &ArpStats {
        &self.stats
    }

    /// Neighbours now, and at most.
    #[must_use]
    pub fn fills(&self) -> (usize, usize) {
        (self.cfg.limit - self.free.len(), self.cfg.limit)
    }

    /// The configuration in force: the one given, with every value in its range.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.cfg
    }
}

/// Slots.
impl Table {
    /// The next of a sequence of numbers (SplitMix64).
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Notes the time.
    pub(crate) fn tick(&mut self, now: u64) {
        self.clock = self.clock.max(now);
    }

    pub(crate) fn find(&self, port: PortId, addr: IpAddr) -> Option<NeighIdx> {
        self.view.lookup(port, &addr)
    }

    pub(crate) fn entry(&self, idx: NeighIdx) -> Option<&Entry> {
        self.slots.get(idx.0 as usize)?.as_ref()
    }

    fn entries(&self) -> impl Iterator<Item = (NeighIdx, &Entry)> + '_ {
        let numbered = (0..).map(NeighIdx).zip(&self.slots);
        numbered.filter_map(|(idx, entry)| Some((idx, entry.as_ref()?)))
    }

    fn indices(&self, which: impl Fn(&Entry) -> bool) -> Vec<NeighIdx> {
        self.entries()
            .filter(|(_, entry)| which(entry))
            .map(|(idx, _)| idx)
            .collect()
    }

    /// Changes an entry, and with it the order and the view.
    pub(crate) fn amend<R>(
        &mut self,
        idx: NeighIdx,
        change: impl FnOnce(&mut Entry, &Config) -> R,
    ) -> Option<R> {
        let entry = self.slots.get_mut(idx.0 as usize)?.as_mut()?;
        self.order.take(idx, entry);
        let result = change(entry, &self.cfg);
        self.order.put(idx, entry);
        self.view.publish(idx, entry.word());
        Some(result)
    }

    fn find_or_make(
        &mut self,
        port: PortId,
        addr: IpAddr,
        now: u64,
    ) -> Result<NeighIdx, NeighError> {
        match self.find(port, addr) {
            Some(idx) => Ok(idx),
            None => {
                let key = Key::new(port, addr);
                let new = |key, generation, _: &Config| Entry::new(key, generation, now);
                self.make(key, Evictable::Unanswered, now, new)
            }
        }
    }

    /// Makes an entry in a free slot, or in that of another up to class `last`.
    pub(crate) fn make(
        &mut self,
        key: Key,
        last: Evictable,
        now: u64,
        entry: impl FnOnce(Key, u16, &Config) -> Entry,
    ) -> Result<NeighIdx, NeighError> {
        if self.free.is_empty() {
            let asked_by = now.saturating_sub(self.cfg.answer_ms.into());
            if let Some(victim) = self.order.victim(last, asked_by) {
                self.evict(victim);
            }
        }
        let Some(&(idx, before)) = self.free.front() else {
            self.stats.refused_full += 1;
            return Err(NeighError::Full);
        };
        let entry = entry(
            key,
            before.wrapping_add(1) & NeighWord::MAX_GENERATION,
            &self.cfg,
        );
        if !self.view.insert(idx, &key, entry.word()) {
            self.stats.refused_full += 1;
            return Err(NeighError::Full);
        }
        self.free.pop_front();
        self.order.put(idx, &entry);
        if let Some(slot) = self.slots.get_mut(idx.0 as usize) {
            *slot = Some(entry);
        }
        Ok(idx)
    }

    /// Lets a port's oldest unanswered neighbour go if it has as many as it may.
    fn make_room_on(&mut self, port: PortId, now: u64) -> Result<(), NeighError> {
        let limit = self.cfg.incomplete_limit_per_port;
        let Some((since, oldest)) = self.order.oldest_unanswered(port, limit) else {
            return Ok(());
        };
        if now < since.saturating_add(self.cfg.answer_ms.into()) {
            self.stats.refused_busy += 1;
            return Err(NeighError::PortBusy(port));
        }
        self.evict(oldest);
        Ok(())
    }

    fn evict(&mut self, idx: NeighIdx) {
        self.stats.evicted += 1;
        self.free(idx);
    }

    pub(crate) fn free(&mut self, idx: NeighIdx) {
        let slot = self.slots.get_mut(idx.0 as usize);
        let Some(entry) = slot.and_then(Option::take) else {
            return;
        };
        self.order.take(idx, &entry);
        let word = NeighWord::new(Mac::ZERO, NeighState::Free, entry.generation());
        self.view.remove(idx, &entry.key, word);
        self.free.push_back((idx, entry.generation()));
    }

    /// Tells control of a reserved neighbour's health, if it changed.
    pub(crate) fn report(&mut self, idx: NeighIdx, up: bool) {
        let changed = self.amend(idx, |entry, _| {
            let changed = entry.is_reserved() && entry.health != Some(up);
            entry.health = entry.is_reserved().then_some(up);
            changed
        });
        if changed == Some(true) {
            let event = if up {
                Event::Up { idx }
            } else {
                Event::Down { idx }
            };
            self.events.push_back(event);
        }
    }

    /// Queues an event that anybody on the segment can cause: bounded.
    pub(crate) fn tell(&mut self, event: Event) {
        if self.events.len() < EVENTS_KEPT {
            self.events.push_back(event);
        } else {
            self.stats.events_lost += 1;
        }
    }

    pub(crate) fn events_waiting(&self) -> usize {
        self.events.len()
    }
}

fn line(idx: NeighIdx, entry: &Entry, now: u64) -> Neighbour {
    Neighbour {
        idx,
        port: entry.key.port,
        addr: entry.key.addr,
        mac: (entry.mac != Mac::ZERO).then_some(entry.mac),
        state: entry.state,
        expires_ms: entry.expires().map(|at| at.saturating_sub(now)),
        permanent: entry.is_permanent(),
        published: entry.published,
        reserved: entry.is_reserved(),
    }
}

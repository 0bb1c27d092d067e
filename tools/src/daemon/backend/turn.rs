//! Control's turn: what is done again and again without being asked for, what of it is told and logged, and when the next
//! one is.

use super::Live;
use super::capture;
use super::endings;
use crate::daemon::state::Keeper;
use crate::wire::route::News;
use route::Secs;
use stack::Now;
use stack::control::ControlEvent;
use stack::host::HostEvent;
use stack::ports::DeviceState;
use std::time::Duration;

/// Control's regular turn; it is woken earlier when the host has something to tell.
pub(super) const TURN: Duration = Duration::from_millis(100);

/// Its turn while nothing is under way: ten times a second it takes most of what an idle gateway does.
pub(super) const REST_TURN: Duration = Duration::from_millis(1000);

/// What ends within this time is no rest, s: a turn before its flows are looked for.
const REST_AHEAD: u32 = endings::AHEAD + 1;

/// Its turn while workers flush flows, which they do within some bursts.
const FLUSH_TURN: Duration = Duration::from_millis(5);

/// Its turn while slots change their workers: packets are parked meanwhile.
const MOVE_TURN: Duration = Duration::from_millis(1);

/// Its turn while groups are copied that a drain's end concerns.
const GATHER_TURN: Duration = Duration::from_millis(2);

/// Its turn while groups are read that are to be kept: a tenth of its time, and a million buckets in six seconds.
const KEEP_TURN: Duration = Duration::from_millis(10);

impl Live {
    /// One turn. What monitors are to see goes to `news`; returns when the next turn is due.
    pub(super) fn take_turn(&mut self, news: &mut Vec<News>) -> Duration {
        let now = self.now();
        let is_gathering = self.foresee_endings(now);
        self.hear_devices(now);
        self.control.tick(&mut self.host, now);
        self.tell_ended();
        self.follow_slots();
        let is_loading = self.load_slice();
        self.tell_events(news);
        self.log_left_out(now);
        self.log_pressure(now);
        if let Some(keeper) = &mut self.keeper {
            keeper.turn(&self.control, now);
        }
        self.flushing.retain(|flushing| !flushing.tell_if_done());
        match is_loading {
            true => Duration::ZERO,
            false => self.next_turn(is_gathering, now),
        }
    }

    fn next_turn(&self, is_gathering: bool, now: Now) -> Duration {
        if self.control.moves_slots() {
            MOVE_TURN
        } else if is_gathering {
            GATHER_TURN
        } else if !self.flushing.is_empty() {
            FLUSH_TURN
        } else if self.keeper.as_ref().is_some_and(Keeper::reads) {
            KEEP_TURN
        } else if self.rests(now) {
            REST_TURN
        } else {
            TURN
        }
    }

    pub(super) fn rests(&self, now: Now) -> bool {
        let by = Secs(now.secs().0.saturating_add(REST_AHEAD));
        let keeper = self.keeper.as_ref();
        let is_kept = keeper.is_none_or(|keeper| keeper.rests(&self.control));
        is_kept && self.device_news_due.is_empty() && self.control.rests(by)
    }

    /// What has happened is told to monitors and remembered for captures.
    fn tell_events(&mut self, news: &mut Vec<News>) {
        for event in self.control.take_events() {
            self.note_host(&event);
            let told = self.told(event);
            if let Some(told) = &told {
                self.changes.note(capture::told(told));
            }
            news.extend(told);
        }
    }

    fn log_pressure(&mut self, now: Now) {
        if self.pressure.is_due(now) {
            let reader = self.control.reader();
            let (tables, templates) = (reader.flow_stats(), reader.template_stats());
            let lines = self.pressure.look(&tables, &templates);
            lines.iter().for_each(|line| tracing::warn!("{line}"));
        }
    }

    /// An event as a monitor sees it; it is logged too.
    fn told(&mut self, event: ControlEvent) -> Option<News> {
        match event {
            ControlEvent::Route(change) => Some(self.route_news(change)),
            ControlEvent::Group(change) => Some(self.group_news(change)),
            ControlEvent::Batch(done) => Some(News::RoutesChanged {
                fib: done.fib.0,
                added: done.added,
                changed: done.changed,
                deleted: done.deleted,
            }),
            ControlEvent::Health(health) => Some(self.health_news(health)),
            ControlEvent::Port { name, up } => {
                tracing::info!(port = name, up, "port changed");
                Some(News::Port { port: name, up })
            }
            ControlEvent::Device { name, state } => {
                log_device(&name, state);
                None
            }
            ControlEvent::Host(event) => {
                self.log_host(&event);
                None
            }
        }
    }

    /// Says how many lines about neighbours were not written.
    fn log_left_out(&mut self, now: Now) {
        if let Some(suppressed) = self.moved.left_out(now) {
            tracing::info!(suppressed, "more neighbours had another link address");
        }
        if let Some(suppressed) = self.conflicts.left_out(now) {
            tracing::warn!(suppressed, "more uses of our addresses by others");
        }
    }

    fn log_host(&mut self, event: &HostEvent) {
        let now = self.now();
        match event {
            HostEvent::NeighMoved { addr, from, to } if self.moved.may_log(now) => {
                tracing::info!(%addr, %from, %to, "neighbour has another link address");
            }
            HostEvent::Conflict { port, addr, mac } if self.conflicts.may_log(now) => {
                let port = self.port_name(*port);
                tracing::warn!(%addr, %mac, port, "somebody else uses our address");
            }
            HostEvent::NeighMoved { .. } | HostEvent::Conflict { .. } => {}
            // These became a next hop's or a port's state, which is told by itself.
            HostEvent::NeighUp(_)
            | HostEvent::NeighDown(_)
            | HostEvent::Check { .. }
            | HostEvent::Device { .. } => {}
        }
    }
}

fn log_device(port: &str, state: DeviceState) {
    match state {
        DeviceState::Up => tracing::info!(port, "its device is up"),
        DeviceState::Down => tracing::warn!(port, "its device is down"),
        DeviceState::Deleted => {
            tracing::error!(
                port,
                "its device is gone: the port is down until there is one again"
            );
        }
        DeviceState::Moved => {
            tracing::warn!(
                port,
                "its device was moved to another network namespace: it is not watched there, and taken as up"
            );
        }
    }
}

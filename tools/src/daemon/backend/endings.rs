//! Drains that come to their deadline: which flows that moves, told as for a change that an operator makes.
//!
//! Nobody asks for such a change, so nobody's thread goes over the flows for it. Some seconds before a deadline control
//! hands a sketch to a thread of its own, which finds the flows that will be due; when the drain has ended, it begins to
//! follow them. Control never waits for it: a deadline comes when it comes.

use super::Live;
use super::moves::Moves;
use crate::server::Obeyed;
use crate::server::unix_ms;
use route::Secs;
use stack::Now;
use stack::control::Forecast;
use stack::control::Foresight;
use stack::control::Subject;
use stack::io::poll::Clock;
use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;

/// Seconds before its deadline at which a drain's flows are looked for.
pub(super) const AHEAD: u32 = 2;

/// Drains whose flows are looked for at a time; what ends beyond that is not told.
const MOST: usize = 32;

/// Groups copied in one turn of control: about a quarter of a millisecond.
const GROUPS: usize = 2;

/// Drains that end soon.
#[derive(Default)]
pub(super) struct Endings {
    known: Vec<(Secs, Subject)>,
    gathering: VecDeque<(Subject, Foresight)>,
    lane: Option<mpsc::Sender<Told>>,
}

/// What the thread is told.
enum Told {
    Look(Subject, Box<Foresight>),
    Ended(Subject, Obeyed, u64),
    Forget(Subject),
}

impl Live {
    /// Looks what ends soon. Returns whether more groups are to be copied for it.
    pub(super) fn foresee_endings(&mut self, now: Now) -> bool {
        let by = Secs(now.secs().0.saturating_add(AHEAD));
        for (at, subject) in self.control.endings(by) {
            let known = &mut self.endings.known;
            if known.contains(&(at, subject)) || known.len() >= MOST {
                continue;
            }
            known.push((at, subject));
            if let Some(foresight) = self.control.foresee_ending(subject, at, now) {
                self.endings.gathering.push_back((subject, foresight));
            }
        }
        self.forget_stale(now.secs());
        self.gather()
    }

    /// What was put off, or taken back, is nothing to wait for.
    fn forget_stale(&mut self, now: Secs) {
        let is_stale = |(at, _): &(Secs, Subject)| at.0.saturating_add(AHEAD) < now.0;
        let known = &mut self.endings.known;
        let stale: Vec<Subject> = known.iter().filter(|k| is_stale(k)).map(|k| k.1).collect();
        known.retain(|k| !is_stale(k));
        for subject in stale {
            self.tell(Told::Forget(subject));
        }
    }

    fn gather(&mut self) -> bool {
        for _ in 0..GROUPS {
            let Some((_, foresight)) = self.endings.gathering.front_mut() else {
                return false;
            };
            match foresight.wants() {
                Some(group) => {
                    let copy = self.control.group_sketch(group);
                    copy.into_iter().for_each(|copy| foresight.include(copy));
                }
                None => {
                    if let Some((subject, foresight)) = self.endings.gathering.pop_front() {
                        self.tell(Told::Look(subject, Box::new(foresight)));
                    }
                }
            }
        }
        !self.endings.gathering.is_empty()
    }

    /// Drains have ended: who was due is followed from now on.
    pub(super) fn tell_ended(&mut self) {
        for subject in self.control.take_ended() {
            self.endings.known.retain(|known| known.1 != subject);
            self.endings.gathering.retain(|(of, _)| *of != subject);
            let obeyed = self.control.obeyed();
            self.tell(Told::Ended(subject, obeyed, unix_ms()));
        }
    }

    /// Starts the thread when there is something to look for.
    fn tell(&mut self, told: Told) {
        if self.endings.lane.is_none() && matches!(told, Told::Look(..)) {
            self.endings.lane = start(self.clock, self.moves.clone());
        }
        if let Some(lane) = &self.endings.lane {
            // It ends after its sender alone.
            let _ = lane.send(told);
        }
    }
}

/// It ends when the gateway does, which drops the sender.
fn start(clock: Clock, log: Moves) -> Option<mpsc::Sender<Told>> {
    let (lane, inbox) = mpsc::channel();
    let thread = thread::Builder::new().name("fg-moves".into());
    let started = thread.spawn(move || run(&inbox, clock, &log));
    started
        .inspect_err(|error| tracing::warn!(%error, "what drains move is not told"))
        .is_ok()
        .then_some(lane)
}

fn run(inbox: &mpsc::Receiver<Told>, clock: Clock, log: &Moves) {
    let mut looked: Vec<(Subject, Forecast)> = Vec::new();
    while let Ok(told) = inbox.recv() {
        let now = Now(clock.ms());
        match told {
            Told::Look(subject, foresight) => {
                looked.retain(|(of, _)| *of != subject);
                // Refused: it was put off or taken back meanwhile.
                if let Ok(mut forecast) = foresight.try_out() {
                    forecast.look(now);
                    looked.push((subject, forecast));
                }
            }
            Told::Ended(subject, obeyed, time) => {
                let place = looked.iter().position(|(of, _)| *of == subject);
                let Some((_, forecast)) = place.map(|place| looked.swap_remove(place)) else {
                    continue;
                };
                if forecast.due() > 0 {
                    let follow = forecast.follow(obeyed);
                    log.lock().add("deadline", subject, time, follow, now);
                }
            }
            Told::Forget(subject) => looked.retain(|(of, _)| *of != subject),
        }
    }
}

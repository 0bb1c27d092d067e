//! Chaos: a gateway of chance in a network of chance, for hours of virtual time, and what must hold all the while.
//!
//! One seed is one history: the ports, the hosts, the operator's commands, the links' faults, the packets. A run that
//! fails says its seed and what happened last, and the same seed fails in the same way again.
//!
//! | file | what it is |
//! |---|---|
//! | `place.rs` | the ports, their addresses and switches, who is behind them, the tables' sizes |
//! | `event.rs` | what may happen, drawn |
//! | `act.rs` | what happens, done |
//! | `traffic.rs` | the packets, each of which says in its payload with which TTL it was sent |
//! | `judge.rs` | what must hold: books, tables, checksums, TTLs, nobody moved without a reason |
//! | `plan.rs` | how many seeds for how long: `FLOWGATE_CHAOS` |

mod act;
mod event;
mod judge;
mod place;
mod plan;
mod traffic;

pub use plan::Plan;

use crate::net::{Net, Steer, Transport};
use event::Event;
use judge::Judge;
use place::Place;
use std::collections::VecDeque;
use std::fmt::Write as _;
use traffic::Traffic;

/// What a failing run tells of its end: so many of the last events.
const TOLD: usize = 60;

/// What a run came to, for tests that compare runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Everything that left the gateway, and when, as one number.
    pub digest: u64,
    /// Commands that were given.
    pub events: u64,
    /// Frames that left.
    pub frames: u64,
    /// Flows seen to go to another server, each for a reason.
    pub moves: u64,
}

/// A run under way.
pub struct Chaos {
    place: Place,
    net: Net,
    rng: fastrand::Rng,
    traffic: Traffic,
    judge: Judge,
    history: History,
    events: u64,
}

/// What happened, told when the run fails.
struct History {
    seed: u64,
    last: VecDeque<String>,
}

impl Drop for History {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut text = format!(
            "chaos: seed {0} fails; again with FLOWGATE_CHAOS=@{0}/HOURS. What happened last:\n",
            self.seed
        );
        for line in &self.last {
            let _ = writeln!(text, "  {line}");
        }
        eprintln!("{text}");
    }
}

impl History {
    fn tell(&mut self, line: String) {
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl Chaos {
    /// The network and the gateway of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let place = Place::draw(&mut rng);
        let mut net = place.build(seed);
        if place.dirty {
            net.transport = Transport::Ignored;
        }
        let traffic = Traffic::new(&mut rng);
        let judge = Judge::new(&place);
        let mut history = History {
            seed,
            last: VecDeque::new(),
        };
        history.tell(format!("{place:?}"));
        Self {
            place,
            net,
            rng,
            traffic,
            judge,
            history,
            events: 0,
        }
    }

    /// So many hours of it, then quiet, in which everything must come to rest and work again.
    ///
    /// # Panics
    /// If anything does not hold that must.
    pub fn run(mut self, hours: f64) -> Outcome {
        let end = self.net.now() + (hours * 3_600_000.0) as u64;
        self.start();
        while self.net.now() < end {
            let event = Event::draw(&self.place, &mut self.rng);
            self.events += 1;
            self.happens(event);
            let until = (self.net.now() + self.rng.u64(1..4000)).min(end);
            self.go_on(until);
        }
        self.rest();
        Outcome {
            digest: self.judge.digest(),
            events: self.events,
            frames: self.net.frames_out(),
            moves: self.judge.moves(),
        }
    }

    /// Time goes by: flows send what is due, and everything that leaves is judged.
    fn go_on(&mut self, until: u64) {
        loop {
            let now = self.net.now();
            self.traffic.send_due(&mut self.net, &mut self.rng);
            let next = self.traffic.next_at().min(until);
            while self.net.now() < next.max(now + 1).min(until) {
                self.net.step(next);
                self.look();
            }
            if self.net.now() >= until {
                break;
            }
        }
        self.sound();
    }

    /// Judges what left and what moved since the last look.
    fn look(&mut self) {
        let told = self.net.sim.gateway.control.take_events();
        let now = self.net.now();
        for event in told {
            self.judge.told(now, &event);
        }
        for sent in self.net.take_tap() {
            self.judge.left(now, &sent);
        }
        self.net.take_caught();
        self.judge.moved(&mut self.net);
    }

    fn sound(&mut self) {
        self.look();
        self.net.assert_kept();
        let now = self.net.now();
        self.judge.forget(now);
        self.net.watch.forget_before(now.saturating_sub(60_000));
    }

    /// All servers are up and serve, before anything happens to them.
    fn start(&mut self) {
        self.net.take_tap();
        self.serve_by_all();
        self.go_on(self.net.now() + 2000);
        self.talk();
    }

    /// The end: nothing fails any more. What waited is gone in a minute, and the service works.
    fn rest(&mut self) {
        self.mend();
        self.traffic.stop();
        self.net.steer = Steer::ByFlow;
        self.go_on(self.net.now() + 30_000);
        self.serve_by_all();
        self.go_on(self.net.now() + 5000);
        self.net.run_until_idle(60_000);
        self.sound();
        self.net.assert_buffers();
        self.assert_served();
    }
}

//! Plays the vectors of `tests/vectors` against a gateway that runs: frames are put on three interfaces, and what leaves by
//! them is held against the vector. In virtual time `conform::play` asks more of Flowgate itself (every counter, the exact
//! millisecond, the order between ports); here any gateway can be asked.
//!
//! | file | what it is |
//! |---|---|
//! | [`wire`] | one interface: frames in and out by a packet socket |
//! | [`flowgate`] | a fresh Flowgate with TUN and TAP for each vector |
//! | `same` | what may differ from one gateway to another |
//! | [`hook`] | any other gateway, made ready by a command of the user's |
//!
//! Real kernels need the real clock; no test asserts how fast anything is.

#![allow(clippy::disallowed_methods)]

pub mod flowgate;
pub mod hook;
mod same;
pub mod wire;

use crate::conform::vector::{Step, Vector, hex};
use same::same;
use std::time::{Duration, Instant};
use wire::Wire;

/// How long a frame that must come may take beyond its time.
const LATE: Duration = Duration::from_secs(3);
/// How long nothing must come, to be nothing.
const QUIET: Duration = Duration::from_millis(30);
/// By how much a timer of the gateway may seem early.
const EARLY: Duration = Duration::from_millis(20);

/// A gateway that is ready to play one vector.
pub trait Ready {
    /// The other ends of `clients`, `rack` and `west`.
    fn wires(&self) -> &[Wire; 3];

    /// Words of a `do` line.
    ///
    /// # Errors
    /// The gateway does not do that; why.
    fn tell(&self, words: &str) -> Result<(), String>;
}

/// How a vector went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// As it says.
    Held,
    /// It cannot be played on real devices: why.
    Not(String),
    /// Otherwise: what.
    Failed(String),
}

/// Plays one vector; `count` lines are left out, for their names are Flowgate's.
pub fn play(vector: &Vector, on: &impl Ready) -> Went {
    for step in &vector.steps {
        if let Step::In(port, bytes) = step
            && let Some(why) = unplayable(port, bytes)
        {
            return Went::Not(why);
        }
    }
    on.wires().iter().for_each(Wire::drain);
    let mut play = Play {
        on,
        at: Instant::now(),
    };
    let mut steps = vector.steps.iter().enumerate().peekable();
    while let Some((no, step)) = steps.next() {
        let next = steps.peek().map(|(_, step)| *step);
        if let Err(what) = play.step(step, next) {
            return Went::Failed(format!("step {} of {}: {what}", no + 1, vector.steps.len()));
        }
    }
    Went::Held
}

/// Why a frame cannot be put on its interface, if so.
fn unplayable(port: &str, bytes: &[u8]) -> Option<String> {
    let (least, most) = if port == "clients" {
        (1, 1500)
    } else {
        (14, 1514)
    };
    let len = bytes.len();
    (len < least || len > most)
        .then(|| format!("the kernel sends no frame of {len} bytes on such a device"))
}

struct Play<'a, R: Ready> {
    on: &'a R,
    /// When the step is, by the vector: later ones count from here, so that no delay of ours adds up.
    at: Instant,
}

impl<R: Ready> Play<'_, R> {
    /// `next`: what a step brings is over when another begins, but what a wait brings may come in the next one.
    fn step(&mut self, step: &Step, next: Option<&Step>) -> Result<(), String> {
        match step {
            Step::Set(_) | Step::Count(..) => return Ok(()),
            Step::Do(words) => {
                self.on.tell(words)?;
                self.at = Instant::now();
            }
            Step::In(port, bytes) => self.wire(port)?.send(bytes)?,
            Step::Wait(ms) => {
                self.at += Duration::from_millis(*ms);
                if !matches!(next, Some(Step::Out(..))) {
                    self.nothing_until(self.at - EARLY)?;
                }
                std::thread::sleep(self.at.saturating_duration_since(Instant::now()));
                return Ok(());
            }
            Step::Out(port, wanted) => {
                self.awaits(port, wanted)?;
                // Was it late, then so is all that follows.
                self.at = self.at.max(Instant::now());
            }
        }
        match next {
            Some(Step::Out(..) | Step::Wait(_)) => Ok(()),
            _ => {
                let quiet = Instant::now() + QUIET;
                self.nothing_until(quiet)?;
                self.at = self.at.max(quiet);
                Ok(())
            }
        }
    }

    fn wire(&self, port: &str) -> Result<&Wire, String> {
        let wires = self.on.wires().iter();
        let mut found = wires.filter(|wire| wire.port == port);
        found.next().ok_or_else(|| format!("no port {port}"))
    }

    /// The next frame that leaves by a port.
    fn awaits(&self, port: &str, wanted: &[u8]) -> Result<(), String> {
        let got = self.wire(port)?.receive(self.at + LATE);
        let Some(got) = got else {
            return Err(format!("by {port} there never left\n{}", hex(wanted)));
        };
        if !same(port, &got, wanted) {
            let (got, wanted) = (hex(&got), hex(wanted));
            return Err(format!("by {port} there left\n{got}\nand not\n{wanted}"));
        }
        Ok(())
    }

    fn nothing_until(&self, until: Instant) -> Result<(), String> {
        for wire in self.on.wires() {
            if let Some(more) = wire.receive(until) {
                return Err(format!("by {} there left too\n{}", wire.port, hex(&more)));
            }
        }
        Ok(())
    }
}

//! The stage: performs the script's events on the running gateway and watches both sides.
//!
//! An event is: look (clients and gateway), act, wait until every flow was answered several times since (or
//! broke), look again, judge. Then what broke is opened anew, so that the next event finds all flows alive,
//! and some fresh connections show where new flows go. Runs on the main thread.

use std::collections::{BTreeMap, HashMap};

use stack::io::poll::Clock;

use super::addressing::ServerNo;
use super::clients::{Clients, ConnId, Route, Seen};
use super::compare::{Compared, Comparison};
use super::interrupts::{Interrupts, Stop};
use super::judge::{Observed, Outcome, Pins, judge, observe};
use super::models::{Member, Tuple};
use super::progress::Progress;
use super::script::{Act, Event};

/// Answers that each flow must have had since an event before it is looked at.
const ANSWERS: u64 = 3;
/// An event is given at least so long, in milliseconds: time for what is not at once.
const SETTLE_MIN_MS: u64 = 1000;
/// And at most so long.
const SETTLE_MAX_MS: u64 = 15_000;
/// A next hop that does not answer ARP is to be noticed within, in milliseconds.
const HEALTH_MAX_MS: u64 = 15_000;
/// Connections are to open within, in milliseconds.
const OPEN_MAX_MS: u64 = 10_000;
/// Moves that the gateway has yet to count are waited for so long, in milliseconds: the kernel's
/// retransmissions of a stalled flow come ever later.
const COUNT_MAX_MS: u64 = 5000;
/// A connection whose clients have fallen silent still acknowledges the last answer within, in milliseconds.
const DELAYED_ACK_MS: u16 = 250;
/// The pause between two looks, in milliseconds.
const LOOK_MS: u16 = 50;

/// The gateway, as its operator sees it.
pub(crate) trait Operator {
    /// Runs `flowgate route` with these words.
    fn route(&mut self, words: &[String]) -> Result<(), String>;
    /// Where each flow of the echo service is pinned, by the gateway's flow list.
    fn pins(&mut self) -> Result<Pins, String>;
    /// Moves counted since the start, by reason; `collateral` is one of them.
    fn moves(&mut self) -> Result<BTreeMap<String, u64>, String>;
    /// Whether the gateway holds all next hops of this server for up (`true`) or dead (`false`); `None` while they
    /// differ.
    fn health(&mut self, server: ServerNo) -> Result<Option<bool>, String>;
}

/// The rack's cables.
pub(crate) trait Cables {
    /// Pulls a server's cable, or puts it in again.
    fn set_alive(&self, server: ServerNo, alive: bool) -> Result<(), String>;
}

/// Everything that an event needs.
pub(crate) struct Stage<'a> {
    pub(crate) operator: &'a mut dyn Operator,
    pub(crate) cables: &'a dyn Cables,
    pub(crate) clients: &'a Clients,
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) progress: &'a mut Progress,
    pub(crate) clock: Clock,
    /// The connections that are kept busy, and how each is opened again.
    pub(crate) kept: HashMap<ConnId, Route>,
    pub(crate) comparison: Comparison,
    /// Routes of the fresh connections that show where new flows go.
    pub(crate) fresh: Vec<Route>,
}

/// What one event came to.
#[derive(Clone, Debug)]
pub(crate) struct EventReport {
    pub(crate) title: String,
    pub(crate) leaves: Option<ServerNo>,
    pub(crate) outcome: Outcome,
    pub(crate) others: [Compared; 3],
    /// Where fresh connections went afterwards.
    pub(crate) fresh: BTreeMap<ServerNo, usize>,
}

impl Stage<'_> {
    /// Opens the connections that are kept busy, and waits until each was answered.
    pub(crate) fn open(&mut self, routes: Vec<Route>) -> Result<(), Stop> {
        let ids = self.clients.open(routes.clone())?;
        self.kept.extend(ids.iter().copied().zip(routes));
        self.await_first_answers(&ids, "connections open")?;
        Ok(())
    }

    /// Performs one event.
    pub(crate) fn perform(&mut self, event: &Event) -> Result<EventReport, Stop> {
        self.progress
            .step(&format!("{}: {}", event.title, event.expect));
        self.act(&event.prepare)?;
        let mut before = self.look(true)?;
        let counted = self.operator.moves()?;
        self.act(&event.acts)?;
        self.settle(&mut before)?;
        let spoke = |o: &&Observed| o.server == event.leaves && !o.is_silent;
        let expected = before.iter().filter(spoke).count() as u64;
        let counted = self.await_moves(&counted, expected)?;
        let after = self.look(false)?;
        let mut outcome = judge(&before, &after, event.leaves, counted);
        let tuples: Vec<Tuple> = before.iter().map(|o| o.tuple).collect();
        let others = self
            .comparison
            .event(&tuples, event.members.clone(), event.leaves);
        self.act(&event.finish)?;
        self.reopen(&after)?;
        let fresh = self.try_fresh()?;
        outcome
            .failures
            .extend(wrongly_chosen(&fresh, &event.members));
        let (title, leaves) = (event.title.clone(), event.leaves);
        Ok(EventReport {
            title,
            leaves,
            outcome,
            others,
            fresh,
        })
    }

    /// Both views of the connections that are kept busy.
    fn look(&mut self, mark: bool) -> Result<Vec<Observed>, Stop> {
        let seen = self.seen(mark)?;
        Ok(observe(seen, &self.operator.pins()?))
    }

    fn seen(&self, mark: bool) -> Result<Vec<Seen>, Stop> {
        let mut seen = self.clients.look(mark)?;
        seen.retain(|s| self.kept.contains_key(&s.id));
        Ok(seen)
    }

    /// Does things, as fast as they go.
    pub(crate) fn act(&mut self, acts: &[Act]) -> Result<(), Stop> {
        for act in acts {
            match act {
                Act::Route(words) => self.route(words)?,
                Act::Again(times, commands) => self.again(*times, commands)?,
                Act::Kill(server) => self.plug(*server, false)?,
                Act::Revive(server) => self.plug(*server, true)?,
                Act::AwaitHealth(server, is_up) => self.await_health(*server, *is_up)?,
                Act::Silence(server, count) => self.silence(*server, *count)?,
                Act::Wake => {
                    let ids = self.kept.keys().copied().collect();
                    self.clients.set_paused(ids, false)?;
                }
            }
        }
        Ok(())
    }

    /// Runs a command, and shows it as it is typed.
    fn route(&mut self, words: &[String]) -> Result<(), Stop> {
        self.progress
            .command(&format!("flowgate route {}", words.join(" ")));
        Ok(self.operator.route(words)?)
    }

    fn again(&mut self, times: usize, commands: &[Vec<String>]) -> Result<(), Stop> {
        self.progress
            .step(&format!("  (and all of it {times} times more)"));
        for words in (0..times).flat_map(|_| commands) {
            self.operator.route(words)?;
            self.interrupts.rest(0)?;
        }
        Ok(())
    }

    fn plug(&mut self, server: ServerNo, alive: bool) -> Result<(), Stop> {
        let what = match alive {
            true => "is put in again; it has the connections that it had",
            false => "is pulled: no ARP, no ND, no frames",
        };
        self.progress.step(&format!("  ({server}'s cable {what})"));
        Ok(self.cables.set_alive(server, alive)?)
    }

    /// Waits until the gateway has noticed that a server is up, or that it is not.
    fn await_health(&mut self, server: ServerNo, is_up: bool) -> Result<(), Stop> {
        let since = self.clock.ms();
        let is_noticed = self.until(HEALTH_MAX_MS, |stage| {
            Ok(stage.operator.health(server)? == Some(is_up))
        })?;
        let (took, state) = (self.clock.ms() - since, if is_up { "up" } else { "dead" });
        if !is_noticed {
            return Err(Stop::Failed(format!(
                "after {took} ms {server} is not {state} to the gateway"
            )));
        }
        if took > 0 {
            self.progress.step(&format!(
                "  (the gateway holds {server} for {state} after {took} ms)"
            ));
        }
        Ok(())
    }

    /// Lets some of a server's clients fall silent, and waits until they are.
    fn silence(&mut self, server: ServerNo, count: usize) -> Result<(), Stop> {
        let name = server.to_string();
        let seen = self.seen(false)?;
        let of_server = seen.iter().filter(|s| s.server.as_deref() == Some(&name));
        // Never all of them: some must speak, to be moved.
        let all: Vec<ConnId> = of_server.map(|s| s.id).collect();
        let ids: Vec<ConnId> = all.iter().copied().take(count.min(all.len() / 2)).collect();
        self.progress.step(&format!(
            "  ({} clients of {server} fall silent)",
            ids.len()
        ));
        self.hush(&ids)
    }

    /// Makes connections silent, and waits until they are.
    fn hush(&mut self, ids: &[ConnId]) -> Result<(), Stop> {
        self.clients.set_paused(ids.to_vec(), true)?;
        let is_over =
            |s: &Seen| ids.binary_search(&s.id).is_err() || s.is_silent || s.broken.is_some();
        self.until(COUNT_MAX_MS, |stage| {
            Ok(stage.clients.look(false)?.iter().all(is_over))
        })?;
        Ok(self.interrupts.rest(DELAYED_ACK_MS)?)
    }

    /// Waits until every flow that is alive and not silent was answered several times since now; notes in `before`
    /// what it had by now, so that the verdict looks at answers since.
    fn settle(&mut self, before: &mut [Observed]) -> Result<(), Stop> {
        let since = self.clock.ms();
        let now: HashMap<ConnId, u64> = self
            .seen(false)?
            .into_iter()
            .map(|s| (s.id, s.answers))
            .collect();
        for was in before {
            was.answers = now.get(&was.id).copied().unwrap_or(was.answers);
        }
        let is_settled = |s: &Seen| {
            let had = now.get(&s.id).copied().unwrap_or(0);
            s.broken.is_some() || s.is_silent || s.answers >= had + ANSWERS
        };
        self.until(SETTLE_MAX_MS, |stage| {
            let seen = stage.seen(false)?;
            let done = seen.iter().filter(|s| is_settled(s)).count();
            stage
                .progress
                .count("flows heard of since", done, seen.len());
            Ok(done == seen.len() && stage.clock.ms() - since >= SETTLE_MIN_MS)
        })?;
        self.progress.clear();
        Ok(())
    }

    /// The moves that the gateway counted since `start`, by reason; waits a while for `expected` of them.
    fn await_moves(
        &mut self,
        start: &BTreeMap<String, u64>,
        expected: u64,
    ) -> Result<BTreeMap<String, u64>, Stop> {
        let mut since = BTreeMap::new();
        self.until(COUNT_MAX_MS, |stage| {
            since = stage.operator.moves()?;
            for (reason, n) in &mut since {
                *n = n.saturating_sub(start.get(reason).copied().unwrap_or(0));
            }
            since.retain(|_, n| *n > 0);
            Ok(since.values().sum::<u64>() >= expected)
        })?;
        Ok(since)
    }

    /// Opens anew what broke, so that the next event finds all flows alive.
    fn reopen(&mut self, after: &[Observed]) -> Result<(), Stop> {
        let broken: Vec<ConnId> = after
            .iter()
            .filter(|o| o.broken.is_some())
            .map(|o| o.id)
            .collect();
        if broken.is_empty() {
            return Ok(());
        }
        let routes: Vec<Route> = broken
            .iter()
            .filter_map(|id| self.kept.remove(id))
            .collect();
        self.progress
            .step(&format!("  ({} clients connect again)", broken.len()));
        self.clients.close(broken)?;
        self.open(routes)
    }

    /// Opens fresh connections and looks who answers. They stay open and silent: an orderly close would be
    /// traffic in the next event, whose moves could not be told from those of the flows that are watched.
    fn try_fresh(&mut self) -> Result<BTreeMap<ServerNo, usize>, Stop> {
        let ids = self.clients.open(self.fresh.clone())?;
        let seen = self.await_first_answers(&ids, "new flows")?;
        self.hush(&ids)?;
        let mut chosen = BTreeMap::new();
        for server in seen.iter().filter_map(|s| s.server.as_deref()) {
            let no = ServerNo::from_name(server)
                .ok_or_else(|| format!("{server:?} is no server of the rack"))?;
            *chosen.entry(no).or_default() += 1;
        }
        Ok(chosen)
    }

    fn await_first_answers(&mut self, ids: &[ConnId], what: &str) -> Result<Vec<Seen>, Stop> {
        let mut seen = Vec::new();
        let is_whole = self.until(OPEN_MAX_MS, |stage| {
            seen = stage.clients.look(false)?;
            seen.retain(|s| ids.binary_search(&s.id).is_ok());
            if let Some(broken) = seen.iter().find(|s| s.broken.is_some()) {
                return Err(Stop::Failed(format!(
                    "a new connection does not open: {broken:?}"
                )));
            }
            let done = seen.iter().filter(|s| s.answers > 0).count();
            stage.progress.count(what, done, ids.len());
            Ok(done == ids.len())
        })?;
        self.progress.clear();
        match is_whole {
            true => Ok(seen),
            false => Err(Stop::Failed(format!(
                "{what}: not all were answered in time"
            ))),
        }
    }

    /// Waits until `done`, at most `limit` milliseconds; whether it came to pass.
    fn until(
        &mut self,
        limit: u64,
        mut done: impl FnMut(&mut Self) -> Result<bool, Stop>,
    ) -> Result<bool, Stop> {
        let since = self.clock.ms();
        loop {
            if done(self)? {
                return Ok(true);
            }
            if self.clock.ms() - since > limit {
                return Ok(false);
            }
            self.interrupts.rest(LOOK_MS)?;
        }
    }
}

/// A server that takes no new flows must not have got one.
fn wrongly_chosen(fresh: &BTreeMap<ServerNo, usize>, members: &[Member]) -> Vec<String> {
    let is_member = |no: &ServerNo| members.iter().any(|m| m.server == *no);
    let wrong = fresh.iter().filter(|(no, _)| !is_member(no));
    wrong
        .map(|(no, n)| format!("{n} new flows went to {no}, which takes none now"))
        .collect()
}

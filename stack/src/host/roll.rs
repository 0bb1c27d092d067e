//! Whether the gateway itself could hear.
//!
//! A worker that the machine holds up takes nothing from its queues and sends nothing for the host. What is silent then
//! is the gateway, and not its neighbours or servers: none of them may be called dead for it, or a machine that stands
//! still for some seconds loses connections to servers that are well. So before an answer counts as missing, the host
//! calls the roll, and each worker says when it has been once through its queues and rings.

use crossbeam_utils::CachePadded;
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

/// A worker that takes longer was held up, ms. (One that is well takes some bursts.)
const PROMPT_MS: u64 = 100;

/// Who has not answered by then, ms, is not waited for: a worker that hangs must not hide what has died.
const LONGEST_MS: u64 = 3_000;

/// The roll: the host's call, and what each worker has answered.
pub struct Roll {
    call: CachePadded<AtomicU64>,
    answers: Box<[CachePadded<AtomicU64>]>,
}

impl Roll {
    /// For so many workers.
    pub fn new(workers: usize) -> Arc<Self> {
        let answers = (0..workers).map(|_| CachePadded::default()).collect();
        Arc::new(Self {
            call: CachePadded::default(),
            answers,
        })
    }

    /// The last call, at the beginning of a worker's burst.
    #[inline]
    pub(crate) fn called(&self) -> u64 {
        self.call.load(Acquire)
    }

    /// A worker has ended a burst that began after this call: all that it had for the host is in its rings.
    pub(crate) fn answer(&self, worker: usize, call: u64) {
        if let Some(answer) = self.answers.get(worker) {
            answer.store(call, Release);
        }
    }
}

/// What the host knows of its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// The roll has not been called, or is not complete.
    Unknown,
    /// All were there: what has not been heard was not said.
    Whole,
    /// Some were held up.
    Patchy,
}

/// The host's side. A roll has two rounds: what one worker handed to another in the first, that one has handled in the second.
pub(super) struct RollCall {
    roll: Arc<Roll>,
    calls: u64,
    /// When the roll was called that is under way.
    since: Option<u64>,
    second: bool,
    verdict: Option<Hearing>,
    /// Workers are to be woken.
    bell: bool,
}

impl RollCall {
    pub(super) fn new(roll: Arc<Roll>) -> Self {
        Self {
            roll,
            calls: 0,
            since: None,
            second: false,
            verdict: None,
            bell: false,
        }
    }

    /// Calls the roll, if it is not under way.
    pub(super) fn call(&mut self, now_ms: u64) {
        if self.since.is_none() {
            (self.since, self.second) = (Some(now_ms), false);
            self.call_all();
        }
    }

    fn call_all(&mut self) {
        self.calls += 1;
        self.bell = true;
        self.roll.call.store(self.calls, Release);
    }

    /// Whether workers are to be woken since they were called.
    pub(super) fn take_bell(&mut self) -> bool {
        std::mem::take(&mut self.bell)
    }

    /// What the roll has shown, until that has been acted upon. Ask before the workers' rings are emptied: then all that it
    /// stands for is in them.
    pub(super) fn hearing(&mut self, now_ms: u64) -> Hearing {
        if self.verdict.is_none() && self.has_news(now_ms) {
            self.verdict = self.judge(now_ms);
        }
        self.verdict.unwrap_or(Hearing::Unknown)
    }

    fn judge(&mut self, now_ms: u64) -> Option<Hearing> {
        let all = self.all_answered();
        if all && !self.second {
            self.second = true;
            self.call_all();
            return None;
        }
        let late = all && self.took(now_ms) > PROMPT_MS;
        Some(if late {
            Hearing::Patchy
        } else {
            Hearing::Whole
        })
    }

    /// Whether it has something to do: a round is complete, or takes too long.
    pub(super) fn has_news(&self, now_ms: u64) -> bool {
        self.since.is_some() && (self.all_answered() || self.took(now_ms) >= LONGEST_MS)
    }

    fn all_answered(&self) -> bool {
        let mut answers = self.roll.answers.iter();
        answers.all(|answer| answer.load(Acquire) == self.calls)
    }

    fn took(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.since.unwrap_or(now_ms))
    }

    /// The roll has been acted upon.
    pub(super) fn done(&mut self) {
        (self.since, self.verdict) = (None, None);
    }

    /// When it ends at the latest.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.since.map(|since| since + LONGEST_MS)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn rolls(workers: usize) -> (Arc<Roll>, RollCall) {
        let roll = Roll::new(workers);
        (Arc::clone(&roll), RollCall::new(roll))
    }

    #[test]
    fn all_were_there_once_each_has_answered_this_call() {
        let (roll, mut host) = rolls(2);
        assert_eq!(host.hearing(0), Hearing::Unknown);
        for (first, now) in [(1, 1000), (3, 5000)] {
            for call in [first, first + 1] {
                host.call(now);
                assert_eq!((host.take_bell(), host.take_bell()), (true, false));
                assert_eq!(roll.called(), call);
                roll.answer(0, call);
                roll.answer(1, call - 1);
                assert!(!host.has_news(now + 1));
                assert_eq!(host.hearing(now + 1), Hearing::Unknown);
                roll.answer(1, call);
                assert!(host.has_news(now + PROMPT_MS));
                let found = host.hearing(now + PROMPT_MS);
                assert_eq!(found == Hearing::Whole, call > first);
            }
            assert_eq!(host.hearing(now + LONGEST_MS), Hearing::Whole, "it is kept");
            host.done();
            assert_eq!(host.hearing(now + 2), Hearing::Unknown);
        }
    }

    #[test]
    fn who_answers_late_was_held_up_and_who_never_does_is_not_waited_for() {
        let (roll, mut host) = rolls(2);
        for (first, late) in [(1, false), (2, true)] {
            host.call(1000);
            roll.answer(0, first);
            assert_eq!(host.deadline_ms(), Some(1000 + LONGEST_MS));
            assert_eq!(host.hearing(1000 + LONGEST_MS - 1), Hearing::Unknown);
            if late {
                roll.answer(1, first);
                assert_eq!(host.hearing(1001 + PROMPT_MS), Hearing::Unknown);
                (0..2).for_each(|worker| roll.answer(worker, first + 1));
                assert_eq!(host.hearing(1001 + PROMPT_MS), Hearing::Patchy);
            }
            let found = host.hearing(1000 + LONGEST_MS);
            assert_eq!(found == Hearing::Whole, !late);
            host.done();
            assert_eq!(host.deadline_ms(), None);
        }
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use loom::thread;

    /// What a worker had for the host when it was called is in its ring once it has answered.
    #[test]
    fn loom_whoever_has_answered_has_said_all() {
        loom::model(|| {
            let (roll, ring) = (Roll::new(1), Arc::new(AtomicBool::new(false)));
            let mut host = RollCall::new(Arc::clone(&roll));
            host.call(0);
            let theirs = Arc::clone(&ring);
            let worker = thread::spawn(move || {
                for _ in 0..2 {
                    let call = roll.called();
                    theirs.store(true, Relaxed);
                    roll.answer(0, call);
                }
            });
            host.hearing(0);
            if host.hearing(0) == Hearing::Whole {
                assert!(ring.load(Relaxed), "an answer is missing");
            }
            worker.join().unwrap();
        });
    }
}

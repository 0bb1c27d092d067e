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

/// The host's side.
pub(super) struct RollCall {
    roll: Arc<Roll>,
    calls: u64,
    since: Option<u64>,
}

impl RollCall {
    pub(super) fn new(roll: Arc<Roll>) -> Self {
        let (calls, since) = (0, None);
        Self { roll, calls, since }
    }

    /// Calls the roll, if it is not under way. Returns whether workers are to be woken.
    pub(super) fn call(&mut self, now_ms: u64) -> bool {
        if self.since.is_some() {
            return false;
        }
        self.calls += 1;
        self.since = Some(now_ms);
        self.roll.call.store(self.calls, Release);
        true
    }

    /// What the roll has shown. Ask before the workers' rings are emptied: then all that it stands for is in them.
    pub(super) fn hearing(&self, now_ms: u64) -> Hearing {
        let Some(since) = self.since else {
            return Hearing::Unknown;
        };
        let took = now_ms.saturating_sub(since);
        let answered = |answer: &CachePadded<AtomicU64>| answer.load(Acquire) == self.calls;
        match self.roll.answers.iter().all(answered) {
            true if took <= PROMPT_MS => Hearing::Whole,
            true => Hearing::Patchy,
            false if took >= LONGEST_MS => Hearing::Whole,
            false => Hearing::Unknown,
        }
    }

    /// The roll has been acted upon.
    pub(super) fn done(&mut self) {
        self.since = None;
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
        for (call, now) in [(1, 1000), (2, 5000)] {
            assert!(host.call(now));
            assert!(!host.call(now + 1), "it is under way");
            assert_eq!(roll.called(), call);
            roll.answer(0, call);
            roll.answer(1, call - 1);
            assert_eq!(host.hearing(now + 1), Hearing::Unknown);
            roll.answer(1, call);
            assert_eq!(host.hearing(now + PROMPT_MS), Hearing::Whole);
            host.done();
            assert_eq!(host.hearing(now + 2), Hearing::Unknown);
        }
    }

    #[test]
    fn who_answers_late_was_held_up_and_who_never_does_is_not_waited_for() {
        let (roll, mut host) = rolls(2);
        host.call(1000);
        roll.answer(0, 1);
        assert_eq!(host.deadline_ms(), Some(1000 + LONGEST_MS));
        assert_eq!(host.hearing(1000 + LONGEST_MS - 1), Hearing::Unknown);
        assert_eq!(host.hearing(1000 + LONGEST_MS), Hearing::Whole);
        roll.answer(1, 1);
        assert_eq!(host.hearing(1001 + PROMPT_MS), Hearing::Patchy);
        host.done();
        assert_eq!(host.deadline_ms(), None);
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
                let call = roll.called();
                theirs.store(true, Relaxed);
                roll.answer(0, call);
            });
            if host.hearing(0) == Hearing::Whole {
                assert!(ring.load(Relaxed), "an answer is missing");
            }
            worker.join().unwrap();
        });
    }
}

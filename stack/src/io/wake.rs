//! Waking a thread that sleeps in poll(2), for next to nothing while it is awake.
//!
//! A [`Waker`] is an eventfd and a flag. The *sleeper* (one thread) raises the flag, looks at its
//! queues once more, and polls the eventfd. A *waker* (any thread) first makes work visible, then
//! calls [`Waker::wake`], which writes the eventfd only if it finds the flag raised.
//!
//! **No wake is lost.** Sleeper: store flag; fence; look at queues. Waker: store work; fence; load
//! flag. The two sequentially consistent fences are ordered one way or the other: if the
//! sleeper's comes first, the waker sees the flag (or that somebody else took it and rings); if the
//! waker's comes first, the sleeper sees the work. Without the fences both loads could pass both
//! stores (store buffering), and the sleeper would sleep on work. `loom` checks exactly this, below.
//!
//! **At most one ring a sleep.** The flag is taken by a swap, so of many wakers one writes. Its
//! write may come late, after the sleeper woke for another reason; then the eventfd is readable at
//! the next sleep, which ends at once, for nothing, and [`Waker::awake`] empties it. That is why
//! `awake` always reads the eventfd and never concludes from the flag that nobody wrote.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Whether the sleeper announced that it is going to sleep and nobody rang yet.
#[derive(Debug)]
struct Asleep(AtomicBool);

impl Asleep {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Sleeper: raises the flag. What it reads after this is at least as new as what a waker
    /// stored before a [`Self::take`] that did not see the flag.
    fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Waker, after its work is stored: whether it has to ring. True for one waker a sleep.
    fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }

    /// Sleeper: awake again.
    fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Bell {
    asleep: Asleep,
    event: EventFd,
}

/// Wakes one sleeping thread; see the module's text for the protocol. Clones wake the same thread.
#[derive(Clone, Debug)]
pub struct Waker(Option<Arc<Bell>>);

impl Waker {
    /// A waker with an eventfd.
    ///
    /// # Errors
    /// No descriptor left (`EMFILE`, `ENFILE`) or no memory.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self(Some(Arc::new(Bell {
            asleep: Asleep::new(),
            event,
        }))))
    }

    /// A waker that wakes nobody, for simulation, where nobody sleeps.
    pub fn null() -> Self {
        Self(None)
    }

    /// Any thread, after its work is stored where the sleeper looks: wakes it if it sleeps.
    pub fn wake(&self) {
        let Some(bell) = &self.0 else { return };
        if bell.asleep.take() {
            // It fails only when 2^64 - 2 rings are unread; then it is readable already.
            let _ = bell.event.write(1);
        }
    }

    /// Sleeper: announces that it is about to sleep. Then look at all queues once more; if there is
    /// nothing, poll [`Self::fd`]; after either, call [`Self::awake`].
    pub fn prepare_sleep(&self) {
        if let Some(bell) = &self.0 {
            bell.asleep.announce();
        }
    }

    /// Sleeper: awake again. Lowers the flag and empties the eventfd. Look at all queues after it:
    /// what a ring stood for is nowhere else recorded.
    pub fn awake(&self) {
        let Some(bell) = &self.0 else { return };
        bell.asleep.clear();
        while let Err(Errno::EINTR) = bell.event.read() {}
    }

    /// The eventfd, readable once somebody rang. `None` for [`Self::null`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|bell| bell.event.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::poll::Poller;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Sleeps until `seen()`; panics when a poll of ten seconds ends without a ring.
    fn sleep_until(waker: &Waker, poller: &mut Poller, seen: impl Fn() -> bool) {
        loop {
            waker.prepare_sleep();
            let mut rang = true;
            if !seen() {
                rang = poller.wait_each(waker.fd(), Some(10_000)).unwrap() > 0;
            }
            waker.awake();
            if seen() {
                // Work that came without its ring is a lost wake, even though it was found.
                assert!(rang, "slept for ten seconds on work that was there");
                return;
            }
        }
    }

    #[test]
    fn no_wake_is_lost_in_a_hundred_thousand_rounds_between_two_threads() {
        const ROUNDS: u64 = 100_000;
        let (ping, pong) = (Waker::new().unwrap(), Waker::new().unwrap());
        let (sent, answered) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut poller = Poller::new();
                for round in 1..=ROUNDS {
                    sleep_until(&ping, &mut poller, || sent.load(Ordering::Acquire) >= round);
                    answered.store(round, Ordering::Release);
                    pong.wake();
                }
            });
            let mut poller = Poller::new();
            for round in 1..=ROUNDS {
                sent.store(round, Ordering::Release);
                ping.wake();
                sleep_until(&pong, &mut poller, || {
                    answered.load(Ordering::Acquire) >= round
                });
            }
        });
        assert_eq!(answered.load(Ordering::Relaxed), ROUNDS);
    }

    #[test]
    fn nobody_rings_for_a_thread_that_is_awake() {
        let waker = Waker::new().unwrap();
        waker.wake();
        let mut poller = Poller::new();
        assert_eq!(poller.wait_each(waker.fd(), Some(0)).unwrap(), 0);
        waker.prepare_sleep();
        waker.wake();
        waker.wake();
        assert_eq!(poller.wait_each(waker.fd(), Some(0)).unwrap(), 1);
        let bell = waker.0.as_ref().unwrap();
        assert_eq!(
            bell.event.read().unwrap(),
            1,
            "two wakes of one sleep ring once"
        );
        waker.awake();
        assert_eq!(poller.wait_each(waker.fd(), Some(0)).unwrap(), 0);
    }

    #[test]
    fn a_ring_that_comes_late_ends_one_sleep_and_not_the_next() {
        let waker = Waker::new().unwrap();
        let bell = waker.0.as_ref().unwrap();
        waker.prepare_sleep();
        assert!(
            bell.asleep.take(),
            "a waker takes the flag, and is interrupted before it rings"
        );
        waker.awake();
        waker.prepare_sleep();
        bell.event.write(1).unwrap();
        let mut poller = Poller::new();
        assert_eq!(poller.wait_each(waker.fd(), Some(0)).unwrap(), 1);
        waker.awake();
        waker.prepare_sleep();
        assert_eq!(poller.wait_each(waker.fd(), Some(0)).unwrap(), 0);
    }

    #[test]
    fn the_null_waker_has_nothing_to_poll() {
        let waker = Waker::null();
        waker.prepare_sleep();
        waker.wake();
        waker.awake();
        assert!(waker.fd().is_none());
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test -p flowgate-stack --lib --release loom_`
#[cfg(all(test, loom))]
mod loom_model {
    use super::Asleep;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Condvar, Mutex};

    /// The eventfd: rung until read. A sleeper that nobody rings is a deadlock, which loom reports.
    struct Event(Mutex<bool>, Condvar);

    impl Event {
        fn ring(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_one();
        }

        fn poll(&self) {
            let mut rung = self.0.lock().unwrap();
            while !*rung {
                rung = self.1.wait(rung).unwrap();
            }
            *rung = false;
        }
    }

    /// All orders with up to three preemptions, where two threads already show a missing fence.
    fn model(wakers: usize) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let asleep = Arc::new(Asleep::new());
            let event = Arc::new(Event(Mutex::new(false), Condvar::new()));
            let work = Arc::new(AtomicUsize::new(0));
            for _ in 0..wakers {
                let (asleep, event, work) = (asleep.clone(), event.clone(), work.clone());
                loom::thread::spawn(move || {
                    // A queue's push: relaxed, so that only the fences can save the wake.
                    work.fetch_add(1, Ordering::Relaxed);
                    if asleep.take() {
                        event.ring();
                    }
                });
            }
            while work.load(Ordering::Relaxed) < wakers {
                asleep.announce();
                if work.load(Ordering::Relaxed) < wakers {
                    event.poll();
                }
                asleep.clear();
            }
        });
    }

    #[test]
    fn loom_one_waker_is_never_missed() {
        model(1);
    }

    #[test]
    fn loom_two_wakers_are_never_missed() {
        model(2);
    }

    /// A hand-off ring as `rtrb`'s: the sender writes the tail, the receiver the head.
    struct Ring {
        items: [AtomicUsize; 4],
        head: AtomicUsize,
        tail: AtomicUsize,
    }

    impl Ring {
        fn push(&self, item: usize) {
            let tail = self.tail.load(Ordering::Relaxed);
            self.items[tail % 4].store(item, Ordering::Relaxed);
            self.tail.store(tail + 1, Ordering::Release);
        }

        fn waiting(&self) -> usize {
            self.tail.load(Ordering::Acquire) - self.head.load(Ordering::Relaxed)
        }

        fn pop(&self) -> Option<usize> {
            let head = self.head.load(Ordering::Relaxed);
            (self.waiting() > 0).then(|| {
                self.head.store(head + 1, Ordering::Release);
                self.items[head % 4].load(Ordering::Relaxed)
            })
        }
    }

    /// A worker hands packets off burst by burst and rings once a burst; the owner takes what it finds, and sleeps when it
    /// found nothing: no packet is left in the ring, and they come in order.
    #[test]
    fn loom_no_packet_stays_in_a_ring_whose_receiver_sleeps() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let asleep = Arc::new(Asleep::new());
            let event = Arc::new(Event(Mutex::new(false), Condvar::new()));
            let ring = Arc::new(Ring {
                items: std::array::from_fn(|_| AtomicUsize::new(0)),
                head: AtomicUsize::new(0),
                tail: AtomicUsize::new(0),
            });
            let (theirs, bell, rung) = (ring.clone(), asleep.clone(), event.clone());
            loom::thread::spawn(move || {
                for burst in [&[1, 2][..], &[3]] {
                    burst.iter().for_each(|item| theirs.push(*item));
                    if bell.take() {
                        rung.ring();
                    }
                }
            });
            let mut got = 0;
            while got < 3 {
                if let Some(item) = ring.pop() {
                    got += 1;
                    assert_eq!(item, got);
                    continue;
                }
                asleep.announce();
                if ring.waiting() == 0 {
                    event.poll();
                }
                asleep.clear();
            }
        });
    }
}

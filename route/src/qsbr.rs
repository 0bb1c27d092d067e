//! Quiescent-state-based reclamation: when has every reader let go of what control has unpublished?
//!
//! Control unpublishes something, then calls [`Qsbr::advance`] and remembers the epoch that it returns. The
//! memory may be used again once [`Qsbr::passed`] says so of that epoch. A reader announces the epoch that it
//! *loaded* at a moment when it holds nothing shared (the start of a burst), or that it is off-line (asleep).
//!
//! Why this is enough:
//! - *quiescent*: the announced epoch was loaded with Acquire from control's increment, so whatever the
//!   reader loads afterwards is at least as new as what was published before that increment. No fence.
//! - *online*: here nothing was loaded yet, so announcement and later loads are ordered by a `SeqCst` fence,
//!   which meets the one in [`Qsbr::passed`]: either control sees the announcement, or the reader
//!   sees what control unpublished before it looked.
//!
//! Control alone advances; each [`Reader`] belongs to one thread. Nobody waits.

use crate::sync::{AtomicBool, AtomicU64, Ordering, fence};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::sync::Arc;

/// What a sleeping reader announces: later than every epoch.
const OFFLINE: u64 = u64::MAX;

/// The epochs of control and of every reader.
#[derive(Debug)]
pub struct Qsbr {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Written by control alone.
    epoch: CachePadded<AtomicU64>,
    places: Box<[CachePadded<Place>]>,
}

#[derive(Debug)]
struct Place {
    /// The epoch that this reader last announced; written by it alone.
    seen: AtomicU64,
    claimed: AtomicBool,
}

impl Qsbr {
    /// Places for `readers` readers, all off-line.
    pub fn new(readers: usize) -> Self {
        let place = |_| {
            CachePadded::new(Place {
                seen: AtomicU64::new(OFFLINE),
                claimed: AtomicBool::new(false),
            })
        };
        let shared = Shared {
            epoch: CachePadded::new(AtomicU64::new(0)),
            places: (0..readers).map(place).collect(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Number of places.
    pub fn readers(&self) -> usize {
        self.shared.places.len()
    }

    /// Claims place `index` for one thread. The reader is off-line until it first says otherwise.
    ///
    /// # Panics
    /// If there is no such place, or if another reader has it: either would let memory be reused under a
    /// reader's eyes.
    pub fn reader(&self, index: usize) -> Reader {
        let places = self.shared.places.len();
        assert!(
            index < places,
            "reader {index} of {places}: make room in Config::readers"
        );
        let was_claimed = self.shared.places[index]
            .claimed
            .swap(true, Ordering::AcqRel);
        assert!(!was_claimed, "reader {index} was claimed before");
        Reader {
            shared: Arc::clone(&self.shared),
            index,
            online: Cell::new(false),
        }
    }

    /// Starts a new epoch and returns it. Control only, after it has unpublished something.
    pub fn advance(&self) -> u64 {
        self.shared.epoch.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether every reader has been quiescent, or off-line, since `epoch` started. Control only, where memory is used
    /// again for it; others may ask whether readers obey a change.
    pub fn passed(&self, epoch: u64) -> bool {
        fence(Ordering::SeqCst);
        self.shared
            .places
            .iter()
            .all(|place| place.seen.load(Ordering::Acquire) >= epoch)
    }
}

/// One thread's voice. It is off-line when created and when dropped.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    index: usize,
    /// Also keeps the reader from being shared between threads.
    online: Cell<bool>,
}

impl Reader {
    /// Says that the thread holds nothing shared at this moment. Once a burst; off-line, it means
    /// [`Self::online`].
    #[inline]
    pub fn quiescent(&self) {
        if !self.online.get() {
            return self.online();
        }
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        self.place().seen.store(epoch, Ordering::Release);
    }

    /// Says that the thread will read nothing shared until [`Self::online`]: before it sleeps.
    pub fn offline(&self) {
        self.place().seen.store(OFFLINE, Ordering::Release);
        self.online.set(false);
    }

    /// Says that the thread reads again: after it slept, before its first shared load.
    pub fn online(&self) {
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        // Release: whoever reads it may take it for all that this thread did before it slept.
        self.place().seen.store(epoch, Ordering::Release);
        fence(Ordering::SeqCst);
        self.online.set(true);
    }

    fn place(&self) -> &Place {
        &self.shared.places[self.index]
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.offline();
        self.place().claimed.store(false, Ordering::Release);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn without_readers_every_epoch_has_passed() {
        let qsbr = Qsbr::new(2);
        let epoch = qsbr.advance();
        assert!(qsbr.passed(epoch));
    }

    #[test]
    fn an_epoch_passes_when_the_last_reader_was_quiescent_or_sleeps() {
        let qsbr = Qsbr::new(2);
        let (a, b) = (qsbr.reader(0), qsbr.reader(1));
        a.online();
        b.online();
        let epoch = qsbr.advance();
        assert!(!qsbr.passed(epoch));
        a.quiescent();
        assert!(!qsbr.passed(epoch));
        b.offline();
        assert!(qsbr.passed(epoch));
        b.quiescent();
        assert!(qsbr.passed(epoch), "it woke after the epoch began");
        assert!(!qsbr.passed(qsbr.advance()));
    }

    #[test]
    fn a_dropped_reader_holds_nothing_back_and_frees_its_place() {
        let qsbr = Qsbr::new(1);
        let reader = qsbr.reader(0);
        reader.quiescent();
        let epoch = qsbr.advance();
        assert!(!qsbr.passed(epoch));
        drop(reader);
        assert!(qsbr.passed(epoch));
        drop(qsbr.reader(0));
    }

    #[test]
    #[should_panic(expected = "claimed before")]
    fn a_place_is_claimed_once() {
        let qsbr = Qsbr::new(1);
        let _first = qsbr.reader(0);
        let _second = qsbr.reader(0);
    }
}

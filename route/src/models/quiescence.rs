//! Memory is used again only when no reader can look at it.

use super::explore;
use crate::qsbr::{Qsbr, Reader};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

const REUSED: u32 = 99;

/// Two slots, and which of them is published.
struct World {
    published: AtomicU32,
    slots: [AtomicU32; 2],
    qsbr: Qsbr,
}

impl World {
    fn new(readers: usize) -> Arc<Self> {
        let slots = [AtomicU32::new(0), AtomicU32::new(1)];
        Arc::new(Self {
            published: AtomicU32::new(0),
            slots,
            qsbr: Qsbr::new(readers),
        })
    }

    /// A reader's look at what is published.
    fn look(&self) {
        let slot = self.published.load(Ordering::Acquire) as usize;
        assert_ne!(
            self.slots[slot].load(Ordering::Relaxed),
            REUSED,
            "used again under its eyes"
        );
    }

    /// Control unpublishes slot 0 and uses it again if every reader has passed.
    fn replace(&self) {
        self.published.store(1, Ordering::Release);
        let epoch = self.qsbr.advance();
        if self.qsbr.passed(epoch) {
            self.slots[0].store(REUSED, Ordering::Relaxed);
        }
    }
}

fn run(readers: usize, bound: usize, life: fn(&World, &Reader)) {
    explore(bound, move || {
        let world = World::new(readers);
        let threads: Vec<_> = (0..readers)
            .map(|number| {
                let world = Arc::clone(&world);
                thread::spawn(move || life(&world, &world.qsbr.reader(number)))
            })
            .collect();
        world.replace();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn loom_a_reader_that_bursts_is_waited_for() {
    run(2, 3, |world, reader| {
        reader.online();
        world.look();
        reader.quiescent();
        world.look();
    });
}

#[test]
fn loom_a_reader_that_sleeps_is_not_waited_for_and_wakes_safely() {
    run(1, 4, |world, reader| {
        reader.online();
        world.look();
        reader.offline();
        reader.online();
        world.look();
        reader.quiescent();
        world.look();
    });
}

//! Where a route and the default change one after the other, a lookup finds what was there at some moment.

use super::explore;
use crate::fib::Fallback;
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

/// The place of a route, and the default.
struct World {
    place: AtomicU32,
    default: Fallback,
}

/// A reader beside `change`, from a place and a default on; what it finds is one of `sound`.
fn changing(place: u32, default: u32, change: fn(&World), sound: &'static [u32]) {
    explore(3, move || {
        let world = Arc::new(World {
            place: AtomicU32::new(place),
            default: Fallback::new(),
        });
        world.default.set(default);
        let reader = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let found = world.default.under(|| world.place.load(Ordering::Acquire));
                assert!(sound.contains(&found), "{found} was never there");
            })
        };
        change(&world);
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_route_comes_and_the_default_goes() {
    let change = |world: &World| {
        world.place.store(7, Ordering::Release);
        world.default.set(0);
    };
    changing(0, 1, change, &[1, 7]);
}

#[test]
fn loom_the_default_comes_and_a_route_goes() {
    let change = |world: &World| {
        world.default.set(1);
        world.place.store(0, Ordering::Release);
    };
    changing(7, 0, change, &[7, 1]);
}

#[test]
fn loom_a_route_comes_and_the_default_changes() {
    let change = |world: &World| {
        world.place.store(7, Ordering::Release);
        world.default.set(2);
    };
    changing(0, 1, change, &[1, 7]);
}

//! A new stamp never comes with an old route.

use super::explore;
use crate::ids::FibId;
use crate::stamp::Stamps;
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

/// A route is its number of changes; control publishes it as it does an entry of the FIB.
struct World {
    route: AtomicU32,
    stamps: Stamps,
}

#[test]
fn loom_who_sees_the_new_stamp_sees_the_new_route() {
    explore(3, || {
        let world = Arc::new(World {
            route: AtomicU32::new(0),
            stamps: Stamps::new(),
        });
        let reader = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let mut last = 0;
                for _ in 0..2 {
                    let stamp = world.stamps.read4(FibId(0), 0);
                    let route = world.route.load(Ordering::Acquire);
                    assert!(route >= stamp, "stamp {stamp} with route {route}");
                    assert!(stamp >= last, "a stamp went back");
                    last = stamp;
                }
            })
        };
        world.route.store(1, Ordering::Release);
        world.stamps.bump(&"0.0.0.0/32".parse().unwrap());
        world.route.store(2, Ordering::Release);
        world.stamps.bump(&"0.0.0.0/0".parse().unwrap());
        reader.join().unwrap();
        assert_eq!(world.stamps.read4(FibId(0), 0), 2);
    });
}

//! A new stamp never comes with an old route.

use super::explore;
use crate::ids::FibId;
use crate::stamp::{Stamps, stamps_then_routes};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

/// A route is the stamp that comes with it; control publishes it as it does an entry of the FIB.
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
        // A net is counted, and its region says so for the first time.
        world.route.store(2, Ordering::Release);
        world.stamps.bump(&"0.0.0.0/32".parse().unwrap());
        world.route.store(3, Ordering::Release);
        world.stamps.bump(&"0.0.0.0/0".parse().unwrap());
        reader.join().unwrap();
        assert_eq!(world.stamps.read4(FibId(0), 0), 3);
    });
}

/// Two destinations that share no counter but the global one, each with a route of its own: a change of a net and one of
/// a region.
struct Two {
    routes: [AtomicU32; 2],
    stamps: Stamps,
}

const DSTS: [u32; 2] = [0, 1 << 16 | 1 << 8];
const PREFIXES: [&str; 2] = ["0.0.0.0/32", "0.1.0.0/16"];

/// What a worker pinned: the stamp that it read before the lookup, and what that found.
type Pinned = (u32, u32);

impl Two {
    /// A burst of new flows, in the order of `stack::path::missed`, by the function that keeps it.
    fn burst(&self) -> [Pinned; 2] {
        stamps_then_routes(
            &mut (),
            |()| DSTS.map(|dst| self.stamps.read4(FibId(0), dst)),
            |(), stamps| {
                let routes = [0, 1].map(|n: usize| self.routes[n].load(Ordering::Acquire));
                [0, 1].map(|n| (stamps[n], routes[n]))
            },
        )
    }

    /// The next packets of the same flows: a pin whose stamp is still that of its destination is used as it is.
    fn again(&self, pinned: [Pinned; 2]) {
        for ((stamp, route), dst) in pinned.into_iter().zip(DSTS) {
            let now = self.stamps.read4(FibId(0), dst);
            assert!(
                now != stamp || route >= now,
                "stamp {now} vouches for route {route}"
            );
        }
    }
}

#[test]
fn loom_a_change_at_any_point_of_a_burst_leaves_no_pin_that_vouches_for_the_old_route() {
    explore(3, || {
        let world = Arc::new(Two {
            routes: [AtomicU32::new(0), AtomicU32::new(0)],
            stamps: Stamps::new(),
        });
        let reader = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let pinned = world.burst();
                world.again(pinned);
            })
        };
        for (route, prefix) in world.routes.iter().zip(PREFIXES) {
            route.store(2, Ordering::Release);
            world.stamps.bump(&prefix.parse().unwrap());
        }
        reader.join().unwrap();
        // A burst that starts after the changes obeys them.
        assert_eq!(world.burst(), [(2, 2), (2, 2)]);
    });
}

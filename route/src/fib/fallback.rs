//! The default route: one word of its own, that is asked where a walk ends at nothing.
//!
//! A walk and this word are two looks. Between them control may add a route and delete the default, or the other way
//! round, and who looked at the older side of both would find nothing though there always was something. So the word is
//! read on both sides of the walk, and if it changed, all is looked at again.

use crate::sync::{AtomicU32, Ordering, fence};

/// The group of addresses that no other route covers; 0 is none.
#[derive(Debug)]
pub(crate) struct Fallback(AtomicU32);

impl Fallback {
    /// No default route.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Control's: another default route, or none.
    pub(crate) fn set(&self, group: u32) {
        self.0.store(group, Ordering::Release);
    }

    #[inline]
    pub(super) fn before(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// What `before` must still be for a walk in between that ended at nothing to mean it.
    #[inline]
    pub(super) fn after(&self) -> u32 {
        // The walk's loads come before this one, those of vector instructions too.
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed)
    }

    /// What a walk ends at, or the default.
    #[inline]
    pub(crate) fn under(&self, walk: impl Fn() -> u32) -> u32 {
        let before = self.before();
        let leaf = walk();
        if leaf != 0 || self.after() == before {
            return if leaf == 0 { before } else { leaf };
        }
        self.again(walk)
    }

    /// Each turn but the last is one in which control changed the default.
    #[cold]
    fn again(&self, walk: impl Fn() -> u32) -> u32 {
        loop {
            let (before, leaf) = (self.before(), walk());
            if leaf != 0 {
                return leaf;
            }
            if self.after() == before {
                return before;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_default_that_changes_during_a_walk_is_not_believed() {
        let default = Fallback::new();
        default.set(1);
        let turn = Cell::new(0);
        // A route comes after the first look at its place, then the default goes.
        let found = default.under(|| {
            turn.set(turn.get() + 1);
            default.set(0);
            if turn.get() == 1 { 0 } else { 7 }
        });
        assert_eq!((found, turn.get()), (7, 2));
        // The default comes, then the route goes.
        turn.set(0);
        let found = default.under(|| {
            turn.set(turn.get() + 1);
            default.set(2);
            0
        });
        assert_eq!((found, turn.get()), (2, 2));
        assert_eq!(default.under(|| 0), 2);
        assert_eq!(default.under(|| 9), 9);
    }
}

//! What control has unpublished and may use again once every reader has let go of it.

use crate::qsbr::Qsbr;
use std::collections::VecDeque;

/// A queue in order of epochs.
#[derive(Debug)]
pub(crate) struct Retired<T> {
    queue: VecDeque<(u64, T)>,
}

impl<T> Retired<T> {
    pub(crate) const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
        }
    }

    /// Puts away what was unpublished before `epoch` began.
    pub(crate) fn put(&mut self, epoch: u64, item: T) {
        self.queue.push_back((epoch, item));
    }

    /// The next thing that every reader has let go of.
    pub(crate) fn take_passed(&mut self, qsbr: &Qsbr) -> Option<T> {
        let &(epoch, _) = self.queue.front()?;
        if !qsbr.passed(epoch) {
            return None;
        }
        self.queue.pop_front().map(|(_, item)| item)
    }
}

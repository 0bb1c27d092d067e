//! Updates without end: random real prefixes are removed and, a thousand updates later, added again.

use super::super::router::Router;
use super::super::table::Route;
use std::collections::{HashSet, VecDeque};

/// Most routes that are gone at a time.
const GONE: usize = 1000;
/// Updates between two of control's ticks.
const TICK: u64 = 4096;

/// What an update was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    Deleted,
    Added,
}

/// Something whose routes can be changed one by one.
pub(super) trait Updates {
    /// Adds a route.
    fn add(&mut self, route: &Route) -> Result<(), String>;
    /// Deletes a route.
    fn delete(&mut self, route: &Route) -> Result<(), String>;
    /// What control does now and then.
    fn tick(&mut self);
}

impl Updates for Router {
    fn add(&mut self, route: &Route) -> Result<(), String> {
        self.add(route)
    }

    fn delete(&mut self, route: &Route) -> Result<(), String> {
        self.delete(route)
    }

    fn tick(&mut self) {
        self.tick();
    }
}

/// A random half of the routes, some of them gone. The other half stays, so that readers can be checked.
pub(super) struct Churn {
    pool: Vec<Route>,
    next: usize,
    gone: VecDeque<usize>,
    steps: u64,
}

impl Churn {
    /// Of a router that has all of `routes`.
    pub(super) fn new(routes: &[Route]) -> Self {
        let mut pool = routes.to_vec();
        fastrand::Rng::with_seed(11).shuffle(&mut pool);
        pool.truncate(routes.len().div_ceil(2));
        Self {
            pool,
            next: 0,
            gone: VecDeque::with_capacity(GONE + 1),
            steps: 0,
        }
    }

    /// The routes that come and go, in random order.
    pub(super) fn pool(&self) -> &[Route] {
        &self.pool
    }

    /// The prefixes of those.
    pub(super) fn prefixes(&self) -> HashSet<route::Prefix> {
        self.pool.iter().map(|route| route.prefix).collect()
    }

    /// One update: an addition if enough are gone, else a removal.
    pub(super) fn step(&mut self, router: &mut impl Updates) -> Result<Did, String> {
        self.steps += 1;
        if self.steps.is_multiple_of(TICK) {
            router.tick();
        }
        let enough = self.gone.len() >= GONE.min(self.pool.len() / 2).max(1);
        let oldest = self.gone.front().copied().filter(|_| enough);
        if let Some(index) = oldest {
            router.add(&self.pool[index])?;
            self.gone.pop_front();
            return Ok(Did::Added);
        }
        router.delete(&self.pool[self.next])?;
        self.gone.push_back(self.next);
        self.next = (self.next + 1) % self.pool.len();
        Ok(Did::Deleted)
    }

    /// Adds every route that is gone.
    pub(super) fn restore(&mut self, router: &mut impl Updates) -> Result<(), String> {
        while let Some(index) = self.gone.pop_front() {
            router.add(&self.pool[index])?;
        }
        router.tick();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::args::Model;
    use crate::routes::table::tests::small;

    #[test]
    fn routes_come_and_go_in_turns_and_all_come_back() {
        let routes = small().with_hops(Model::Iid).expect("a table");
        let mut router = Router::loaded(&routes).expect("room");
        let mut churn = Churn::new(&routes);
        let mut did = |router: &mut Router, n| -> Vec<Did> {
            (0..n)
                .map(|_| churn.step(router).expect("possible"))
                .collect()
        };
        assert!(did(&mut router, 900).iter().all(|did| *did == Did::Deleted));
        let later = did(&mut router, 9_000);
        assert!(later.windows(2).all(|w| w[0] != w[1]), "in turns");
        churn.restore(&mut router).expect("room");
        let prefixes: Vec<_> = router.control.routes().map(|info| info.prefix).collect();
        assert!(
            prefixes
                .iter()
                .copied()
                .eq(routes.iter().map(|route| route.prefix))
        );
    }
}

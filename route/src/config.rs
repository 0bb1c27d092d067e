//! Limits of the route tables.

use crate::ids::{FibId, NhopIdx};
use crate::nhgrp::MAX_BUCKETS;

/// Limits and defaults. Memory is taken as it is needed, up to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// FIBs, 1 to 16. Each takes less than 2 MB while it is empty.
    pub fibs: u8,
    /// Most next hops, at most 2^20 - 1.
    pub max_nhops: u32,
    /// Most next-hop groups, at most 2^20 - 1. Routes with equal next hops share one until they are changed.
    pub max_groups: u32,
    /// Buckets of a group of several next hops: a power of two (rounded up to one), at most 65,536. It is also
    /// the most members that a group can have, if below 1,024.
    pub default_buckets: u32,
    /// Most 64-byte lines that groups occupy (one a bucket, and one for every eight members), rounded down to
    /// a power of two.
    pub max_lines: u32,
    /// Most routes, a family, all FIBs together.
    pub max_routes: u32,
    /// Most bytes that the nodes of a family's table take, in each FIB.
    pub max_fib_bytes: usize,
    /// Places for QSBR readers: workers and the host.
    pub readers: usize,
    /// Idle timeout of flows without a pin, seconds: a remembered owner that is still used is kept up to four
    /// of these after it lost its bucket.
    pub idle: u32,
    /// Seconds after which an earlier owner is forgotten in any case: the longest idle timeout of any class
    /// of flows, or more. At most 48 days.
    pub remember: u32,
}

/// The longest that a 22-bit clock can tell.
const MOST_REMEMBER: u32 = (1 << 22) - 1;

impl Default for Config {
    fn default() -> Self {
        Self {
            fibs: 1,
            max_nhops: 65_535,
            max_groups: 65_535,
            default_buckets: 4096,
            max_lines: 1 << 22,
            max_routes: 1 << 21,
            max_fib_bytes: 256 << 20,
            readers: 1,
            idle: 300,
            remember: 86_400,
        }
    }
}

impl Config {
    /// The same, within what the words can hold.
    pub(crate) fn bounded(mut self) -> Self {
        self.fibs = self.fibs.clamp(1, FibId::MOST);
        self.max_nhops = self.max_nhops.clamp(1, NhopIdx::MAX.0);
        self.max_groups = self.max_groups.clamp(1, NhopIdx::MAX.0);
        self.default_buckets = self
            .default_buckets
            .clamp(1, MAX_BUCKETS)
            .next_power_of_two();
        self.max_lines = self.max_lines.max(2 * self.default_buckets);
        self.remember = self
            .remember
            .clamp(self.idle.min(MOST_REMEMBER), MOST_REMEMBER);
        self
    }
}

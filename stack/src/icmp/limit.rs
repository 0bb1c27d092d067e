//! Token buckets that bound what ICMP costs, and whom it can be turned against (RFC 4443 §2.4 (f)).
//!
//! Each class has a bucket, so a flood that draws one kind of error cannot silence another. Errors can also
//! be made to pass a bucket of their addressee ([`Limits::allow_to`]), so one sender cannot use up a class
//! alone. Redirects pass one of their own ([`Limits::allow_redirect`]): advice crowds out no error. What a message costs is
//! jittered around one token, because exact buckets can be counted from outside (a probe whose answers
//! run out early tells of others' traffic: the "SAD DNS" side channel, CVE-2020-25705).
//!
//! One set a worker, its own memory; the limits are thus a worker's. Overflow: refused and counted.

use super::told::Told;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::net::IpAddr;

/// Thousandths of a token: what a message costs on average.
const TOKEN: u64 = 1_000;
/// Cost of a message: uniform between these, [`TOKEN`] on average.
const COST_MIN: u64 = 500;
const COST_MAX: u64 = 1_500;
/// Buckets of addressees (/32, /64). Two that meet in one share it.
const SOURCES: usize = 256;

/// A long-term rate and how much may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages per second.
    pub per_second: u32,
    /// Messages after a long silence, on average (at most twice as many, by jitter). 0: none ever.
    pub burst: u32,
}

/// One token bucket on virtual milliseconds, with jitter from a seed.
#[derive(Clone, Debug)]
pub struct RateLimit {
    rate: Rate,
    /// Thousandths of tokens in the bucket.
    level: u64,
    /// When `level` was right.
    at_ms: u64,
    /// What the next message will cost.
    cost: u64,
    seed: u64,
}

impl RateLimit {
    /// A full bucket.
    pub fn new(per_second: u32, burst: u32, seed: u64) -> Self {
        let rate = Rate { per_second, burst };
        let mut limit = Self {
            rate,
            level: 0,
            at_ms: 0,
            cost: TOKEN,
            seed,
        };
        limit.level = limit.capacity();
        limit.cost = limit.draw();
        limit
    }

    /// Another rate from now on; what is in the bucket stays, as far as it holds it.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
        self.level = self.level.min(self.capacity());
    }

    /// Whether a message may be sent at `now_ms`, which it then has been. Time never goes back in here.
    pub fn allow(&mut self, now_ms: u64) -> bool {
        let elapsed = now_ms.saturating_sub(self.at_ms);
        // A rate of n tokens a second is n thousandths a millisecond.
        let gained = elapsed.saturating_mul(u64::from(self.rate.per_second));
        self.level = self.level.saturating_add(gained).min(self.capacity());
        self.at_ms = self.at_ms.max(now_ms);
        if self.level < self.cost {
            return false;
        }
        self.level -= self.cost;
        self.cost = self.draw();
        true
    }

    /// When the bucket will be full again if no message comes, ms.
    pub fn full_at(&self) -> u64 {
        let missing = self.capacity().saturating_sub(self.level);
        let rate = u64::from(self.rate.per_second);
        self.at_ms
            .saturating_add(missing.checked_div(rate).unwrap_or(0))
    }

    fn capacity(&self) -> u64 {
        match u64::from(self.rate.burst) * TOKEN {
            0 => 0,
            // The dearest message must fit, or the bucket would never open again.
            burst => burst.max(COST_MAX),
        }
    }

    /// The next cost: SplitMix64.
    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        COST_MIN + (z ^ (z >> 31)) % (COST_MAX - COST_MIN + 1)
    }
}

/// What is limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// Destination unreachable, but for "too big".
    Unreachable,
    /// TTL or hop limit used up.
    TimeExceeded,
    /// Fragmentation needed, packet too big.
    TooBig,
    /// Parameter problem.
    Param,
    /// Echo replies.
    Echo,
    /// Redirects.
    Redirect,
}

impl Class {
    /// Every class, in the order of their counters.
    pub const ALL: [Self; 6] = [
        Self::Unreachable,
        Self::TimeExceeded,
        Self::TooBig,
        Self::Param,
        Self::Echo,
        Self::Redirect,
    ];

    /// The word that listings use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimeExceeded => "time exceeded",
            Self::TooBig => "too big",
            Self::Param => "parameter problem",
            Self::Echo => "echo reply",
            Self::Redirect => "redirect",
        }
    }
}

/// The limits of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Each class of errors by itself.
    pub errors: Rate,
    /// Errors of all classes but redirects to one addressee (/32, /64).
    pub source: Rate,
    /// Redirects to one addressee (/32, /64).
    pub redirects: Rate,
    /// How long a host is told nothing more of a destination of which it was told, ms.
    pub redirect_again_ms: u64,
    /// Echo replies.
    pub echo: Rate,
}

impl Default for Rates {
    /// Errors 1,000/s a class (Linux `icmp_msgs_per_sec`), 100/s an addressee; redirects 20/s an addressee, one of them
    /// a second about one destination; echo 10,000/s.
    fn default() -> Self {
        Self {
            errors: Rate {
                per_second: 1_000,
                burst: 200,
            },
            source: Rate {
                per_second: 100,
                burst: 50,
            },
            redirects: Rate {
                per_second: 20,
                burst: 50,
            },
            redirect_again_ms: 1_000,
            echo: Rate {
                per_second: 10_000,
                burst: 2_000,
            },
        }
    }
}

/// Messages of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Allowed, so sent.
    pub sent: u64,
    /// Refused by the class's bucket or the addressee's.
    pub limited: u64,
}

/// The buckets and counters of one worker.
#[derive(Clone, Debug)]
pub struct Limits {
    classes: [RateLimit; Class::ALL.len()],
    counts: [Count; Class::ALL.len()],
    sources: Box<[RateLimit]>,
    redirects: Box<[RateLimit]>,
    told: Told,
    seed: u64,
}

impl Limits {
    /// Full buckets. `seed` is a secret of this worker: it decides jitter and who shares a bucket.
    pub fn new(rates: Rates, seed: u64) -> Self {
        let bucket = |rate: Rate, i: usize| {
            RateLimit::new(
                rate.per_second,
                rate.burst,
                seed ^ (i as u64 + 1).rotate_right(8),
            )
        };
        Self {
            classes: Class::ALL.map(|class| {
                bucket(
                    if class == Class::Echo {
                        rates.echo
                    } else {
                        rates.errors
                    },
                    class as usize,
                )
            }),
            counts: [Count::default(); Class::ALL.len()],
            sources: (0..SOURCES)
                .map(|i| bucket(rates.source, 256 + i))
                .collect(),
            redirects: (0..SOURCES)
                .map(|i| bucket(rates.redirects, 256 + SOURCES + i))
                .collect(),
            told: Told::new(rates.redirect_again_ms, seed),
            seed,
        }
    }

    /// Other rates from now on.
    pub fn set_rates(&mut self, rates: Rates) {
        for class in Class::ALL {
            let rate = if class == Class::Echo {
                rates.echo
            } else {
                rates.errors
            };
            self.classes[class as usize].set_rate(rate);
        }
        self.sources
            .iter_mut()
            .for_each(|limit| limit.set_rate(rates.source));
        self.redirects
            .iter_mut()
            .for_each(|limit| limit.set_rate(rates.redirects));
        self.told.set_pause(rates.redirect_again_ms);
    }

    /// Whether a message of this class may be sent at `now_ms`, whoever it goes to; counted either way.
    pub fn allow(&mut self, class: Class, now_ms: u64) -> bool {
        let allowed = self.classes[class as usize].allow(now_ms);
        self.count_one(class, allowed)
    }

    /// As [`Self::allow`], and only if `to` has not had its share of errors: one sender cannot use a class up alone.
    pub fn allow_to(&mut self, class: Class, to: IpAddr, now_ms: u64) -> bool {
        let share = self.share(to);
        if self.sources[share].allow(now_ms) {
            return self.allow(class, now_ms);
        }
        self.count_one(class, false)
    }

    /// Whether `to` may be sent a redirect about `dst`: seldom of one destination, in a bucket that errors do not share
    /// (RFC 1812 §4.3.2.8, RFC 4861 §8.2).
    pub fn allow_redirect(&mut self, to: IpAddr, dst: IpAddr, now_ms: u64) -> bool {
        let pair = self.told.pair(to, dst);
        let share = self.share(to);
        let fresh = !self.told.lately(pair, now_ms);
        if !fresh || !self.redirects[share].allow(now_ms) {
            return self.count_one(Class::Redirect, false);
        }
        let allowed = self.allow(Class::Redirect, now_ms);
        if allowed {
            self.told.note(pair, now_ms);
        }
        allowed
    }

    fn count_one(&mut self, class: Class, allowed: bool) -> bool {
        let count = &mut self.counts[class as usize];
        if allowed {
            count.sent += 1;
        } else {
            count.limited += 1;
        }
        allowed
    }

    /// When a class's bucket will be full again, ms.
    pub fn full_at(&self, class: Class) -> u64 {
        self.classes[class as usize].full_at()
    }

    /// Messages of a class since the start.
    pub fn count(&self, class: Class) -> Count {
        self.counts[class as usize]
    }

    /// The addressee's bucket. An IPv6 host has a whole /64 to send from.
    fn share(&self, to: IpAddr) -> usize {
        let network = match to {
            IpAddr::V4(addr) => u64::from(addr.to_bits()),
            IpAddr::V6(addr) => (addr.to_bits() >> 64) as u64,
        };
        let mut hasher = SipHasher13::new_with_keys(self.seed, u64::from(to.is_ipv6()));
        hasher.write_u64(network);
        (hasher.finish() as usize) % SOURCES
    }
}

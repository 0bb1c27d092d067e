//! ICMP and ICMPv6 as a router speaks them: errors about packets in transit, echo for its own addresses.
//!
//! * [`build_error`] writes a whole error packet that quotes the offender's own bytes, not a copy rebuilt
//!   from fields, so the sender finds its socket by them (RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)).
//! * [`may_answer`] says whether an error may be sent at all (RFC 1812 §4.3.2.7, RFC 4443 §2.4 (e)).
//! * [`Limits`] says whether it may be sent *now* (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).
//! * [`advice`] says who is told of a better first hop (RFC 1812 §5.2.7.2, RFC 4861 §8.2).
//! * [`echo_reply`] turns an echo request into its reply where it stands.
//!
//! In that order: the pure check first, the bucket after it, and only then a packet is taken from the pool.
//! Everything here runs on a worker, on its own memory, with time and seed handed in; nothing allocates.
//! Source quench is never sent (RFC 6633), nor timestamp and address mask replies.

mod echo;
mod error;
mod limit;
mod owed;
pub(crate) mod own;
mod redirect;
#[cfg(test)]
mod tests;
mod told;

pub use echo::echo_reply;
pub(crate) use echo::echo_reply_to;
pub use error::{Error, build_error, finish_quote, may_answer};
pub use limit::{Class, Count, Limits, Rate, RateLimit, Rates};
pub use owed::owed;
pub use redirect::{Advice, advice};

/// TTL and hop limit of the packets that this box makes (RFC 1700's default; FreeBSD's `ip_defttl`).
pub const TTL: u8 = 64;

//! Prefixes, RIB, next hops, next-hop groups, FIB, stamps and their publication.
#![forbid(unsafe_code)]

mod chunks;
mod fib;
mod ids;
mod qsbr;
mod sync;

pub use ids::{GroupId, NhopGen, NhopIdx, PIN_FIELD_BITS, Pin, PortId, Secs};
pub use qsbr::{Qsbr, Reader};

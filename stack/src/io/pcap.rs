//! Captures as ports: a gateway off-line, as fast as it goes or by the capture's own times.
//!
//! A [`PcapQueue`] receives what a capture holds, once the [`PlayTime`] has come to it, and writes down what the gateway
//! sends. Who plays sets the time, which is the gateway's only clock; so a trace of an hour takes as long as its packets
//! do, and comes out the same each time. Nobody answers in a capture, so a port can answer for neighbours itself.
//!
//! For tests and for studying traces: a record costs an allocation.

mod answer;
mod queue;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use queue::{Manner, PcapQueue, PlayTime, Played, Records};
pub use read::{
    BYTE_ORDER, BadCapture, Capture, ENHANCED, ETHERNET, INTERFACE, Interface, Record, SECTION,
    is_capture,
};
pub use write::Writer;

//! The control socket's side of the gateway: who may call, and what each call does.
//!
//! ```text
//! listener thread ── accepts, checks the peer ──▶ client thread (bounded) ── jobs ──▶ control thread
//!                                                   reads, answers                      owns the Backend
//! ```
//!
//! Invariants: a client can harm nobody but itself (its thread, its bounded buffers, its timeouts); the control thread
//! never waits for a client; no message, however broken, ends anything but its own connection.
//! Concurrency: [`control::Handle`] is the only way from a client's thread to the [`Backend`].

mod backend;
mod batch;
mod capture;
mod client;
pub mod control;
mod groups;
mod listener;
mod methods;
mod peer;
mod socket;
mod truth;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
pub(crate) mod tests;

pub use backend::Answer;
pub use backend::Backend;
pub use backend::Capturing;
pub use backend::Pending;
pub use backend::Pinging;
pub use backend::Reading;
pub use backend::ready;
pub use batch::Batch;
pub use batch::BatchNews;
pub use batch::Slice;
pub use batch::Ticket;
pub use control::unix_ms;
pub use listener::Bound;
pub use listener::Server;
pub use socket::ServeError;
pub use socket::SocketSpec;
pub use truth::Copying;
pub use truth::Foreseeing;
pub use truth::Foreseen;
pub use truth::Obeyed;
pub use truth::Order;

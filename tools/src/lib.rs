//! Flowgate's daemon and command line: everything between a terminal, a file or another program and the gateway in
//! the `stack` crate.
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | the control protocol: frames, envelopes, the types of every call |
//! | [`server`] | the control socket: who may call, a thread a client, the control thread |
//! | [`client`] | the other end of the socket |
//! | [`cli`] | `route`, `arp`, `ndp`, `netstat`, `flow`, `status`: words in, tables out |
//! | [`capture`] | filters and lines of captured packets |
//! | [`pcap`] | capture files: pcap and pcapng |
//! | [`routefile`] | files of routes: text, MRT, gzip |
//! | [`config`] | `flowgate.toml`: read, checked, typed |
//! | [`daemon`] | `flowgate run`: from a configuration to a gateway that is served |
//! | [`demo`] | `flowgate demo` |
//!
//! Nothing here is on the way of a packet.

#![forbid(unsafe_code)]

pub mod capture;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod pcap;
pub mod routefile;
pub mod server;
#[cfg(test)]
mod testing;
pub mod wire;

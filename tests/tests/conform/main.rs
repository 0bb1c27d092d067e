//! What a gateway must do with a packet, line by line: each test is named after its line of `docs/CONFORMANCE.md`.

mod addresses;
mod arp;
mod echo;
mod flows;
mod fragments;
mod icmp;
mod ipv6;
mod nd;
mod options;
mod own;
mod redirect;
mod rpf;
mod table;
mod ttl;
mod validation;

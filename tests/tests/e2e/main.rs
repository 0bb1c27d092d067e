//! The program with real kernels, servers and tools, in network namespaces.

mod adverts;
mod daemon;
mod flows;
mod judge;
mod lab;
mod mrt;
mod offload;
mod packet;
mod path;
mod ports;
mod recursive;
mod replay;
mod security;
mod steering;
mod tables;
mod vectors;
mod vlan;
mod xdp;

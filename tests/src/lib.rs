//! What the tests share: a gateway in virtual time, a simulated network, packet builders, oracles.
//!
//! | file | what it is |
//! |---|---|
//! | [`chaos`] | a gateway and a network of chance, for hours, and what must hold |
//! | [`conform`] | conformance cases: packets in, packets out, counters; kept as text in `tests/vectors` |
//! | [`counting`] | an allocator that counts |
//! | [`devices`] | what every kind of port must do |
//! | [`sim`] | a whole gateway polled by hand, with in-memory ports |
//! | [`frames`] | packets and frames, built and read |
//! | [`lab`] | real kernels in network namespaces |
//! | [`live`] | conformance cases played against a gateway that runs |
//! | [`net`] | a simulated network around it: links, hosts, one queue of events |
//! | [`rack`] | servers as hardware addresses, and the oracle of the pin rules |
//! | [`supers`] | super-packets and unfinished checksums, and who judges what was made of them |

pub mod chaos;
pub mod conform;
pub mod counting;
pub mod devices;
pub mod frames;
pub mod lab;
pub mod live;
pub mod net;
pub mod rack;
pub mod sim;
pub mod supers;

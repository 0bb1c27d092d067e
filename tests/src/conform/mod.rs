//! Conformance: one behaviour, one case: packets in, the very bytes out, the very counters.
//!
//! A [`Case`] is written in a few lines by a test that bears its name, played against a gateway in virtual time, and
//! kept as a text file in `tests/vectors`, so that other gateways can be tested by it (`tests/vectors/README.md` has
//! the format and the network that every case happens in). The test fails if what it says and the file differ;
//! `FLOWGATE_VECTORS=write` writes the file anew. A [`Vector`] is what such a file holds.
//!
//! | file | what it is |
//! |---|---|
//! | `case.rs` | how a test says what happens |
//! | `count.rs` | every counter by name |
//! | `packets.rs` | the packets that cases are made of |
//! | `pieces.rs` | fragmentation, for what must leave |
//! | `play.rs` | the network of all cases, and the gateway in it |
//! | `vector.rs` | a case as text |

mod case;
mod count;
mod packets;
mod pieces;
pub(crate) mod play;
pub(crate) mod vector;

pub use case::Case;
pub use count::{Growth, counted};
pub use packets::{
    Arp, Error, GATEWAY, GATEWAY6, Nd, WEST_MAC, bare, client, datagram, datagram_of, error,
    from_rack, hop, ip4, server, to_rack, to_west,
};
pub use pieces::cut;
pub use play::{PORTS, play};
pub use vector::{Step, Vector};

/// A case that is named after the test that it stands in: what happens, and the document that asks for it.
#[macro_export]
macro_rules! case {
    ($about:literal) => {{
        fn here() {}
        $crate::conform::Case::new(std::any::type_name_of_val(&here), $about)
    }};
}

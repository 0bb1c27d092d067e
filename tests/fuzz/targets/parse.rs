//! The headers of a packet, and what an ICMP error quotes: read without harm, and every place named lies in the packet.

use stack::parse::{is_icmp_error, read};

pub(crate) fn run(data: &[u8]) {
    let Ok(meta) = read(data) else {
        return;
    };
    assert!(usize::from(meta.l4_off) <= data.len(), "{meta:?}");
    let _ = is_icmp_error(&meta, data);
    // Both ends exchanged twice are as they were.
    assert_eq!(meta.addrs.exchanged().exchanged(), meta.addrs);
    assert_eq!(meta.tuple.exchanged().exchanged(), meta.tuple);
}

//! Capture files: [`Writer`] writes pcapng, [`packet`] finds one packet in a file of any kind that `replay` reads.

mod write;

pub use write::Block;
pub use write::Link;
pub use write::Writer;

use stack::io::pcap::Capture;
use stack::io::pcap::is_capture;
use std::cmp::Ordering;

/// A packet of a capture file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Whether it begins with an Ethernet header; else with the IP header.
    pub ether: bool,
    /// Its bytes, as far as they were captured.
    pub bytes: Vec<u8>,
}

/// The `number`th packet, from 1, as other programs count the records of a capture. `None`: this is no capture file.
///
/// # Errors
/// One line: the file is cut short or damaged, has fewer packets, they begin with something else than Ethernet or IP, or this
/// record is no packet.
pub fn packet(file: &[u8], number: usize) -> Result<Option<Captured>, String> {
    if !is_capture(file) {
        return Ok(None);
    }
    let mut capture = Capture::open(file).map_err(|bad| bad.to_string())?;
    let mut bytes = Vec::new();
    while let Some(record) = capture.next(&mut bytes).map_err(|bad| bad.to_string())? {
        match capture.frames().cmp(&number) {
            Ordering::Less => {}
            Ordering::Equal => {
                let ether = record.ether;
                return Ok(Some(Captured { ether, bytes }));
            }
            Ordering::Greater => break,
        }
    }
    Err(match capture.frames() {
        0 => "the capture has no packet".into(),
        packets if packets < number => format!("packet {number}: the capture has {packets}"),
        _ => format!("packet {number}: that record is no packet but a change that flowgate noted"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(big: bool, link: u32, packets: &[&[u8]]) -> Vec<u8> {
        let word = |n: u32| {
            if big {
                n.to_be_bytes()
            } else {
                n.to_le_bytes()
            }
        };
        let header = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65535, link];
        let mut file: Vec<u8> = header.into_iter().flat_map(word).collect();
        for packet in packets {
            let len = packet.len() as u32;
            file.extend([0, 0, len, len].into_iter().flat_map(word));
            file.extend_from_slice(packet);
        }
        file
    }

    fn blocks(link: u32, packets: &[&[u8]]) -> Vec<u8> {
        fn block(kind: u32, body: &[u8]) -> Vec<u8> {
            let len = (12 + body.len()) as u32;
            let mut all = [kind.to_le_bytes(), len.to_le_bytes()].concat();
            all.extend_from_slice(body);
            all.extend(len.to_le_bytes());
            all
        }
        let words = |all: &[u32]| {
            all.iter()
                .flat_map(|n| n.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
        file.extend(block(1, &words(&[link, 0])));
        for packet in packets {
            let len = packet.len() as u32;
            let mut body = words(&[0, 0, 0, len, len]);
            body.extend_from_slice(packet);
            body.resize(body.len().next_multiple_of(4), 0);
            file.extend(block(6, &body));
        }
        file
    }

    #[test]
    fn the_nth_packet_is_found_in_either_format_and_byte_order() {
        let packets: [&[u8]; 3] = [b"first", b"", b"third"];
        for file in [
            classic(false, 1, &packets),
            classic(true, 1, &packets),
            blocks(1, &packets),
        ] {
            for (number, bytes) in (1..).zip(packets) {
                let found = packet(&file, number).unwrap().unwrap();
                let bytes = bytes.to_vec();
                assert_eq!(found, Captured { ether: true, bytes });
            }
            assert_eq!(packet(&file, 4).unwrap_err(), "packet 4: the capture has 3");
        }
        let raw = blocks(101, &packets);
        assert!(!packet(&raw, 1).unwrap().unwrap().ether);
        let other = packet(&classic(false, 113, &packets), 1).unwrap_err();
        assert!(other.contains(": link type 113"), "{other}");
        assert_eq!(packet(b"4500001c", 1).unwrap(), None);
        assert_eq!(packet(b"", 1).unwrap(), None);
    }
}

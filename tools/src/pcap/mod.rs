//! Capture files: the classic pcap format and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).
//!
//! [`Writer`] writes pcapng. [`packet`] finds one packet in a file of either, whichever byte order it has. It believes no length: whatever the bytes
//! are, the worst that comes of them is a line that says where they make no sense.

mod write;

pub use write::Block;
pub use write::Link;
pub use write::Writer;

/// A packet of a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Whether it begins with an Ethernet header; else with the IP header.
    pub ether: bool,
    /// Its bytes, as far as they were captured.
    pub bytes: &'a [u8],
}

/// Link types (LINKTYPE_...) that are read: Ethernet; bare IP, in the numbers that it has got over time.
const ETHERNET: u32 = 1;
const RAW: [u32; 5] = [12, 14, 101, 228, 229];

/// Block types of pcapng.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// The `number`th packet, from 1. `None`: this is no capture file.
///
/// # Errors
/// One line: the file is cut short or damaged, has fewer packets, or they begin with something else than Ethernet or IP.
pub fn packet(file: &[u8], number: usize) -> Result<Option<Captured<'_>>, String> {
    let Some(first) = file.first_chunk::<4>() else {
        return Ok(None);
    };
    let found = match (u32::from_le_bytes(*first), u32::from_be_bytes(*first)) {
        (SECTION, _) => of_blocks(file, number)?,
        (0xa1b2_c3d4 | 0xa1b2_3c4d, _) => of_records(file, number, u32::from_le_bytes)?,
        (_, 0xa1b2_c3d4 | 0xa1b2_3c4d) => of_records(file, number, u32::from_be_bytes)?,
        _ => return Ok(None),
    };
    match found {
        Found::Packet { link, bytes } => captured(link, bytes).map(Some),
        Found::Only(0) => Err("the capture has no packet".into()),
        Found::Only(packets) => Err(format!("packet {number}: the capture has {packets}")),
    }
}

/// What a search found: the packet, or how many there are.
enum Found<'a> {
    Packet { link: u32, bytes: &'a [u8] },
    Only(usize),
}

fn captured(link: u32, bytes: &[u8]) -> Result<Captured<'_>, String> {
    match link {
        ETHERNET => Ok(Captured { ether: true, bytes }),
        link if RAW.contains(&link) => Ok(Captured {
            ether: false,
            bytes,
        }),
        link => Err(format!(
            "link type {link}: only Ethernet (1) and bare IP (101, 228, 229) are read"
        )),
    }
}

type Read32 = fn([u8; 4]) -> u32;

/// 32 bits at a place.
fn word(bytes: &[u8], at: usize, read: Read32) -> Option<u32> {
    Some(read(*bytes.get(at..)?.first_chunk::<4>()?))
}

fn of_records(file: &[u8], number: usize, read: Read32) -> Result<Found<'_>, String> {
    let link = word(file, 20, read).ok_or("the capture's header is cut short")? & 0xffff;
    let (mut at, mut count) = (24, 0);
    while at < file.len() {
        let cut = || format!("packet {} is cut short", count + 1);
        let len = word(file, at + 8, read).ok_or_else(cut)? as usize;
        let bytes = file.get(at + 16..).and_then(|rest| rest.get(..len));
        let bytes = bytes.ok_or_else(cut)?;
        count += 1;
        if count == number {
            return Ok(Found::Packet { link, bytes });
        }
        at += 16 + len;
    }
    Ok(Found::Only(count))
}

/// Where a reader of pcapng is.
struct Blocks<'a> {
    rest: &'a [u8],
    read: Read32,
    /// The link types of this section's interfaces.
    links: Vec<u32>,
}

fn of_blocks(file: &[u8], number: usize) -> Result<Found<'_>, String> {
    let mut blocks = Blocks {
        rest: file,
        read: u32::from_le_bytes,
        links: Vec::new(),
    };
    let mut count = 0;
    while !blocks.rest.is_empty() {
        if let Some((link, bytes)) = blocks.next(count + 1)? {
            count += 1;
            if count == number {
                return Ok(Found::Packet { link, bytes });
            }
        }
    }
    Ok(Found::Only(count))
}

impl<'a> Blocks<'a> {
    /// Reads one block; gives the packet that is in it.
    fn next(&mut self, number: usize) -> Result<Option<(u32, &'a [u8])>, String> {
        let broken = || format!("the capture is damaged before packet {number}");
        let rest = self.rest;
        let kind = word(rest, 0, self.read).ok_or_else(broken)?;
        if kind == SECTION {
            self.read = match word(rest, 8, u32::from_le_bytes).ok_or_else(broken)? {
                BYTE_ORDER => u32::from_le_bytes,
                _ => u32::from_be_bytes,
            };
            self.links.clear();
        }
        let len = word(rest, 4, self.read).ok_or_else(broken)? as usize;
        if len < 12 || !len.is_multiple_of(4) || len > rest.len() {
            return Err(broken());
        }
        let (block, rest) = rest.split_at(len);
        self.rest = rest;
        let body = block.get(8..len - 4).ok_or_else(broken)?;
        match kind {
            INTERFACE => {
                self.links
                    .push(word(body, 0, self.read).ok_or_else(broken)? & 0xffff);
                Ok(None)
            }
            ENHANCED => {
                let interface = word(body, 0, self.read).ok_or_else(broken)?;
                let len = word(body, 12, self.read).ok_or_else(broken)?;
                self.packet(interface, body.get(20..), len)
                    .map(Some)
                    .ok_or_else(broken)
            }
            SIMPLE => {
                let len = word(body, 0, self.read).ok_or_else(broken)?;
                let whole = body.get(4..).unwrap_or_default();
                let len = len.min(whole.len() as u32);
                self.packet(0, Some(whole), len)
                    .map(Some)
                    .ok_or_else(broken)
            }
            _ => Ok(None),
        }
    }

    fn packet(&self, interface: u32, from: Option<&'a [u8]>, len: u32) -> Option<(u32, &'a [u8])> {
        let link = self.links.get(interface as usize)?;
        Some((*link, from?.get(..len as usize)?))
    }
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
        let mut file = block(SECTION, &words(&[BYTE_ORDER, 1, u32::MAX, u32::MAX]));
        file.extend(block(INTERFACE, &words(&[link, 0])));
        for packet in packets {
            let len = packet.len() as u32;
            let mut body = words(&[0, 0, 0, len, len]);
            body.extend_from_slice(packet);
            body.resize(body.len().next_multiple_of(4), 0);
            file.extend(block(ENHANCED, &body));
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
                assert_eq!(found, Captured { ether: true, bytes });
            }
            assert_eq!(packet(&file, 4).unwrap_err(), "packet 4: the capture has 3");
        }
        let raw = blocks(101, &packets);
        assert!(!packet(&raw, 1).unwrap().unwrap().ether);
        let other = packet(&classic(false, 113, &packets), 1).unwrap_err();
        assert!(other.starts_with("link type 113"), "{other}");
        assert_eq!(packet(b"4500001c", 1).unwrap(), None);
        assert_eq!(packet(b"", 1).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_told_and_never_believed() {
        let packets: [&[u8]; 2] = [b"one packet", b"another"];
        for file in [
            classic(false, 1, &packets),
            classic(true, 101, &packets),
            blocks(1, &packets),
        ] {
            for cut in 0..file.len() {
                let _ = packet(&file[..cut], 2)
                    .unwrap_or_default()
                    .map(|found| found.bytes.len());
            }
            let mut rng = fastrand::Rng::with_seed(7);
            for _ in 0..20_000 {
                let mut bad = file.clone();
                let at = rng.usize(..bad.len());
                bad[at] = rng.u8(..);
                let _ = packet(&bad, 2);
            }
        }
    }
}

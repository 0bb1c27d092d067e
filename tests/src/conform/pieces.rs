//! Fragmentation as RFC 791 §3.2 and RFC 8200 §4.5 describe it, written apart from the gateway's own.

use crate::net::craft::fix_header;

/// The IPv4 packet, or piece of one, as it leaves by a link with this MTU.
pub fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    if packet.len() <= mtu {
        return vec![packet.to_vec()];
    }
    let header = usize::from(packet[0] & 15) * 4;
    let later = copied(&packet[..header]);
    let word = u16::from_be_bytes([packet[6], packet[7]]);
    let (flags, more) = (word & 0xc000, word & 0x2000 != 0);
    let mut offset = usize::from(word & 0x1fff);
    let (mut rest, mut front, mut pieces) = (&packet[header..], &packet[..header], Vec::new());
    while !rest.is_empty() {
        let room = (mtu - front.len()) / 8 * 8;
        let (part, after) = rest.split_at(rest.len().min(room));
        let more = more || !after.is_empty();
        let mut piece = [front, part].concat();
        let len = piece.len() as u16;
        piece[2..4].copy_from_slice(&len.to_be_bytes());
        let word = flags | u16::from(more) << 13 | offset as u16;
        piece[6..8].copy_from_slice(&word.to_be_bytes());
        fix_header(&mut piece);
        pieces.push(piece);
        (rest, front, offset) = (after, &later, offset + part.len() / 8);
    }
    pieces
}

/// The header of later pieces: only options with the copied flag.
fn copied(header: &[u8]) -> Vec<u8> {
    let (mut later, mut options) = (header[..20].to_vec(), &header[20..]);
    while let [kind, rest @ ..] = options {
        let len = match kind {
            0 => break,
            1 => 1,
            _ => usize::from(rest[0]),
        };
        if kind & 0x80 != 0 {
            later.extend_from_slice(&options[..len]);
        }
        options = &options[len..];
    }
    while later.len() % 4 != 0 {
        later.push(0);
    }
    later[0] = 0x40 | (later.len() / 4) as u8;
    later
}

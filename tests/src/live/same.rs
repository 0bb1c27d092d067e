//! Whether a frame is the one that a vector names, but for what each gateway chooses for itself or reads off a clock: the
//! identification of its own IPv4 errors and of its own IPv6 pieces, and times in IPv4 Timestamp options.

use std::net::Ipv6Addr;

/// The addresses by which the gateway sends pieces of its own.
const OWN6: [&str; 4] = ["fd10::1", "fd00:2::1", "fd00:3::1", "fe80::1"];
const TIMESTAMP: u8 = 68;

/// Whether they are the same, and the frame's IPv4 header is sound where its checksum may differ.
pub(super) fn same(port: &str, got: &[u8], wanted: &[u8]) -> bool {
    let at = if port == "clients" { 0 } else { 14 };
    let (mut got, mut wanted) = (got.to_vec(), wanted.to_vec());
    for frame in [&mut got, &mut wanted] {
        if let Some(packet) = frame.get_mut(at..)
            && !blank(packet)
        {
            return false;
        }
    }
    got == wanted
}

/// Blanks what may differ; false if what guarded it is wrong.
fn blank(packet: &mut [u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => blank4(packet),
        Some(6) => {
            blank6(packet);
            true
        }
        _ => true,
    }
}

fn blank4(packet: &mut [u8]) -> bool {
    let len = packet
        .first()
        .map_or(0, |first| usize::from(first & 15) * 4);
    let Some(proto) = packet
        .get(9)
        .copied()
        .filter(|_| (20..=packet.len()).contains(&len))
    else {
        return true;
    };
    let kind = packet.get(len).copied().filter(|_| proto == 1);
    let error = matches!(kind, Some(3 | 5 | 11 | 12));
    let (header, _) = packet.split_at_mut(len);
    let sound = stack::checksum::sum(header) == 0xffff;
    let times = times(header);
    if error {
        header[4..6].fill(0);
    }
    times.iter().for_each(|&at| header[at..at + 4].fill(0));
    if error || !times.is_empty() {
        header[10..12].fill(0);
        return sound;
    }
    true
}

/// Where the times of a header's Timestamp option are.
fn times(header: &[u8]) -> Vec<usize> {
    let mut at = 20;
    while let Some(&kind) = header.get(at) {
        let len = match (kind, header.get(at + 1)) {
            (0, _) | (_, None | Some(0)) => break,
            (1, _) => 1,
            (_, Some(&len)) => usize::from(len),
        };
        if kind == TIMESTAMP && at + len <= header.len() {
            let (first, step) = match header.get(at + 3).map(|flags| flags & 15) {
                Some(0) => (4, 4),
                _ => (8, 8),
            };
            let places = (first..len.saturating_sub(3)).step_by(step);
            return places.map(|place| at + place).collect();
        }
        at += len;
    }
    Vec::new()
}

fn blank6(packet: &mut [u8]) {
    let own = packet
        .get(8..24)
        .and_then(|src| <[u8; 16]>::try_from(src).ok())
        .map(|src| Ipv6Addr::from(src).to_string());
    let ours = own.is_some_and(|own| OWN6.contains(&own.as_str()));
    if ours && packet.get(6) == Some(&44) {
        packet
            .iter_mut()
            .skip(44)
            .take(4)
            .for_each(|byte| *byte = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(packet: &mut [u8], len: usize) {
        packet[10..12].fill(0);
        let sum = !stack::checksum::sum(&packet[..len]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    fn icmp(id: u8, kind: u8, code: u8) -> Vec<u8> {
        let mut packet = vec![0; 56];
        (packet[0], packet[3], packet[5], packet[9]) = (0x45, 56, id, 1);
        (packet[20], packet[21]) = (kind, code);
        fill(&mut packet, 20);
        packet
    }

    #[test]
    fn only_an_errors_own_identification_is_left_out() {
        assert!(same("clients", &icmp(1, 3, 0), &icmp(2, 3, 0)));
        assert!(!same("clients", &icmp(1, 3, 0), &icmp(2, 3, 1)));
        assert!(!same("clients", &icmp(1, 0, 0), &icmp(2, 0, 0)));
        let framed = |id| [vec![2; 14], icmp(id, 3, 0)].concat();
        assert!(same("rack", &framed(1), &framed(2)));
        assert!(same("rack", &[1, 2], &[1, 2]) && !same("rack", &[1, 2], &[1, 3]));
    }

    #[test]
    fn a_checksum_that_is_not_compared_must_be_right() {
        let mut bad = icmp(1, 3, 0);
        bad[10] ^= 1;
        assert!(!same("clients", &bad, &icmp(2, 3, 0)));
    }

    #[test]
    fn the_clock_of_a_timestamp_option_is_left_out_and_its_addresses_are_not() {
        let packet = |flags: u8, words: [u8; 2]| {
            let mut packet = vec![0; 32];
            (packet[0], packet[3], packet[9]) = (0x48, 32, 17);
            packet[20..24].copy_from_slice(&[TIMESTAMP, 12, 13, flags]);
            (packet[24], packet[28]) = (words[0], words[1]);
            fill(&mut packet, 32);
            packet
        };
        assert!(same("clients", &packet(0, [1, 2]), &packet(0, [3, 4])));
        assert!(same("clients", &packet(1, [1, 2]), &packet(1, [1, 4])));
        assert!(!same("clients", &packet(1, [1, 2]), &packet(1, [3, 2])));
    }
}

//! A record as a line, much as tcpdump writes one.

use super::Headers;
use super::Tag;
use crate::wire::capture::CaptureRecord;
use crate::wire::capture::Direction;
use crate::wire::protocol;
use std::net::IpAddr;

/// The line of a packet: when, by which port and way, what became of it, and what it is.
pub fn line(record: &CaptureRecord, headers: &Headers) -> String {
    let way = match record.direction {
        Direction::In => "in ",
        Direction::Out => "out",
    };
    let verdict = match &record.reason {
        Some(reason) => format!("{} {reason}", record.verdict),
        None => record.verdict.clone(),
    };
    let (clock, port) = (clock(record.time), &record.port);
    format!(
        "{clock} {port} {way} {verdict}: {}{}, length {}",
        tags(headers),
        what(headers),
        record.length
    )
}

/// The VLANs of the tags that a frame still bears.
fn tags(of: &Headers) -> String {
    let name = |tag: &Tag| match tag.provider {
        true => format!("802.1ad {} ", tag.vid),
        false => format!("vlan {} ", tag.vid),
    };
    of.vlans.iter().flatten().map(name).collect()
}

/// The time of day, UTC.
pub fn clock(ms: u64) -> String {
    let (second, ms) = (ms / 1000 % 86_400, ms % 1000);
    format!(
        "{:02}:{:02}:{:02}.{ms:03}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn what(of: &Headers) -> String {
    let family = match of.ethertype {
        0x0800 => "IP",
        0x86dd => "IP6",
        0x0806 => return "ARP".to_owned(),
        0 => return "no header".to_owned(),
        other => return format!("ethertype 0x{other:04x}"),
    };
    let Some((src, dst)) = of.ends else {
        return format!("{family}, cut short");
    };
    let (from, to) = match of.ports {
        Some((sport, dport)) => (end(src, sport), end(dst, dport)),
        None => (src.to_string(), dst.to_string()),
    };
    let name = of.protocol.map_or_else(String::new, protocol::name);
    let more = match (of.flags, of.icmp) {
        _ if of.piece => " piece".to_owned(),
        (Some(flags), _) => format!(" Flags [{}]", letters(flags)),
        (_, Some((kind, code))) => format!(" type {kind} code {code}"),
        _ => String::new(),
    };
    format!("{family} {from} > {to}: {name}{more}")
}

/// An end as tcpdump writes it.
fn end(addr: IpAddr, port: u16) -> String {
    format!("{addr}.{port}")
}

fn letters(flags: u8) -> String {
    let known = [
        (2, 'S'),
        (1, 'F'),
        (4, 'R'),
        (8, 'P'),
        (32, 'U'),
        (64, 'E'),
        (128, 'W'),
        (16, '.'),
    ];
    let set: String = known
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, letter)| *letter)
        .collect();
    if set.is_empty() {
        "none".to_owned()
    } else {
        set
    }
}

#[cfg(test)]
mod tests {
    use super::super::headers;
    use super::super::tests::segment;
    use super::*;

    #[test]
    fn a_packet_is_one_line() {
        let record = CaptureRecord {
            time: 1_795_218_141_007,
            worker: 0,
            port: "uplink".into(),
            direction: Direction::In,
            verdict: "drop".into(),
            reason: Some("ips_ttlexpired".into()),
            length: 40,
            bytes: String::new(),
            bare: true,
        };
        assert_eq!(
            line(&record, &headers(&segment(), false)),
            "23:42:21.007 uplink in  drop ips_ttlexpired: IP 10.0.0.2.1234 > 203.0.113.10.80: tcp Flags [S], length 40"
        );
        assert!(line(&record, &Headers::default()).ends_with("no header, length 40"));
        let mut tagged = [0u8; 12].to_vec();
        tagged.extend([0x88, 0xa8, 0xe0, 5, 0x81, 0, 0, 7, 8, 6]);
        assert!(
            line(&record, &headers(&tagged, true)).ends_with(": 802.1ad 5 vlan 7 ARP, length 40")
        );
        tagged[12..14].copy_from_slice(&[0x81, 0]);
        assert!(line(&record, &headers(&tagged, true)).ends_with(": vlan 5 vlan 7 ARP, length 40"));
        tagged[12..14].copy_from_slice(&[0x88, 0xa8]);
        let half = &tagged[..15];
        assert!(line(&record, &headers(half, true)).ends_with(": ethertype 0x88a8, length 40"));
    }
}

//! Files of every format, whole, wrong and cut at every byte.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

/// The routes as `PREFIX what stands behind it`.
fn lines(file: &RouteFile) -> Vec<String> {
    let line = |entry: &Entry| {
        let set = &file.sets[entry.set as usize];
        format!("{} {}", entry.prefix, write::set(set))
    };
    file.routes.iter().map(line).collect()
}

fn read_with(bytes: &[u8], options: &Options) -> Result<RouteFile, String> {
    read(bytes, options, &mut |_| ()).map_err(|wrong| wrong.to_string())
}

fn read_lines(bytes: &[u8]) -> Result<Vec<String>, String> {
    read_with(bytes, &by("192.0.2.1", "fd00::1")).map(|file| lines(&file))
}

/// Gateways of the command line.
fn by(v4: &str, v6: &str) -> Options {
    Options {
        gateways: [v4, v6].map(|text| text::read_set(text).ok()),
        ..Options::default()
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const TEXT: &str = "\
# a comment
2001:db8::/32 fe80::1%rack*5 -mtu 1400 -select source
10.0.0.0/8\t192.0.2.11,192.0.2.12*3   # another
10.1.0.0/16 192.0.2.11 192.0.2.12 -weight 3\r
10.2.0.0/16 -blackhole

10.3.0.0/16 -iface rack
10.4.0.1 -reject
10.5.0.0/16
10.6.0.0/16 192.0.2.11*1 192.0.2.12*0
2001:db8:1::/48";

const WRITTEN: [&str; 9] = [
    "10.0.0.0/8 192.0.2.11,192.0.2.12*3",
    "10.1.0.0/16 192.0.2.11,192.0.2.12*3",
    "10.2.0.0/16 -blackhole",
    "10.3.0.0/16 -iface rack",
    "10.4.0.1/32 -reject",
    "10.5.0.0/16 192.0.2.1",
    "10.6.0.0/16 192.0.2.11,192.0.2.12*0",
    "2001:db8::/32 fe80::1%rack*5 -mtu 1400 -select source",
    "2001:db8:1::/48 fd00::1",
];

#[test]
fn default_is_of_its_gateways_family() {
    let read = |text: &str| read_lines(text.as_bytes());
    let one = |line: &str| Ok(vec![line.to_owned()]);
    assert_eq!(read("default 192.0.2.11"), one("0.0.0.0/0 192.0.2.11"));
    assert_eq!(read("default fe80::1%rack"), one("::/0 fe80::1%rack"));
    let mixed = "default fd00::11,192.0.2.11";
    assert_eq!(read(mixed).map(|lines| lines.len()), Ok(1));
    let v6_only = Options {
        family: Some(Family::Inet6),
        ..Options::default()
    };
    let text = b"default 192.0.2.11\ndefault fd00::11";
    let file = read_with(text, &v6_only).unwrap();
    assert_eq!(lines(&file), ["::/0 fd00::11"]);
    for line in ["default", "default -blackhole", "default -iface rack"] {
        let told = "1: default is of either family here: write 0.0.0.0/0 or ::/0";
        assert_eq!(read(line), Err(told.into()), "{line}");
    }
    assert!(read("default 192.0.2.11\n0.0.0.0/0 192.0.2.12").is_err());
}

#[test]
fn text_is_read_plain_and_compressed_and_written_back() {
    let file = read_with(TEXT.as_bytes(), &by("192.0.2.1", "fd00::1")).unwrap();
    assert_eq!(lines(&file), WRITTEN);
    assert_eq!(file.sets.len(), 8, "equal gateways are one set");
    assert_eq!(file.counts(), (7, 2));
    assert_eq!(read_lines(&gzipped(TEXT.as_bytes())).unwrap(), WRITTEN);
    assert_eq!(read_lines(WRITTEN.join("\n").as_bytes()).unwrap(), WRITTEN);
    assert_eq!(read_lines(b"").unwrap(), [""; 0]);
    let mut two = gzipped(b"10.0.0.0/8\n");
    two.extend(gzipped(b"11.0.0.0/8\n"));
    assert_eq!(
        read_lines(&two).unwrap().len(),
        2,
        "gzip files can be joined"
    );
    let only6 = Options {
        family: Some(Family::Inet6),
        ..by("192.0.2.1", "fd00::1")
    };
    let file = read_with(TEXT.as_bytes(), &only6).unwrap();
    assert_eq!(lines(&file), WRITTEN[7..]);
}

#[test]
fn mtus_of_single_gateways_are_read_and_written() {
    let text = "\
10.0.0.0/8 192.0.2.11*3@1400,192.0.2.12
10.1.0.0/16 192.0.2.11@1400 192.0.2.12@1400
10.2.0.0/16 192.0.2.11 192.0.2.12@1300 -mtu 1400
2001:db8::/32 fe80::1%rack*5@1400,fd00::2";
    let written = [
        "10.0.0.0/8 192.0.2.11*3@1400,192.0.2.12",
        "10.1.0.0/16 192.0.2.11,192.0.2.12 -mtu 1400",
        "10.2.0.0/16 192.0.2.11@1400,192.0.2.12@1300",
        "2001:db8::/32 fe80::1%rack*5@1400,fd00::2",
    ];
    assert_eq!(read_lines(text.as_bytes()).unwrap(), written);
    assert_eq!(read_lines(written.join("\n").as_bytes()).unwrap(), written);
    let wrong = read_lines(b"10.0.0.0/8 192.0.2.11@67").unwrap_err();
    assert_eq!(wrong, "1: -mtu 67: write a number of bytes, 68 to 65535");
}

#[test]
fn gateways_that_other_routes_lead_to_are_read_and_written() {
    let text = ["10.0.0.0/8 172.16.0.1*2,172.16.0.2 -mtu 1400 -recursive -select source"];
    let file = read_with(text[0].as_bytes(), &Options::default()).unwrap();
    assert!(file.sets[0].paths.iter().all(|path| path.recursive));
    assert_eq!(lines(&file), text);
    let all = Options {
        recursive: true,
        ..by("172.16.0.3", "fd16::3")
    };
    let file = read_with(
        b"10.0.0.0/8\n10.1.0.0/16 172.16.0.1\n10.2.0.0/16 -reject\n",
        &all,
    )
    .unwrap();
    let written = [
        "10.0.0.0/8 172.16.0.3 -recursive",
        "10.1.0.0/16 172.16.0.1 -recursive",
        "10.2.0.0/16 -reject",
    ];
    assert_eq!(lines(&file), written);
    let (mrt, _) = table();
    let file = read_with(
        &mrt,
        &Options {
            recursive: true,
            ..Options::default()
        },
    )
    .unwrap();
    assert!(
        lines(&file)
            .iter()
            .all(|line| line.ends_with(" -recursive"))
    );
    let wrong = read_with(b"10.0.0.0/8 -blackhole -recursive", &Options::default());
    assert_eq!(wrong.unwrap_err(), "1: -recursive goes with a gateway");
}

#[test]
fn groups_and_their_buckets_are_read_and_written_back() {
    let text = [
        "10.0.0.0/8 192.0.2.1,192.0.2.2 -buckets 512 -group 7",
        "10.1.0.0/16 -group 7",
    ];
    assert_eq!(read_lines(text.join("\n").as_bytes()).unwrap(), text);
}

#[test]
fn a_wrong_line_is_named_with_what_would_be_right() {
    for (text, line) in [
        (
            "10.0.0.1/8 192.0.2.1",
            "1: 10.0.0.1/8 has host bits set: write 10.0.0.0/8",
        ),
        (
            "\n10.0.0.0/8 192.0.2.300",
            "2: \"192.0.2.300\" is no gateway: write its address",
        ),
        (
            "10.0.0.0/8 192.0.2.1,",
            "1: \"\" is no gateway: write its address",
        ),
        (
            "10.0.0.0/8 192.0.2.1*x",
            "1: weight x: write a number from 1 to 16777215, or 0 to drain",
        ),
        (
            "10.0.0.0/8 192.0.2.1*16777216",
            "1: weight 16777216 is out of range: write 1 to 16777215",
        ),
        (
            "10.0.0.0/8 -weight 3",
            "1: -weight belongs behind a gateway",
        ),
        ("10.0.0.0/8 -iface", "1: -iface needs a value"),
        (
            "10.0.0.0/8 -blackhole 192.0.2.1",
            "1: only gateways share a route: -blackhole, -reject and -iface stand alone",
        ),
        (
            "10.0.0.0/8 -mtu 7 192.0.2.1",
            "1: -mtu 7: write a number of bytes, 68 to 65535",
        ),
        (
            "10.0.0.0/8 -select x 192.0.2.1",
            "1: -select x: write 5-tuple, source, source-destination or mod-n",
        ),
        (
            "10.0.0.0/8 -mtu 1400",
            "1: no gateway: name one or several, -group N, or -blackhole, -reject or -iface PORT",
        ),
        (
            "10.0.0.0/8 -group 7 -mtu 1400",
            "1: -mtu and -recursive go with gateways: leave them out, or name the group's gateways",
        ),
        (
            "11.0.0.0/8\n#\n10.0.0.0/8\n11.0.0.0/8 192.0.2.9",
            "4: 11.0.0.0/8 is there already, in line 1",
        ),
        (
            "\u{1}\u{2}",
            "1: \"\\u{1}\\u{2}\" is not an address: write all of it, such as 10.1.0.0/16 or 2001:db8::/32",
        ),
    ] {
        assert_eq!(read_lines(text.as_bytes()).unwrap_err(), line);
    }
    assert_eq!(
        read_lines(b"10.0.0.0/8 \xff").unwrap_err(),
        "1: this is not text"
    );
    let alone = read_with(b"10.0.0.0/8", &Options::default()).unwrap_err();
    assert_eq!(
        alone,
        "1: 10.0.0.0/8 has no gateway: write one behind it, or give IPv4 routes one with -gateway"
    );
    let long = vec![b'x'; 1 << 18];
    assert!(read_lines(&long).unwrap_err().starts_with("1: longer than"));
    let cut = gzipped(TEXT.as_bytes());
    assert!(read_lines(&cut[..cut.len() - 9]).is_err());
}

/// A record with its header.
fn record(kind: u16, subkind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x5f, 1, 2, 3];
    bytes.extend(kind.to_be_bytes());
    bytes.extend(subkind.to_be_bytes());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Two peers: one of IPv4 with an AS of two bytes, one of IPv6 with one of four.
fn peer_table() -> Vec<u8> {
    let mut body = vec![10, 0, 0, 1, 0, 2, b'v', b'w', 0, 2];
    body.extend([0, 1, 1, 1, 1, 192, 0, 2, 1, 0xfd, 0xe8]);
    body.extend([3, 2, 2, 2, 2]);
    body.extend([0xfd; 16]);
    body.extend([0, 0, 0xfd, 0xe8]);
    record(13, 1, &body)
}

/// A route with these paths: peer, attributes.
fn rib(subkind: u16, len: u8, prefix: &[u8], paths: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 9, len];
    body.extend(prefix);
    body.extend((paths.len() as u16).to_be_bytes());
    for (peer, attributes) in paths {
        body.extend(peer.to_be_bytes());
        body.extend([0; 4]);
        body.extend((attributes.len() as u16).to_be_bytes());
        body.extend(attributes);
    }
    record(13, subkind, &body)
}

/// ORIGIN, then NEXT_HOP.
fn hop4(host: u8) -> Vec<u8> {
    vec![0x40, 1, 1, 0, 0x40, 3, 4, 192, 0, 2, host]
}

/// MP_REACH_NLRI as tables have it, with a length of two bytes, and a link-local second address.
fn hop6(host: u8) -> Vec<u8> {
    let mut bytes = vec![0x90, 14, 0, 33, 32, 0xfd];
    bytes.extend([0; 14]);
    bytes.push(host);
    bytes.extend([0xfe, 0x80]);
    bytes.extend([0; 14]);
    bytes
}

/// The same as it travels between routers, with its family before and prefixes behind.
fn hop6_whole(host: u8) -> Vec<u8> {
    let mut bytes = vec![0x80, 14, 22, 0, 2, 1, 16, 0xfd];
    bytes.extend([0; 14]);
    bytes.extend([host, 0, 0]);
    bytes
}

/// A small table, and where its records end.
fn table() -> (Vec<u8>, Vec<usize>) {
    let records = [
        peer_table(),
        rib(2, 9, &[10, 0xff], &[(0, hop4(1)), (1, hop4(2))]),
        record(16, 4, &[1, 2, 3]),
        rib(2, 0, &[], &[(1, hop4(2))]),
        record(13, 6, &[1]),
        rib(4, 32, &[0x20, 1, 0xd, 0xb8], &[(0, hop6(1)), (1, hop6(2))]),
        rib(4, 3, &[0x3f], &[(1, hop6_whole(3))]),
    ];
    let mut ends = vec![0];
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend(record);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn an_mrt_table_gives_its_first_paths_or_a_peers_or_the_given_gateways() {
    let (bytes, _) = table();
    let first = [
        "0.0.0.0/0 192.0.2.2",
        "10.128.0.0/9 192.0.2.1",
        "2000::/3 fd00::3",
        "2001:db8::/32 fd00::1",
    ];
    for bytes in [bytes.clone(), gzipped(&bytes)] {
        let file = read_with(&bytes, &Options::default()).unwrap();
        assert_eq!(lines(&file), first);
        assert_eq!(file.skipped, 2);
    }
    let of = |peer, options| Options {
        peer: Some(peer),
        ..options
    };
    let second = read_with(&bytes, &of(1, Options::default())).unwrap();
    let second = lines(&second);
    assert_eq!(second.len(), 4);
    assert_eq!(second[1], "10.128.0.0/9 192.0.2.2");
    let zero = read_with(&bytes, &of(0, by("192.0.2.9*2,192.0.2.8", ""))).unwrap();
    assert_eq!(
        lines(&zero),
        [
            "10.128.0.0/9 192.0.2.9*2,192.0.2.8",
            "2001:db8::/32 fd00::1"
        ]
    );
}

#[test]
fn an_mrt_table_that_ends_within_a_record_is_refused_with_record_and_byte() {
    let (bytes, ends) = table();
    for end in 5..bytes.len() {
        let read = read_with(&bytes[..end], &Options::default());
        if ends.contains(&end) {
            assert!(read.is_ok(), "{end}");
            continue;
        }
        let record = ends.iter().filter(|at| **at <= end).count();
        let at = format!("record {record} at byte {}: ", ends[record - 1]);
        let error = read.unwrap_err();
        assert!(error.starts_with(&at), "{end}: {error}");
    }
    for end in 1..5 {
        assert!(read_with(&bytes[..end], &Options::default()).is_err());
    }
}

#[test]
fn a_wrong_mrt_record_is_told() {
    let of = |wrong: Vec<u8>| {
        let bytes = [peer_table(), wrong].concat();
        read_with(&bytes, &Options::default()).unwrap_err()
    };
    let at = format!("record 2 at byte {}: ", peer_table().len());
    for (wrong, line) in [
        (
            rib(2, 33, &[1; 5], &[]),
            "a prefix of 33 bits: 32 are the most",
        ),
        (
            rib(2, 8, &[10], &[(2, hop4(1))]),
            "peer 2 of 2: the table of peers has no such",
        ),
        (
            rib(2, 8, &[10], &[(0, vec![])]),
            "10.0.0.0/8 has no next hop: name one with -gateway",
        ),
        (
            rib(2, 8, &[10], &[(0, vec![0x40, 3, 3, 1, 2, 3])]),
            "a next hop of 3 bytes: 4, 16 or 32 are right",
        ),
        (
            rib(2, 8, &[10], &[(0, vec![0x40, 3, 9])]),
            "9 bytes are due and 0 are left: it is cut short",
        ),
    ] {
        assert_eq!(of(wrong), format!("{at}{line}"));
    }
    let alone = read_with(&rib(2, 8, &[10], &[]), &Options::default()).unwrap_err();
    assert_eq!(
        alone,
        "record 1 at byte 0: a route before the table of peers"
    );
    let twice = rib(2, 8, &[10], &[(0, hop4(1))]);
    let twice = [peer_table(), twice.clone(), twice].concat();
    let error = read_with(&twice, &Options::default()).unwrap_err();
    assert!(
        error.contains("10.0.0.0/8 is there already, in record 2 at byte"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_with(&bytes, &by("192.0.2.1", "fd00::1"));
    }

    #[test]
    fn no_change_of_a_table_makes_it_panic(at in any::<prop::sample::Index>(), to in any::<u8>(), second in any::<prop::sample::Index>()) {
        let (mut bytes, _) = table();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let second = second.index(bytes.len());
        bytes[second] ^= 0x41;
        let _ = read_with(&bytes, &Options::default());
    }

    #[test]
    fn what_is_written_is_read_back(
        routes in prop::collection::btree_map((any::<u32>(), 0u8..=32), (prop::collection::btree_map(1u8..250, 0u32..9, 1..5), any::<bool>()), 0..30)
    ) {
        let mut text = String::new();
        let mut seen = std::collections::BTreeSet::new();
        for ((addr, len), (members, _)) in &routes {
            let prefix = Prefix::masked(std::net::Ipv4Addr::from_bits(*addr).into(), *len);
            if seen.insert(prefix) {
                let gateways: Vec<String> = members.iter().map(|(host, weight)| format!("192.0.2.{host}*{weight}")).collect();
                text += &format!("{prefix} {}\n", gateways.join(","));
            }
        }
        let file = read_with(text.as_bytes(), &Options::default()).unwrap();
        let again = read_with(lines(&file).join("\n").as_bytes(), &Options::default()).unwrap();
        prop_assert_eq!(lines(&file), lines(&again));
        prop_assert_eq!(file.routes.len(), seen.len());
    }
}

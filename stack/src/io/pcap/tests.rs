//! Both formats in both byte orders, files that are damaged, and a capture as a port.

use super::*;
use crate::io::{Queue, Tx};
use crate::pkt::Pool;
use crate::ports::Layer;
use arp::Mac;

const OURS: Mac = Mac([2, 0, 0, 0, 0, 9]);
type Turn = fn(u32) -> [u8; 4];
const ORDERS: [Turn; 2] = [u32::to_le_bytes, u32::to_be_bytes];

fn half(turn: Turn, n: u16) -> [u8; 2] {
    let word = turn(u32::from(n));
    if word[0] == n as u8 && n != 0 && word[3] == 0 {
        [word[0], word[1]]
    } else {
        [word[2], word[3]]
    }
}

fn words(turn: Turn, all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|n| turn(*n)).collect()
}

/// pcap: `at` in ns.
fn classic(turn: Turn, nanoseconds: bool, link: u32, records: &[(u64, &[u8])]) -> Vec<u8> {
    let magic = if nanoseconds {
        0xa1b2_3c4d
    } else {
        0xa1b2_c3d4
    };
    let mut file = words(turn, &[magic]);
    file.extend([half(turn, 2), half(turn, 4)].concat());
    file.extend(words(turn, &[0, 0, 65_535, link]));
    for (at, bytes) in records {
        let (seconds, ns) = (at / 1_000_000_000, at % 1_000_000_000);
        let part = if nanoseconds { ns } else { ns / 1000 };
        let len = bytes.len() as u32;
        file.extend(words(turn, &[seconds as u32, part as u32, len, len + 1]));
        file.extend_from_slice(bytes);
    }
    file
}

fn block(turn: Turn, kind: u32, body: &[u8]) -> Vec<u8> {
    let body = [body, &[0; 3][..body.len().next_multiple_of(4) - body.len()]].concat();
    let len = turn(12 + body.len() as u32);
    [&turn(kind), &len, &body[..], &len].concat()
}

/// pcapng with an interface "rack" in ns; odd records are outbound.
fn blocks(turn: Turn, link: u16, records: &[(u64, &[u8])]) -> Vec<u8> {
    let head = words(turn, &[0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX]);
    let mut file = block(turn, 0x0a0d_0d0a, &head);
    let mut interface = [half(turn, link), [0, 0]].concat();
    interface.extend(turn(0));
    for (code, value) in [(2, &b"rack"[..]), (9, &[9])] {
        interface.extend([half(turn, code), half(turn, value.len() as u16)].concat());
        interface.extend_from_slice(value);
        interface.resize(interface.len().next_multiple_of(4), 0);
    }
    file.extend(block(turn, 1, &interface));
    file.extend(block(turn, 0x0bad, b"who knows"));
    for (no, (at, bytes)) in records.iter().enumerate() {
        let len = bytes.len() as u32;
        let mut body = words(turn, &[0, (at >> 32) as u32, *at as u32, len, len + 1]);
        body.extend_from_slice(bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([half(turn, 2), half(turn, 4)].concat());
        body.extend(turn(1 + no as u32 % 2));
        file.extend(block(turn, 6, &body));
    }
    file
}

fn all(file: &[u8]) -> Result<Vec<(Record, Vec<u8>)>, BadCapture> {
    let mut capture = Capture::open(file)?;
    let (mut bytes, mut found) = (Vec::new(), Vec::new());
    while let Some(record) = capture.next(&mut bytes)? {
        found.push((record, bytes.clone()));
    }
    Ok(found)
}

const AT: u64 = 1_700_000_000_123_456_789;

#[test]
fn records_are_read_in_both_formats_and_byte_orders() {
    let records: [(u64, &[u8]); 3] = [
        (AT, b"first"),
        (AT + 5, b""),
        (AT + 1_000_000_000, b"third"),
    ];
    for turn in ORDERS {
        for (file, unit) in [
            (classic(turn, true, 1, &records), 1),
            (classic(turn, false, 1, &records), 1000),
            (blocks(turn, 1, &records), 1),
        ] {
            let found = all(&file).unwrap();
            assert_eq!(found.len(), 3);
            for ((record, bytes), (at, wanted)) in found.iter().zip(records) {
                assert_eq!(record.at_ns, at / unit * unit);
                assert_eq!((record.interface, record.ether), (0, true));
                assert_eq!(record.len as usize, wanted.len() + 1);
                assert_eq!(bytes, wanted);
            }
        }
    }
    let turn = ORDERS[0];
    let file = blocks(turn, 101, &records);
    let outbound: Vec<_> = all(&file)
        .unwrap()
        .iter()
        .map(|(r, _)| r.outbound)
        .collect();
    assert_eq!(outbound, [false, true, false]);
    let mut capture = Capture::open(&file[..]).unwrap();
    capture.next(&mut Vec::new()).unwrap();
    assert_eq!(capture.interfaces()[0].name.as_deref(), Some("rack"));
}

#[test]
fn what_its_writer_says_of_itself_is_passed_over() {
    let turn = ORDERS[0];
    let changes = blocks(turn, 147, &[(AT, b"a change"), (AT, b"another")]);
    assert_eq!(all(&changes), Ok(Vec::new()));
    let then = [changes, blocks(turn, 1, &[(AT, b"frame")])].concat();
    assert_eq!(all(&then).unwrap().len(), 1, "a section of frames");
}

#[test]
fn what_is_no_capture_is_said_with_its_place() {
    let said = |file: &[u8]| all(file).unwrap_err().to_string();
    assert_eq!(said(b""), "at byte 0: the file is empty");
    assert_eq!(
        said(b"# text, not packets"),
        "at byte 4: this is neither pcap nor pcapng"
    );
    let turn = ORDERS[0];
    assert_eq!(
        said(&classic(turn, false, 113, &[])),
        "at byte 24: link type 113: only Ethernet (1) and bare IP (101, 228, 229) are read"
    );
    let whole = classic(turn, false, 1, &[(AT, b"a packet")]);
    assert_eq!(
        said(&whole[..whole.len() - 3]),
        "at byte 40: cut short: 5 of 8 bytes are there"
    );
    let mut long = whole.clone();
    long[32..36].copy_from_slice(&[0xff; 4]);
    assert_eq!(
        said(&long),
        "at byte 40: a length of 4294967295 bytes; 1048576 is the most that is read"
    );
    let mut strange = blocks(turn, 1, &[(AT, b"a packet")]);
    let end = strange.len() - 4;
    strange[end] ^= 4;
    assert!(said(&strange).ends_with("a block's two lengths differ"));
}

#[test]
fn whatever_a_file_holds_it_ends_with_records_or_a_line() {
    let records: [(u64, &[u8]); 2] = [(AT, b"one packet"), (AT + 1, b"another")];
    let mut rng = fastrand::Rng::with_seed(11);
    for turn in ORDERS {
        for file in [
            classic(turn, true, 1, &records),
            classic(turn, false, 101, &records),
            blocks(turn, 1, &records),
        ] {
            for cut in 0..file.len() {
                let _ = all(&file[..cut]);
            }
            for _ in 0..5_000 {
                let mut bad = file.clone();
                for _ in 0..rng.usize(1..4) {
                    let at = rng.usize(..bad.len());
                    bad[at] = rng.u8(..);
                }
                if let Err(bad) = all(&bad) {
                    assert!(!bad.to_string().contains('\n') && bad.at <= file.len() as u64);
                }
            }
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, false).unwrap();
    writer.write(AT, b"one").unwrap();
    writer.write(AT + 7, b"two").unwrap();
    writer.flush().unwrap();
    let found = all(&file).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|(r, b)| (r.at_ns, r.ether, &b[..]))
        .collect();
    assert_eq!(found, [(AT, false, &b"one"[..]), (AT + 7, false, b"two")]);
}

fn packet4() -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet[0] = 0x45;
    packet[12..16].copy_from_slice(&[10, 0, 0, 7]);
    packet
}

type Port = PcapQueue<std::io::Cursor<Vec<u8>>, Vec<u8>>;

fn port(file: Vec<u8>, layer: Layer) -> (Port, PlayTime) {
    port_of(file, layer, Records::All(None))
}

fn port_of(file: Vec<u8>, layer: Layer, records: Records) -> (Port, PlayTime) {
    let time = PlayTime::default();
    let manner = Manner {
        layer,
        for_us: true,
        answers: true,
        records,
    };
    let capture = Capture::open(std::io::Cursor::new(file)).unwrap();
    let writer = Writer::new(Vec::new(), layer != Layer::L3).unwrap();
    let queue = PcapQueue::new(Some(capture), Some(writer), time.clone(), manner);
    (queue, time)
}

fn received(queue: &mut Port) -> Vec<Vec<u8>> {
    let (mut pool, mut out) = (Pool::new(8, 2048), Vec::new());
    queue.rx_burst(&mut pool, &mut out, 8).unwrap();
    out.iter().map(|pkt| pkt.bytes().to_vec()).collect()
}

#[test]
fn records_come_when_their_time_has_come_and_never_back() {
    let packet = packet4();
    let records = [(AT, &packet[..]), (AT + 9, &packet), (AT + 3, &packet)];
    let (mut queue, time) = port(classic(ORDERS[0], true, 101, &records), Layer::L3);
    assert_eq!(received(&mut queue), Vec::<Vec<u8>>::new());
    assert_eq!(queue.played().lock().unwrap().next_ns, Some(AT));
    time.set(AT);
    assert_eq!(received(&mut queue), std::slice::from_ref(&packet));
    assert_eq!(queue.played().lock().unwrap().next_ns, Some(AT + 9));
    time.set(AT + 9);
    assert_eq!(
        received(&mut queue).len(),
        2,
        "the last one's time went back"
    );
    assert_eq!(queue.played().lock().unwrap().next_ns, None);
    let played = queue.played().lock().unwrap().clone();
    assert_eq!((played.played, played.cut), (3, 3));
    assert_eq!((played.first_ns, played.last_ns), (AT, AT + 9));
}

#[test]
fn frames_are_made_to_fit_the_port() {
    let packet = packet4();
    let framed = [&[9_u8; 12][..], &[8, 0], &packet].concat();
    let odd = [&[8_u8; 12][..], &[0x88, 0xcc], &packet].concat();
    let bare = classic(ORDERS[0], true, 101, &[(1, &packet)]);
    let ether = classic(ORDERS[0], true, 1, &[(1, &framed), (1, &odd)]);
    let (mut queue, time) = port(bare, Layer::L2(OURS));
    time.set(1);
    let from = [2, 0xfe, 10, 0, 0, 7];
    assert_eq!(
        received(&mut queue),
        [[&OURS.0[..], &from, &[8, 0], &packet].concat()]
    );
    let (mut queue, time) = port(ether.clone(), Layer::L3);
    time.set(1);
    assert_eq!(received(&mut queue), std::slice::from_ref(&packet));
    assert_eq!(queue.played().lock().unwrap().skipped, 1);
    let (mut queue, time) = port(ether, Layer::L2(OURS));
    time.set(1);
    let (first, second) = {
        let mut all = received(&mut queue).into_iter();
        (all.next().unwrap(), all.next().unwrap())
    };
    assert_eq!(first[..6], [9; 6], "to a group");
    assert_eq!(second[..6], OURS.0, "to one station");
}

#[test]
fn questions_for_neighbours_are_answered() {
    let (mut queue, _) = port(classic(ORDERS[0], true, 1, &[]), Layer::L2(OURS));
    let mut question = arp::ether_header(Mac([0xff; 6]), OURS, 0x0806).to_vec();
    question.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    question.extend(OURS.0);
    question.extend([192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 11]);
    assert_eq!(queue.tx(&question), Tx::Sent);
    let answers = received(&mut queue);
    assert_eq!(answers.len(), 1);
    assert!(arp::is_neighbour_frame(&answers[0]).is_some());
    assert_eq!(answers[0][..6], OURS.0);
    assert_eq!(answers[0][20..28], [0, 2, 2, 0xfe, 192, 0, 2, 11]);
    assert_eq!(answers[0][28..32], [192, 0, 2, 11]);
    // In a VLAN the answer has its tag.
    let tag = [0x81, 0, 0, 100];
    let tagged = |frame: &[u8]| [&frame[..12], &tag, &frame[12..]].concat();
    assert_eq!(queue.tx(&tagged(&question)), Tx::Sent);
    assert_eq!(received(&mut queue), [tagged(&answers[0])]);
    assert_eq!(queue.tx(&tagged(&question)[..15]), Tx::Sent);
    assert_eq!(received(&mut queue).len(), 0);
    // An announcement asks nobody.
    question.truncate(38);
    question.extend([192, 0, 2, 1]);
    assert_eq!(queue.tx(&question), Tx::Sent);
    assert_eq!(received(&mut queue).len(), 0);
    for cut in 0..question.len() {
        assert_eq!(queue.tx(&question[..cut]), Tx::Sent);
    }
}

#[test]
fn what_a_vlan_has_captured_gets_its_tag_again() {
    let packet = packet4();
    let framed = [&OURS.0[..], &[9; 6], &[8, 0], &packet].concat();
    let tagged = [&framed[..12], &[0x81, 0, 0x0f, 0xa0], &framed[12..]].concat();
    let bare = classic(ORDERS[0], true, 101, &[(1, &packet)]);
    let ether = classic(ORDERS[0], true, 1, &[(1, &framed), (1, &framed[..11])]);
    let first = |file: &[u8], records| {
        let (mut queue, time) = port_of(file.to_vec(), Layer::L2(OURS), records);
        time.set(1);
        let got = received(&mut queue);
        let skipped = queue.played().lock().unwrap().skipped;
        (got.first().cloned(), skipped)
    };
    assert_eq!(first(&ether, Records::All(Some(4000))), (Some(tagged), 0));
    let (got, _) = first(&bare, Records::Of(vec![(3, None), (0, Some(5))]));
    assert_eq!(got.unwrap()[12..18], [0x81, 0, 0, 5, 8, 0]);
    assert_eq!(first(&ether, Records::Of(vec![(0, None)])).0, Some(framed));
    assert_eq!(first(&ether, Records::Of(vec![(1, None)])), (None, 2));
}

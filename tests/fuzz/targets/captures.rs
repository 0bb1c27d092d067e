//! Captures, pcap and pcapng: both of their readers end with packets or with one line, and no packet is longer than its file.

use flowgate::pcap;
use stack::io::pcap::Capture;

/// Packets of one capture that are read.
const MOST: usize = 4096;

pub(crate) fn run(data: &[u8]) {
    for number in 1..=3 {
        if let Err(wrong) = pcap::packet(data, number) {
            assert!(!wrong.contains('\n'), "{wrong}");
        }
    }
    let mut bytes = Vec::new();
    let wrong = match Capture::open(data) {
        Err(wrong) => Some(wrong),
        Ok(mut capture) => read(&mut capture, &mut bytes, data.len()),
    };
    if let Some(wrong) = wrong {
        assert!(!wrong.to_string().contains('\n'), "{wrong}");
    }
}

fn read(
    capture: &mut Capture<&[u8]>,
    bytes: &mut Vec<u8>,
    most: usize,
) -> Option<stack::io::pcap::BadCapture> {
    for _ in 0..MOST {
        match capture.next(bytes) {
            Ok(Some(_)) => assert!(bytes.len() <= most, "{} of {most} bytes", bytes.len()),
            Ok(None) => return None,
            Err(wrong) => return Some(wrong),
        }
    }
    None
}

//! The fake's capture: two drops and a change that are remembered; of all packets, one that comes later.

use crate::server::Capturing;
use crate::wire::capture::CaptureChange;
use crate::wire::capture::CapturePort;
use crate::wire::capture::CaptureRecord;
use crate::wire::capture::Captured;
use crate::wire::capture::Direction;

/// A SYN from 10.0.0.2:1234 to 203.0.113.10:80.
const SYN: &str = "450000280001000040060000\
                   0a000002cb00710a04d2005000000000000000005002000000000000";

fn record(time: u64, port: &str, verdict: &str, reason: Option<&str>) -> CaptureRecord {
    CaptureRecord {
        time,
        worker: 0,
        port: port.into(),
        direction: Direction::In,
        verdict: verdict.into(),
        reason: reason.map(str::to_owned),
        length: 40,
        bytes: SYN.into(),
        bare: true,
    }
}

pub(super) fn start(all: bool) -> Capturing {
    let port = |name: &str, ether| CapturePort {
        name: name.into(),
        ether,
    };
    let mut ports = vec![port("uplink", false), port("rack", true)];
    let mut looks = 0_u64;
    Box::new(move || {
        looks += 1;
        let records = match (all, looks) {
            (false, 1) => vec![
                record(1_795_218_141_007, "uplink", "drop", Some("ips_ttlexpired")),
                record(1_795_218_141_009, "rack", "drop", Some("ips_noroute")),
            ],
            (true, 2..) => vec![record(1_795_218_142_000 + looks, "uplink", "forward", None)],
            _ => vec![],
        };
        Captured {
            ports: std::mem::take(&mut ports),
            records,
            changes: vec![],
            missed: u64::from(looks == 1) * 5,
        }
    })
}

pub(super) fn changes(from: u64) -> (u64, u64, Vec<CaptureChange>) {
    let change = CaptureChange {
        time: 1_795_218_141_008,
        text: "nexthop 192.0.2.11 on rack: dead".into(),
    };
    (1, 0, (from == 0).then_some(change).into_iter().collect())
}

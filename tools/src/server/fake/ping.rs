//! Made-up pings: who answers is told by the address.

use crate::server::Answer;
use crate::server::Pinging;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::ping::*;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;

/// 192.0.2.11 and fe80::11 answer, of every four requests the third excepted; 192.0.2.99 is silent for ever; 198.51.100.1 has no
/// route; any other is unreachable.
pub(super) fn start(ask: &Ping, under_way: Arc<()>) -> Answer<Pinging> {
    let (address, bytes) = (ask.address, ask.size + 8);
    let name = address.to_string();
    if name == "198.51.100.1" {
        let line = "No route to host: no route covers 198.51.100.1";
        return Err(CallError::refused(Reason::Unreachable, line));
    }
    let mut sequences = 0..ask.count.unwrap_or(u64::MAX);
    let (silence, never) = mpsc::channel();
    Ok(Box::new(move |limit| {
        let _held = (&under_way, &silence);
        if name == "192.0.2.99" {
            return never.recv_timeout(limit);
        }
        let sequence = sequences.next().ok_or(RecvTimeoutError::Disconnected)?;
        let lost = PingResult {
            address,
            sequence,
            outcome: PingOutcome::Timeout,
            bytes: None,
            rtt: None,
            ttl: None,
            reason: None,
        };
        Ok(match (name.as_str(), sequence % 4) {
            ("192.0.2.11" | "fe80::11", 2) => lost,
            ("192.0.2.11" | "fe80::11", _) => PingResult {
                outcome: PingOutcome::Reply,
                bytes: Some(bytes),
                rtt: Some(100 + sequence * 23),
                ttl: Some(64),
                ..lost
            },
            _ => PingResult {
                address: [192, 0, 2, 254].into(),
                outcome: PingOutcome::Unreachable,
                reason: Some("Destination Host Unreachable".into()),
                ..lost
            },
        })
    }))
}

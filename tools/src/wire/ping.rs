//! `Ping` on the wire: what to ping, and how each request ended.

use super::message::CallError;
use super::message::Reason;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// From one request to the next, milliseconds.
pub const INTERVAL: RangeInclusive<u64> = 10..=3_600_000;

/// How long a request may wait for its answer, milliseconds.
pub const WAIT: RangeInclusive<u64> = 10..=60_000;

/// Data bytes of a request; what the way to the destination carries is usually less.
pub const SIZE: RangeInclusive<u64> = 0..=65_507;

/// What is taken where nothing is said: a request a second, two seconds for its answer, 56 data bytes.
pub const DEFAULTS: (u64, u64, u64) = (1000, 2000, 56);

/// Parameters of `Ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The destination.
    pub address: IpAddr,
    /// The port that a link-local destination is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// How many requests; for ever when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// From one to the next, milliseconds: [`INTERVAL`].
    #[serde(default = "interval")]
    pub interval: u64,
    /// How long each waits for its answer, milliseconds: [`WAIT`].
    #[serde(default = "wait")]
    pub wait: u64,
    /// Data bytes of each: [`SIZE`].
    #[serde(default = "size")]
    pub size: u64,
}

fn interval() -> u64 {
    DEFAULTS.0
}

fn wait() -> u64 {
    DEFAULTS.1
}

fn size() -> u64 {
    DEFAULTS.2
}

impl Ping {
    /// The same, if every value is within its range.
    ///
    /// # Errors
    /// `Invalid`, with one line that says what would be right.
    pub fn checked(self) -> Result<Self, CallError> {
        let wrong = |line: String| Err(CallError::refused(Reason::Invalid, line));
        if self.count == Some(0) {
            return wrong("count 0: write 1 or more, or leave it out to ping for ever".into());
        }
        let ranged = [
            ("interval", self.interval, INTERVAL, "milliseconds"),
            ("wait", self.wait, WAIT, "milliseconds"),
            ("size", self.size, SIZE, "data bytes"),
        ];
        for (name, value, range, unit) in ranged {
            if !range.contains(&value) {
                let (least, most) = range.into_inner();
                return wrong(format!("{name} {value}: write {least} to {most} {unit}"));
            }
        }
        Ok(self)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PingOutcome {
    /// It was answered.
    Reply,
    /// Nobody answered in time.
    Timeout,
    /// Somebody on the way said that it does not get there.
    Unreachable,
}

/// An answer of `Ping`: one request and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingResult {
    /// Who answered or said that it does not get there; the destination if nobody did.
    pub address: IpAddr,
    /// Which request, from 0.
    pub sequence: u64,
    /// How it ended.
    pub outcome: PingOutcome,
    /// Bytes of the reply: its data and the 8 of its ICMP header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The round trip, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt: Option<u64>,
    /// The reply's TTL or hop limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// Why it does not get there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::parameters;
    use serde_json::Value;
    use serde_json::json;

    fn read(value: Value) -> Result<Ping, CallError> {
        parameters::<Ping>(value)?.checked()
    }

    #[test]
    fn what_is_left_out_is_freebsds() {
        let ping = read(json!({"address": "192.0.2.1"})).unwrap();
        assert_eq!((ping.count, ping.interval, ping.size), (None, 1000, 56));
    }

    #[test]
    fn what_is_out_of_range_is_refused_in_one_line() {
        let wrong = |name: &str, value: u64| {
            let asked = read(json!({"address": "192.0.2.1", name: value}));
            asked.unwrap_err().to_string()
        };
        assert_eq!(
            wrong("count", 0),
            "count 0: write 1 or more, or leave it out to ping for ever"
        );
        assert_eq!(
            wrong("interval", 9),
            "interval 9: write 10 to 3600000 milliseconds"
        );
        assert_eq!(
            wrong("wait", 60_001),
            "wait 60001: write 10 to 60000 milliseconds"
        );
        assert_eq!(
            wrong("size", 65_508),
            "size 65508: write 0 to 65507 data bytes"
        );
        let named = read(json!({"address": "localhost"})).unwrap_err();
        assert!(named.to_string().starts_with("address: "), "{named}");
    }

    #[test]
    fn a_timeout_has_no_field_that_does_not_apply() {
        let timeout = PingResult {
            address: [192, 0, 2, 1].into(),
            sequence: 3,
            outcome: PingOutcome::Timeout,
            bytes: None,
            rtt: None,
            ttl: None,
            reason: None,
        };
        assert_eq!(
            serde_json::to_value(timeout).unwrap(),
            json!({"address": "192.0.2.1", "sequence": 3, "outcome": "timeout"})
        );
    }
}

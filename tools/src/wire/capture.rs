//! `Capture` on the wire: what the gateway keeps of packets and of what has changed.

use super::message::CallError;
use super::message::Reason;
use super::route::is_not;
use crate::capture::Filter;
use serde::Deserialize;
use serde::Serialize;

/// One packet in so many at most is recorded, of all.
pub const MOST_SAMPLED: u32 = 1_000_000;

/// Parameters of `Capture`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// All packets from now on; left out, the drops and changes that are remembered, and those that follow.
    #[serde(default, skip_serializing_if = "is_not")]
    pub all: bool,
    /// Of all packets one in so many; 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u32>,
    /// Which packets; left out, every one. With a filter no changes are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What is remembered now, and nothing that follows.
    #[serde(default, skip_serializing_if = "is_not")]
    pub last: bool,
}

impl Capture {
    /// The same, and its filter, if both make sense.
    ///
    /// # Errors
    /// `Invalid`, with one line that says what would be right.
    pub fn checked(self) -> Result<(Self, Filter), CallError> {
        let wrong = |line: String| CallError::refused(Reason::Invalid, line);
        if self.sample.is_some() && !self.all {
            return Err(wrong("sample goes with all: drops are all told".into()));
        }
        if let Some(sample) = self.sample.filter(|n| !(1..=MOST_SAMPLED).contains(n)) {
            return Err(wrong(format!("sample {sample}: write 1 to {MOST_SAMPLED}")));
        }
        if self.last && self.all {
            return Err(wrong(
                "last goes without all: of all packets none is remembered".into(),
            ));
        }
        let filter = Filter::parse(self.filter.as_deref().unwrap_or_default());
        Ok((self, filter.map_err(wrong)?))
    }
}

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It came in.
    In,
    /// It was to leave.
    Out,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRecord {
    /// When, milliseconds since 1970: the time of the worker's burst.
    pub time: u64,
    /// By which worker.
    pub worker: u16,
    /// The port.
    pub port: String,
    /// Which way.
    pub direction: Direction,
    /// What became of it: `forward`, `deliver`, `echo`, `neighbour`, `drop`; `sent`, `refused`, `lost`.
    pub verdict: String,
    /// Why it was dropped or lost: the counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its length, bytes.
    pub length: u64,
    /// Its first bytes, in hexadecimal.
    pub bytes: String,
    /// They begin with the IP header, whatever frames of the port begin with.
    #[serde(default, skip_serializing_if = "is_not")]
    pub bare: bool,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureChange {
    /// When, milliseconds since 1970.
    pub time: u64,
    /// What, in a line.
    pub text: String,
}

/// A port, for who writes a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturePort {
    /// Its name.
    pub name: String,
    /// Whether its frames begin with an Ethernet header; else with the IP header.
    pub ether: bool,
}

impl Captured {
    /// Whether it says nothing.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty() && self.changes.is_empty() && self.missed == 0
    }
}

/// An answer of `Capture`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Captured {
    /// Every port, in the first answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<CapturePort>,
    /// Packets, by time.
    pub records: Vec<CaptureRecord>,
    /// What has changed, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<CaptureChange>,
    /// Packets and changes since the last answer that were overwritten before they were read.
    pub missed: u64,
}

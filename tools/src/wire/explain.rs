//! `Explain` on the wire: a packet or a flow, and every decision about it.

use super::message::CallError;
use super::message::Reason;
use super::protocol;
use super::route::is_not;
use super::text;
use route::Prefix;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;

/// The longest packet that is explained, bytes.
pub const LONGEST: usize = stack::control::LONGEST;

/// What the bytes of a packet begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// An Ethernet header.
    Ether,
    /// The IP header.
    Ip,
}

/// Which packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// The first one.
    First,
    /// A later one.
    Later,
}

/// A flow, in the direction of the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainFlow {
    /// `tcp`, `udp`, `icmp`, `icmp6`, `sctp` or a number.
    pub protocol: String,
    /// Where the packet comes from.
    pub source: IpAddr,
    /// Its source port; ICMP echo: the identifier. 0 when left out.
    #[serde(default)]
    pub source_port: u16,
    /// Where it goes.
    pub destination: IpAddr,
    /// Its destination port; ICMP: of no use. 0 when left out.
    #[serde(default)]
    pub destination_port: u16,
}

/// The extension headers of IPv6 that stand before another one (RFC 8200 §4): hop-by-hop, routing, fragment, destination.
const EXTENSIONS: [u8; 4] = [0, 43, 44, 60];

impl ExplainFlow {
    /// An extension header alone is cut off, and no flow's protocol. A name that nobody knows is told elsewhere.
    fn check_protocol(&self) -> Result<(), CallError> {
        let number = protocol::number(&self.protocol).ok();
        match number.filter(|number| EXTENSIONS.contains(number)) {
            Some(number) => Err(CallError::refused(
                Reason::Invalid,
                format!(
                    "protocol {number} is an IPv6 extension header: name the protocol behind it"
                ),
            )),
            None => Ok(()),
        }
    }
}

/// Parameters of `Explain`: a packet with its port, or a flow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The packet's bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
    /// What they begin with; left out, what frames of the port begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<Framing>,
    /// The flow, of which a packet is made.
    #[serde(
        default,
        deserialize_with = "text::object::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub flow: Option<ExplainFlow>,
    /// Which packet of the flow; left out, a later one if it has an entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// The port that it comes in by; of a flow it may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Of a flow: the FIB of its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fib: Option<u8>,
}

impl Explain {
    /// The same, if it asks for one thing.
    ///
    /// # Errors
    /// `Invalid`, with one line that says what would be right.
    pub fn checked(self) -> Result<Self, CallError> {
        let wrong = |line: &str| Err(CallError::refused(Reason::Invalid, line));
        match (&self.packet, &self.flow) {
            (Some(_), Some(_)) => return wrong("a packet or a flow, not both"),
            (None, None) => return wrong("nothing to explain: name a packet or a flow"),
            (Some(_), None) if self.port.is_none() => {
                return wrong("a packet needs the port that it comes in by");
            }
            (Some(_), None) if self.turn.is_some() || self.fib.is_some() => {
                return wrong("turn and fib go with a flow: a packet shows them");
            }
            (None, Some(_)) if self.framing.is_some() => {
                return wrong("framing goes with a packet");
            }
            (None, Some(flow)) => flow.check_protocol()?,
            _ => {}
        }
        Ok(self)
    }

    /// The packet's bytes, if it is one.
    ///
    /// # Errors
    /// `Invalid`: no hexadecimal digits, or too many.
    pub fn bytes(&self) -> Result<Option<Vec<u8>>, CallError> {
        let hex = self.packet.as_deref().map(bytes_of_hex);
        hex.transpose()
            .map_err(|line| CallError::refused(Reason::Invalid, line))
    }
}

/// Reads hexadecimal digits, two a byte.
///
/// # Errors
/// One line that says what is wrong, and where.
pub fn bytes_of_hex(text: &str) -> Result<Vec<u8>, String> {
    if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_hexdigit()) {
        return Err(format!(
            "character {} of the packet is no hexadecimal digit",
            at + 1
        ));
    }
    if !text.len().is_multiple_of(2) {
        return Err(format!(
            "{} hexadecimal digits: two make a byte, so one is missing",
            text.len()
        ));
    }
    if text.len() / 2 > LONGEST {
        return Err(format!(
            "{} bytes: a packet has {LONGEST} at most",
            text.len() / 2
        ));
    }
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    let pairs = text.as_bytes().chunks_exact(2);
    Ok(pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect())
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainStep {
    /// What was decided: `port`, `ether`, `ip`, `addresses`, and so on.
    pub stage: String,
    /// Whether the packet goes on.
    pub goes_on: bool,
    /// What was found, and why.
    pub cause: String,
}

/// How it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainOut {
    /// The port.
    pub port: String,
    /// The next hop's place; 0: a broadcast to a network of ours.
    pub nexthop: u32,
    /// Its generation.
    pub generation: u32,
    /// Its gateway, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The link header in front of it, in hexadecimal, if the port has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// In how many pieces.
    pub pieces: u32,
}

/// What `Explain` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explained {
    /// The packet in a line.
    pub packet: String,
    /// The port that it comes in by.
    pub port: String,
    /// What was not said, and is taken to be so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// Every decision, in order.
    pub steps: Vec<ExplainStep>,
    /// `forward`, `deliver`, `echo`, `neighbour`, `hold`, `collect` or `drop`.
    pub verdict: String,
    /// Why it is dropped: the counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What its sender is told, if no limit stands against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<String>,
    /// How it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<ExplainOut>,
    /// The worker that owns its flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u16>,
    /// The slot of its flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
    /// The prefix that covers its destination.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub destination: Option<Prefix>,
    /// The id of that route's group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// The flow's bucket there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u32>,
    /// Of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u32>,
    /// The next hop that the flow is pinned to in this direction: its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<u32>,
    /// The verdict may differ: it depends on what the worker alone knows.
    #[serde(default, skip_serializing_if = "is_not")]
    pub unsure: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_bytes_and_nothing_else_is() {
        assert_eq!(bytes_of_hex("4500fF").unwrap(), [0x45, 0, 0xff]);
        assert!(bytes_of_hex("").unwrap().is_empty());
        let wrong = |text: &str| bytes_of_hex(text).unwrap_err();
        assert_eq!(
            wrong("45x0"),
            "character 3 of the packet is no hexadecimal digit"
        );
        assert_eq!(
            wrong("450"),
            "3 hexadecimal digits: two make a byte, so one is missing"
        );
        assert!(wrong("ü0").contains("character 1"));
        let long = "00".repeat(LONGEST + 1);
        assert_eq!(wrong(&long), "65550 bytes: a packet has 65549 at most");
    }

    #[test]
    fn one_thing_is_explained_at_a_time() {
        let wrong = |ask: Explain| ask.checked().unwrap_err().to_string();
        let packet = Explain {
            packet: Some("45".into()),
            ..Explain::default()
        };
        assert_eq!(
            wrong(Explain::default()),
            "nothing to explain: name a packet or a flow"
        );
        assert_eq!(
            wrong(packet.clone()),
            "a packet needs the port that it comes in by"
        );
        let with_fib = Explain {
            port: Some("in0".into()),
            fib: Some(1),
            ..packet
        };
        assert!(wrong(with_fib).starts_with("turn and fib"));
    }
}

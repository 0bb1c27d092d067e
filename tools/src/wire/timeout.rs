//! Idle timeouts on the wire, by the names that the configuration has for them.

use flowtable::State;
use flowtable::Timeouts;
use serde::Deserialize;
use serde::Serialize;

/// The keys of `[timeouts]` and the states that they are for.
pub const TIMEOUTS: [(&str, State); State::COUNT] = [
    ("tcp-syn", State::Syn),
    ("tcp-syn-ack", State::SynAck),
    ("tcp-midstream", State::Midstream),
    ("tcp-established", State::Established),
    ("tcp-fin-wait", State::FinWait),
    ("tcp-closed", State::Closed),
    ("tcp-reset", State::Reset),
    ("udp-one-way", State::UdpOneWay),
    ("udp-two-way", State::UdpTwoWay),
    ("icmp-one-way", State::IcmpOneWay),
    ("icmp-two-way", State::IcmpTwoWay),
    ("other-one-way", State::OtherOneWay),
    ("other-two-way", State::OtherTwoWay),
];

/// The longest timeout, seconds: a week.
pub const TIMEOUT_MAX: u32 = 604_800;

/// The state with this name, or a line that names all.
///
/// # Errors
/// There is none.
pub fn state(name: &str) -> Result<State, String> {
    let named = TIMEOUTS.iter().find(|(key, _)| *key == name);
    named.map(|(_, state)| *state).ok_or_else(|| {
        let names: Vec<_> = TIMEOUTS.iter().map(|(key, _)| *key).collect();
        format!("no timeout {name}: there are {}", names.join(", "))
    })
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeout {
    /// Of which state.
    pub name: String,
    /// Seconds that a silent flow in it is kept.
    pub seconds: u32,
    /// What it is when nobody says otherwise.
    pub default: u32,
}

/// What `FlowTimeouts` and `FlowTimeoutSet` answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowTimeouts {
    /// All of them, in the order of the configuration.
    pub timeouts: Vec<Timeout>,
}

impl FlowTimeouts {
    /// All of them, by what they are now.
    pub fn of(now: impl Fn(State) -> u32) -> Self {
        let default = Timeouts::default();
        let timeout = |(name, state): &(&str, State)| Timeout {
            name: (*name).into(),
            seconds: now(*state),
            default: default.get(*state),
        };
        Self {
            timeouts: TIMEOUTS.iter().map(timeout).collect(),
        }
    }
}

/// Parameters of `FlowTimeoutSet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTimeoutSet {
    /// Of which state.
    pub name: String,
    /// Seconds, 1 to [`TIMEOUT_MAX`].
    pub seconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_state_has_one_name() {
        let states: HashSet<_> = TIMEOUTS.iter().map(|(_, state)| state).collect();
        let names: HashSet<_> = TIMEOUTS.iter().map(|(name, _)| name).collect();
        assert_eq!((states.len(), names.len()), (State::COUNT, State::COUNT));
        assert_eq!(state("udp-two-way"), Ok(State::UdpTwoWay));
        let error = state("udp").unwrap_err();
        assert!(
            error.starts_with("no timeout udp: there are tcp-syn, "),
            "{error}"
        );
    }
}

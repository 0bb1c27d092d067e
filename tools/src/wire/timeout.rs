//! Idle timeouts on the wire, by the names that the configuration has for them.

use super::route::is_first_fib;
use super::text;
use flowtable::State;
use flowtable::Timeouts;
use route::TimeoutClass;
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

/// A class's name, or why none may have it: a state's would be read as that.
///
/// # Errors
/// The line that says so.
pub fn class(name: &str) -> Result<TimeoutClass, String> {
    if state(name).is_ok() {
        return Err(format!(
            "{name} is a timeout: a class of timeouts needs another name"
        ));
    }
    name.parse()
        .map_err(|error: route::TimeoutClassError| error.to_string())
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

/// A route that has a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedRoute {
    /// Its destination.
    pub destination: String,
    /// Its FIB.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
}

/// A class of timeouts beside the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutsOf {
    /// Its name.
    #[serde(with = "text")]
    pub class: TimeoutClass,
    /// How many routes have it.
    pub routes: u32,
    /// Groups that have it, by their numbers.
    pub groups: Vec<u32>,
    /// The first of the routes, in the order of a listing.
    #[serde(default, deserialize_with = "text::object::list")]
    pub first: Vec<TimedRoute>,
    /// All of them; where the class says nothing itself it has the default's, which `default` is here.
    pub timeouts: Vec<Timeout>,
}

/// What `FlowTimeouts`, `FlowTimeoutSet` and `FlowTimeoutDelete` answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowTimeouts {
    /// All of the default class, in the order of the configuration.
    pub timeouts: Vec<Timeout>,
    /// The other classes, by their names.
    pub classes: Vec<TimeoutsOf>,
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
            classes: Vec::new(),
        }
    }

    /// A class's, by what they are now.
    pub fn of_class(&self, now: impl Fn(State) -> u32) -> Vec<Timeout> {
        let timeout = |((name, state), default): (&(&str, State), &Timeout)| Timeout {
            name: (*name).into(),
            seconds: now(*state),
            default: default.seconds,
        };
        TIMEOUTS.iter().zip(&self.timeouts).map(timeout).collect()
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
    /// Of which class, which is made if it is not there; the default when left out.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub class: Option<TimeoutClass>,
}

/// Parameters of `FlowTimeoutDelete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTimeoutDelete {
    /// Which class.
    #[serde(with = "text")]
    pub class: TimeoutClass,
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
        let taken = "udp-two-way is a timeout: a class of timeouts needs another name";
        assert_eq!(class("udp-two-way"), Err(taken.into()));
        assert_eq!(class("dns").map(|name| name.to_string()), Ok("dns".into()));
        let error = state("udp").unwrap_err();
        assert!(
            error.starts_with("no timeout udp: there are tcp-syn, "),
            "{error}"
        );
    }
}

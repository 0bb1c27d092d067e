//! How a group treats its flows, beside who its members are: what routes that share a group have in common.

use super::{Selection, TimeoutClass};
use crate::ids::GroupNo;

/// What a group does with flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Options {
    /// By what it tells flows apart.
    pub selection: Selection,
    /// Whether all flows of a client network keep one next hop.
    pub sticky: Option<Sticky>,
    /// What flows do whose own next hop has come back.
    pub failback: Failback,
    /// Seconds over which a next hop that is added or comes back gets its share, bit by bit; 0: at once.
    pub slow_start: u32,
    /// How many buckets it has once it has several members, fixed when it is made; 0: as many as groups have by default.
    pub buckets: u32,
    /// The number that an operator gave it: it is an object of its own, which routes name.
    pub group: Option<GroupNo>,
    /// How long its flows may be silent.
    pub timeouts: TimeoutClass,
}

/// Client affinity: FreeBSD's `-sticky`, as it was once meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sticky {
    /// Leading bits of the source address that tell clients apart; more than the family has means all.
    pub len: u8,
    /// Seconds for which a client's choice outlives the last of its flows.
    pub timeout: u32,
}

/// What a change says of client affinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StickyAsked {
    /// See [`Sticky::len`]; as it is if left out, or a whole address.
    pub len: Option<u8>,
    /// See [`Sticky::timeout`]; 0 ends it. As it is if left out, or half an hour.
    pub timeout: Option<u32>,
}

impl StickyAsked {
    /// Half an hour.
    const TIMEOUT: u32 = 1800;
    /// Every bit of an address of either family.
    const LEN: u8 = 128;

    /// Whether it says nothing of the clients, and does not end anything.
    pub(crate) fn is_time_alone(self) -> bool {
        self.len.is_none() && self.timeout.is_some_and(|timeout| timeout > 0)
    }

    fn over(self, is: Option<Sticky>) -> Option<Sticky> {
        let timeout = self.timeout.or_else(|| is.map(|is| is.timeout));
        let len = self.len.or_else(|| is.map(|is| is.len));
        Some(Sticky {
            len: len.unwrap_or(Self::LEN),
            timeout: timeout.unwrap_or(Self::TIMEOUT),
        })
        .filter(|sticky| sticky.timeout > 0)
    }
}

/// What becomes of flows that a next hop's death sent to others, once it is back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failback {
    /// They stay where they are.
    #[default]
    Stay,
    /// They return.
    Return,
}

impl Failback {
    /// Its name, as commands take it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Return => "return",
        }
    }
}

/// Options that a change names; what is `None` stays as it is, or as it is by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionsAsked {
    /// See [`Options::selection`].
    pub selection: Option<Selection>,
    /// See [`Options::sticky`].
    pub sticky: Option<StickyAsked>,
    /// See [`Options::failback`].
    pub failback: Option<Failback>,
    /// See [`Options::slow_start`].
    pub slow_start: Option<u32>,
    /// See [`Options::buckets`]; a change may only name the number that there is.
    pub buckets: Option<u32>,
    /// See [`Options::group`].
    pub group: Option<GroupNo>,
    /// See [`Options::timeouts`].
    pub timeouts: Option<TimeoutClass>,
}

impl OptionsAsked {
    /// The options that come of them where `is` was.
    #[must_use]
    pub fn over(&self, is: Options) -> Options {
        Options {
            selection: self.selection.unwrap_or(is.selection),
            sticky: self.sticky.map_or(is.sticky, |asked| asked.over(is.sticky)),
            failback: self.failback.unwrap_or(is.failback),
            slow_start: self.slow_start.unwrap_or(is.slow_start),
            buckets: self.buckets.unwrap_or(is.buckets),
            group: self.group.or(is.group),
            timeouts: self.timeouts.unwrap_or(is.timeouts),
        }
    }
}

impl From<Selection> for OptionsAsked {
    fn from(selection: Selection) -> Self {
        Self {
            selection: Some(selection),
            ..Self::default()
        }
    }
}

impl From<Selection> for Options {
    fn from(selection: Selection) -> Self {
        OptionsAsked::from(selection).over(Self::default())
    }
}

impl Options {
    /// What is done otherwise than `asked`, in words that follow a route's name.
    pub(crate) fn unlike(&self, asked: &OptionsAsked) -> Option<String> {
        let wanted = asked.over(*self);
        if wanted.selection != self.selection {
            return Some(format!("selects by {}", self.selection.name()));
        }
        if wanted.sticky != self.sticky {
            return Some(match self.sticky {
                Some(Sticky { len, timeout }) => {
                    format!("is sticky by src/{len} for {timeout} seconds")
                }
                None => "is not sticky".to_owned(),
            });
        }
        if wanted.failback != self.failback {
            return Some(format!("has failback {}", self.failback.name()));
        }
        if wanted.slow_start != self.slow_start {
            return Some(format!("has a slow start of {} seconds", self.slow_start));
        }
        if wanted.timeouts != self.timeouts {
            return Some(format!("has timeouts {}", self.timeouts));
        }
        (wanted.group != self.group).then(|| match self.group {
            Some(group) => format!("has group {group}"),
            None => "has no group with a number".to_owned(),
        })
    }

    /// The same for a group without a number.
    #[must_use]
    pub(crate) const fn unnamed(self) -> Self {
        Self {
            group: None,
            ..self
        }
    }
}

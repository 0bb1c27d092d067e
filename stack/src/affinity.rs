//! Client affinity: the template that a flow's direction has if its route is sticky, and what it says.
//!
//! A template is asked only where a next hop is chosen: for the first packet of a direction, for one whose pin does
//! not hold, for one without a pin. It never moves a flow whose pin holds.

use crate::time::Now;
use flowtable::{Client, Dir, Key, PinWord, Templates, Term, Tick};
use route::{Chosen, GroupRef, Pin, PinState, Recall, View};

/// Whose template it is, and how long it outlives the last flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    client: Client,
    timeout: u32,
}

/// The template of a flow's direction, if its group is sticky.
#[inline]
pub(crate) fn affine<K: Key>(group: &GroupRef<'_>, key: &K, dir: Dir) -> Option<Affine> {
    let (id, sticky) = group.sticky()?;
    Some(Affine {
        client: Client::new(id, source(key, dir), sticky.len),
        timeout: sticky.timeout,
    })
}

fn source<K: Key>(key: &K, dir: Dir) -> std::net::IpAddr {
    let (a, b) = key.ends();
    match dir {
        Dir::Fwd => a.ip(),
        Dir::Rev => b.ip(),
    }
}

impl Affine {
    /// The times of this template, for a thread whose hand's round began at `since`.
    pub(crate) fn term(&self, since: Tick, now: Now) -> Term {
        Term {
            timeout: self.timeout,
            since: since.0 / Tick::PER_SECOND,
            now: now.secs().0,
        }
    }

    /// Whose it is.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }
}

/// What the template of a flow's direction says, if it says something that holds. Leaves no trace.
pub(crate) fn told<K: Key>(
    templates: &Templates,
    view: &View,
    (group, bucket): (&GroupRef<'_>, u32),
    key: &K,
    dir: Dir,
) -> Option<Chosen> {
    let affine = affine(group, key, dir)?;
    let chosen = chosen_of(templates.peek(&affine.client)?);
    holds(view, (group, bucket), chosen).then_some(chosen)
}

/// Whether flows may go on to this next hop: it takes packets (though it may drain), the route has it, and it does not
/// stand in for one that is back.
pub(crate) fn holds(view: &View, (group, bucket): (&GroupRef<'_>, u32), is: Chosen) -> bool {
    let called_back = || is.stands_in && group.recall(bucket, is.pin) == Recall::Return;
    view.judge(is.pin) == PinState::Live && group.has_member(is.pin) && !called_back()
}

/// What a template keeps of a choice: the pin, and above it whether it stands in for a dead next hop.
pub(crate) fn word_of(chosen: Chosen) -> PinWord {
    PinWord(chosen.pin.raw() | u64::from(chosen.stands_in) << Pin::BITS)
}

/// The choice that a template keeps.
pub(crate) const fn chosen_of(word: PinWord) -> Chosen {
    Chosen {
        pin: Pin::from_raw(word.0),
        stands_in: word.0 >> Pin::BITS & 1 == 1,
    }
}

//! Templates on the path of a packet, and the hand that keeps those of living flows.

use super::Shared;
use super::decide::{Choice, Query};
use crate::affinity::{affine, chosen_of, holds, told, word_of};
use crate::flows::pins_of;
use crate::routed::{PathView, Routed, debts};
use crate::time::Now;
use flowtable::{Dir, EntryView, TemplateWriter, Tick, Writer};
use route::{Chosen, Pin};

impl Shared {
    /// The templates, while there are any.
    pub(super) fn templates(&self) -> Option<&TemplateWriter> {
        self.templates.as_ref().filter(|t| t.table().in_use())
    }

    /// What the template of a flow's direction says, if it says something that holds.
    pub(super) fn told<K: Routed>(&self, choice: &Choice<'_>, q: &Query<'_, K>) -> Option<Chosen> {
        let place = (&choice.group, choice.bucket);
        told(self.templates()?.table(), &self.view, place, q.key, q.dir)
    }

    /// The next hop that the flows of a client share: the one they have, else `choice`. `None` if the route is not
    /// sticky, or there is no room for a template.
    pub(super) fn take(
        &self,
        choice: &Choice<'_>,
        by_group: Chosen,
        since: Tick,
        now: Now,
    ) -> Option<Chosen> {
        let (affine, templates) = (choice.affine?, self.templates.as_ref()?);
        let place = (&choice.group, choice.bucket);
        let keeps = |word| holds(&self.view, place, chosen_of(word));
        let term = affine.term(since, now);
        let taken = templates.take(affine.client(), term, word_of(by_group), keeps)?;
        Some(chosen_of(taken))
    }
}

/// The hand of one table.
pub(super) fn visit<K: Routed>(flows: &mut Writer<K>, s: &Shared, buckets: usize, now: Now) {
    let at = PathView {
        view: &s.view,
        secret: &s.secret,
    };
    let since = flows.round_since();
    flows.visit(buckets, now.tick(), |entry| {
        renew(s, entry, since, now);
        debts(entry, &at, now) > 0
    });
}

/// A flow lives, so its client's templates must not expire.
fn renew<K: Routed>(s: &Shared, entry: &EntryView<K>, since: Tick, now: Now) {
    let Some(templates) = s.templates().filter(|_| !entry.expired(now.tick())) else {
        return;
    };
    for (dir, pin) in [Dir::Fwd, Dir::Rev].into_iter().zip(pins_of(entry)) {
        let group = Some(dir).filter(|_| pin != Pin::NONE);
        let group = group.and_then(|dir| entry.key.lookup(&s.view, entry.key.dst(dir)));
        let group = group.map(|id| s.view.group(id));
        if let Some(affine) = group.and_then(|group| affine(&group, &entry.key, dir)) {
            templates.renew(affine.client(), affine.term(since, now));
        }
    }
}

/// An insert moved another flow to where the hand may have been already in this round.
pub(super) fn renew_moved<K: Routed>(flows: &Writer<K>, s: &Shared, now: Now) {
    if let Some(entry) = flows.moved() {
        renew(s, &entry, flows.round_since(), now);
    }
}

//! A group as it is saved, and made again of that.

use super::ctl::{GroupCtl, Shared};
use super::group::{Group, Member, Wanted};
use super::layout::{self, Layout, Stance};
use super::line::{Line, Lost, Owner};
use super::options::Options;
use crate::error::Full;
use crate::ids::{GroupId, Pin, Secs};
use crate::nhop::NhopCtl;
use crate::saved::{SavedGroup, SavedName, SavedRun};
use hashbrown::HashMap;

impl GroupCtl {
    /// A group as it is saved, but for its destinations and its buckets; `None`: it has but one bucket.
    pub(crate) fn save(&self, id: GroupId) -> Option<SavedGroup> {
        let group = self.get(id).filter(|group| group.buckets() > 1)?;
        let weight = |name| {
            let member = group.members.iter().find(|m| m.name == name);
            member.map(|m| m.is.weight)
        };
        let named = group.layout.saved_names();
        let names = named.iter().map(|(name, key)| SavedName {
            key: *key,
            weight: weight(*name),
        });
        Some(SavedGroup {
            routes: Vec::new(),
            uses: group.users(),
            options: group.options,
            names: names.collect(),
            runs: Vec::new(),
        })
    }

    /// Adds up to `most` of a group's buckets, from `from` on. The group is as it was when the saving began.
    pub(crate) fn save_buckets(
        &self,
        on: Shared<'_>,
        id: GroupId,
        (from, most): (u32, u32),
        now: Secs,
        saved: &mut SavedGroup,
    ) {
        let Some(group) = self.get(id) else {
            return;
        };
        let places = group.places();
        let place = |name: layout::Member| places.get(&name).copied();
        let by_pin: HashMap<Pin, u16> = group
            .members
            .iter()
            .filter_map(|m| Some((m.pin, place(m.name)?)))
            .collect();
        for bucket in from..group.buckets().min(from.saturating_add(most)) {
            let line = on.groups.line(group.buckets.base + bucket);
            let lost = line.into_iter().flat_map(Line::remembered);
            let run = SavedRun {
                buckets: 1,
                claims: group.layout.claims_of(bucket).filter_map(place).collect(),
                owner: group.layout.owner(bucket).and_then(place),
                remembered: lost
                    .filter_map(|lost| Some((*by_pin.get(&lost.pin())?, lost.age(now))))
                    .collect(),
            };
            append(&mut saved.runs, run);
        }
    }

    /// Makes a group of what was saved `age` seconds ago, with `wanted` as its members, that no route uses yet.
    pub(crate) fn restore(
        &mut self,
        on: Shared<'_>,
        nhops: &mut NhopCtl,
        saved: &SavedGroup,
        (wanted, options): (&[Wanted], Options),
        (age, now): (u32, Secs),
    ) -> Result<GroupId, Full> {
        let id = self.take_id(on)?;
        let buckets = self
            .take_lines(on, saved.buckets())
            .inspect_err(|_| self.give_id(id))?;
        let layout = Layout::restored(self.order(saved.buckets()), saved);
        self.install(on, id, layout, buckets, options);
        let remember = self.remember;
        if let Some(group) = self.get_mut(id) {
            let pins = group.take_back(nhops, saved, wanted);
            let lost_before = |seconds: u32| seconds.saturating_add(age);
            write_lines(
                on,
                group,
                saved,
                &pins,
                |seconds| Some(lost_before(seconds)).filter(|age| *age < remember),
                now,
            );
            group.members.iter().for_each(|m| nhops.join(m.is.idx, id));
        }
        if let Err(full) = self.set_members(on, nhops, id, wanted, now) {
            let members = self.get(id).map(|group| group.members.clone());
            let members = members.unwrap_or_default();
            members.iter().for_each(|m| nhops.leave(m.is.idx, id));
            self.discard(id);
            return Err(full);
        }
        self.share(nhops, id, wanted, options);
        self.forget_from(id, now);
        Ok(id)
    }
}

impl Group {
    /// The place of each of the layout's names among those that are saved.
    fn places(&self) -> HashMap<layout::Member, u16> {
        let named = self.layout.saved_names();
        named.iter().map(|(name, _)| *name).zip(0..).collect()
    }

    /// Makes those its members who were and are wanted, as they were. Returns the pin of each saved name.
    fn take_back(&mut self, nhops: &NhopCtl, saved: &SavedGroup, wanted: &[Wanted]) -> Vec<Pin> {
        let mut pins = vec![Pin::NONE; saved.names.len()];
        for (name, pin) in saved.names.iter().zip(&mut pins) {
            let (Some(weight), Some(idx)) = (name.weight, nhops.idx(&name.key)) else {
                continue;
            };
            let Some(is) = wanted.iter().find(|w| w.idx == idx) else {
                continue;
            };
            *pin = nhops.pin(idx);
            self.members.push(Member {
                is: Wanted { weight, ..*is },
                pin: *pin,
                name: self.layout.join(name.key),
            });
        }
        pins
    }
}

fn append(runs: &mut Vec<SavedRun>, run: SavedRun) {
    match runs.last_mut() {
        Some(last)
            if (&last.claims, last.owner, &last.remembered)
                == (&run.claims, run.owner, &run.remembered) =>
        {
            last.buckets += 1;
        }
        _ => runs.push(run),
    }
}

/// Writes owners and history to lines that nobody reads yet.
fn write_lines(
    on: Shared<'_>,
    group: &Group,
    saved: &SavedGroup,
    pins: &[Pin],
    age: impl Fn(u32) -> Option<u32>,
    now: Secs,
) {
    let pin = |name: u16| pins.get(usize::from(name)).copied().unwrap_or_default();
    let mut lines = group.buckets.base..group.buckets.end();
    for run in &saved.runs {
        let lost: Vec<Lost> = run
            .remembered
            .iter()
            .filter(|(name, _)| pin(*name) != Pin::NONE)
            .filter_map(|(name, seconds)| {
                let at = Secs(now.0.wrapping_sub(age(*seconds)?));
                Some(Lost::new(pin(*name), at))
            })
            .collect();
        let owner = Owner {
            pin: run.owner.map(pin).unwrap_or_default(),
            stance: Stance::Own,
        };
        for line in lines.by_ref().take(run.buckets as usize) {
            if let Some(line) = on.groups.line(line) {
                line.restore(owner, &lost);
            }
        }
    }
}

//! Which member holds and which owns each bucket of a group: control's state, never told to workers.
//!
//! Two layers, moved by the same few rules:
//! - the *holder* is a member with weight, dead or alive: it changes when the group's members or weights do;
//! - the *owner* is the holder if it may take flows now, else a substitute.
//!
//! So a death moves the dead member's buckets and nothing else, and its return gives exactly those back. Every
//! holder has exactly what `deal` says is due to it, so it is off its share by less than a bucket whatever happened
//! before, and a bucket moves only if its holder is away, or has too many since members or weights changed. Members
//! that are away are remembered by name (see `claims`): who returns gets its own, as far as its due goes.
//!
//! The same operations at the same times lead to the same layout everywhere: gateways of a pair agree.

mod owners;

use super::claims::Claims;
use super::deal::{Tally, apportion};
use crate::nhop::NhopKey;
use crate::saved::{SavedGroup, SavedName};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of a name in a layout: a member's, or that of one who is away.
pub(crate) type Member = usize;

/// Names of those away that a layout remembers at most.
const MOST_AWAY: usize = 1024;

/// What a member is due, and what it may do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Share of buckets; 0 if it is away.
    pub(crate) weight: u32,
    /// Whether it may own buckets now.
    pub(crate) eligible: bool,
    /// Whether it keeps buckets when nobody is eligible: it is dead, but nobody took it out.
    pub(crate) stays: bool,
    /// Whether it came back, or was added or weighed anew, just now.
    pub(crate) takes: bool,
    /// With a slow start: which part of the buckets that it holds it may own now.
    pub(crate) start: Option<Part>,
}

/// What a bucket's owner is to the flows that a death sent away from the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stance {
    /// Nothing.
    #[default]
    Own,
    /// It has them, until the one who died is back.
    StandIn,
    /// It died and is back.
    Back,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) done: u32,
    pub(crate) of: u32,
    /// Whether it had died before.
    pub(crate) died: bool,
}

impl Part {
    /// Of `whole` this part, rounded down.
    pub(crate) fn of(self, whole: u32) -> u32 {
        let part = u64::from(whole) * u64::from(self.done) / u64::from(self.of.max(1));
        (part as u32).min(whole)
    }
}

#[derive(Clone, Debug)]
struct Name {
    key: NhopKey,
    /// When it left, in departures; `None` while it is a member.
    left: Option<u64>,
}

/// One group's buckets.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    claims: Box<[Claims]>,
    owners: Box<[Option<Member>]>,
    /// For each bucket: the holder, if that has died since it holds it. Until it is back its owner stands in.
    died: Box<[Option<u16>]>,
    names: Vec<Option<Name>>,
    departures: u64,
    /// The order in which buckets are dealt.
    order: Arc<[u32]>,
    /// Earlier owners that each bucket remembers: the fewer, the sooner it may be given away again.
    remembered: Box<[u8]>,
}

/// A fixed, scattered order of `buckets` buckets: neighbours differ, so the buckets of a member do not all have
/// the same successor.
pub(crate) fn scattered(buckets: u32) -> Arc<[u32]> {
    let mut order: Vec<u32> = (0..buckets).collect();
    order.sort_by_cached_key(|bucket| {
        let x = (u64::from(*bucket) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    });
    order.into()
}

impl Layout {
    /// Buckets that nobody has, dealt in `order`.
    pub(crate) fn new(order: Arc<[u32]>) -> Self {
        Self {
            claims: vec![Claims::NONE; order.len()].into(),
            owners: vec![None; order.len()].into(),
            died: vec![None; order.len()].into(),
            names: Vec::new(),
            departures: 0,
            remembered: vec![0; order.len()].into(),
            order,
        }
    }

    /// The same members with other buckets, all of them `holder`'s.
    pub(crate) fn grown(&self, holder: Member, order: Arc<[u32]>) -> Self {
        let mut claims = Claims::NONE;
        claims.claim(holder);
        Self {
            claims: vec![claims; order.len()].into(),
            owners: vec![Some(holder); order.len()].into(),
            died: vec![None; order.len()].into(),
            names: self.names.clone(),
            departures: self.departures,
            remembered: vec![0; order.len()].into(),
            order,
        }
    }

    /// Learns how many earlier owners each bucket remembers.
    pub(crate) fn set_remembered(&mut self, count: impl Fn(u32) -> u8) {
        (0..)
            .zip(&mut self.remembered)
            .for_each(|(bucket, n)| *n = count(bucket));
    }

    /// Buckets in the order in which they are offered, the first to be given last. A bucket's history has few
    /// places, so those that remember least go first; among these the ones that someone away has a claim on,
    /// whose holders only stand in.
    fn offered(&self) -> Vec<u32> {
        let mut offered = self.order.to_vec();
        offered.sort_by_key(|b| {
            let contested = self.claims[*b as usize].is_contested();
            (Reverse(self.remembered[*b as usize].max(1)), contested)
        });
        offered
    }

    /// The layout that was saved. Everyone in it is away, until joined.
    pub(super) fn restored(order: Arc<[u32]>, saved: &SavedGroup) -> Self {
        let mut layout = Self::new(order);
        // Behind the members are those who left, the first first; members that do not join leave last.
        let members = saved.names.iter().filter(|n| n.weight.is_some()).count();
        let count = saved.names.len();
        let name = |(place, name): (usize, &SavedName)| {
            let left = (place + count - members) % count + 1;
            let (key, left) = (name.key, Some(left as u64));
            Some(Name { key, left })
        };
        layout.names = saved.names.iter().enumerate().map(name).collect();
        layout.departures = count as u64;
        let mut bucket = 0;
        for run in &saved.runs {
            for _ in 0..run.buckets {
                let claims = &mut layout.claims[bucket];
                run.claims
                    .iter()
                    .rev()
                    .for_each(|c| claims.claim((*c).into()));
                layout.owners[bucket] = run.owner.map(usize::from);
                bucket += 1;
            }
        }
        layout
    }

    /// Names and what they stand for: members, then those who have left, the first first.
    pub(super) fn saved_names(&self) -> Vec<(Member, NhopKey)> {
        let names = self.names.iter().enumerate();
        let mut named: Vec<(Option<u64>, Member, NhopKey)> = names
            .filter_map(|(number, name)| name.as_ref().map(|n| (n.left, number, n.key)))
            .collect();
        named.sort_unstable();
        named
            .into_iter()
            .map(|(_, number, key)| (number, key))
            .collect()
    }

    /// Who has a claim on a bucket: the latest first.
    pub(super) fn claims_of(&self, bucket: u32) -> impl Iterator<Item = Member> + '_ {
        let claims = self.claims.get(bucket as usize);
        claims.into_iter().flat_map(Claims::iter)
    }

    /// Number of buckets.
    pub(crate) fn buckets(&self) -> u32 {
        self.order.len() as u32
    }

    /// Who owns a bucket.
    pub(crate) fn owner(&self, bucket: u32) -> Option<Member> {
        self.owners.get(bucket as usize).copied().flatten()
    }

    /// Whether a bucket's owner stands in for one who died, or is that one, come back.
    pub(crate) fn stance(&self, bucket: u32) -> Stance {
        let died = self.died.get(bucket as usize).copied().flatten();
        match (died.map(usize::from), self.owner(bucket)) {
            (None, _) => Stance::Own,
            (Some(died), Some(owner)) if died == owner => Stance::Back,
            (Some(_), _) => Stance::StandIn,
        }
    }

    /// Buckets that each name owns.
    pub(crate) fn owned(&self) -> Vec<u32> {
        let mut owned = vec![0; self.names.len()];
        self.owners.iter().flatten().for_each(|m| owned[*m] += 1);
        owned
    }

    /// Names, present and away.
    #[cfg(test)]
    #[cfg(not(loom))]
    fn names(&self) -> usize {
        self.names.iter().flatten().count()
    }

    /// The number of a member that joins (again).
    pub(crate) fn join(&mut self, key: NhopKey) -> Member {
        if let Some((member, name)) = self.named(&key) {
            name.left = None;
            return member;
        }
        self.forget_unclaimed();
        let name = Some(Name { key, left: None });
        match self.names.iter().position(Option::is_none) {
            Some(free) => {
                self.names[free] = name;
                free
            }
            None => {
                self.names.push(name);
                self.names.len() - 1
            }
        }
    }

    fn named(&mut self, key: &NhopKey) -> Option<(Member, &mut Name)> {
        let names = self.names.iter_mut().enumerate();
        names
            .filter_map(|(m, name)| Some((m, name.as_mut()?)))
            .find(|(_, name)| name.key == *key)
    }

    /// A member leaves. Its claims stay, in case that it returns.
    pub(crate) fn leave(&mut self, member: Member) {
        self.departures += 1;
        if let Some(Some(name)) = self.names.get_mut(member) {
            name.left = Some(self.departures);
        }
    }

    /// Drops the names of those away that no bucket remembers, and of those away longest if they are many.
    fn forget_unclaimed(&mut self) {
        let away = |name: &Option<Name>| name.as_ref().and_then(|n| n.left);
        let mut left: Vec<u64> = self.names.iter().filter_map(away).collect();
        if left.is_empty() {
            return;
        }
        left.sort_unstable();
        let oldest_kept = left.len().checked_sub(MOST_AWAY).map_or(0, |i| left[i]);
        let mut claimed = vec![false; self.names.len()];
        self.claims
            .iter()
            .flat_map(Claims::iter)
            .for_each(|m| claimed[m] = true);
        for (member, name) in self.names.iter_mut().enumerate() {
            let Some(at) = away(name) else { continue };
            if at < oldest_kept {
                self.claims
                    .iter_mut()
                    .for_each(|claims| claims.drop_claim(member));
            }
            if at < oldest_kept || !claimed[member] {
                *name = None;
            }
        }
    }

    /// Moves what has to move after members, weights or states changed. `standing` is by member number.
    pub(crate) fn settle(&mut self, standing: &[Standing]) {
        let mut standing = standing.to_vec();
        standing.resize(self.names.len(), Standing::default());
        let reheld = self.settle_holders(&standing);
        self.settle_owners(&standing, reheld);
        self.note_deaths(&standing);
    }

    fn note_deaths(&mut self, standing: &[Standing]) {
        let weights: Vec<u32> = standing.iter().map(|s| s.weight).collect();
        let away = |m: Member| {
            let Standing {
                eligible, stays, ..
            } = standing[m];
            !eligible && stays || standing[m].start.is_some_and(|part| part.died)
        };
        for bucket in 0..self.buckets() {
            let holder = self.holder(bucket, &weights);
            let died = &mut self.died[bucket as usize];
            let before = died.map(usize::from);
            *died = holder
                .filter(|m| away(*m) || before == Some(*m))
                .map(|m| m as u16);
        }
    }

    fn holder(&self, bucket: u32, weights: &[u32]) -> Option<Member> {
        self.claims
            .get(bucket as usize)?
            .first()
            .filter(|m| weights[*m] > 0)
    }

    /// Returns whether any bucket has another holder now.
    fn settle_holders(&mut self, standing: &[Standing]) -> bool {
        let weights: Vec<u32> = standing.iter().map(|s| s.weight).collect();
        if weights.iter().all(|w| *w == 0) {
            return false;
        }
        let own = self.own_of_returning(&weights);
        let mut tally = self.tally_holders(standing, &weights, &own);
        let reheld = !tally.is_even();
        self.return_own(own, &weights, &mut tally);
        self.adopt_owners(standing, &weights, &mut tally);
        let unheld = |b: &u32| self.holder(*b, &weights).is_none();
        let orphans: Vec<u32> = self.order.iter().copied().filter(unheld).collect();
        tally.spread(orphans.into_iter(), &weights, |bucket, member| {
            self.claims[bucket as usize].claim(member);
        });
        if !tally.is_even() {
            let mut offers = self.offers(weights.len(), |layout, b| layout.holder(b, &weights));
            tally.fill(
                |_| true,
                &mut offers,
                |bucket, donor, taker| {
                    self.claims[bucket as usize].drop_claim(donor);
                    self.claims[bucket as usize].claim(taker);
                },
            );
        }
        self.drop_lost_claims(&weights);
        reheld
    }

    /// The buckets that each member may give, the first last.
    fn offers(
        &self,
        members: usize,
        giver: impl Fn(&Self, u32) -> Option<Member>,
    ) -> Vec<Vec<u32>> {
        let mut offers = vec![Vec::new(); members];
        for bucket in self.offered() {
            if let Some(member) = giver(self, bucket) {
                offers[member].push(bucket);
            }
        }
        offers
    }

    /// Whoever is there has claims on what it holds, and no others.
    fn drop_lost_claims(&mut self, weights: &[u32]) {
        for claims in &mut self.claims {
            let all = *claims;
            let lost = all.iter().skip(1).filter(|m| weights[*m] > 0);
            lost.for_each(|member| claims.drop_claim(member));
        }
    }

    /// What members hold and are due. Where rounding leaves a choice, the odd buckets stay with who would have them if
    /// everybody had its own, and who stands in for someone away had that.
    fn tally_holders(
        &self,
        standing: &[Standing],
        weights: &[u32],
        own: &BTreeMap<Member, Vec<u32>>,
    ) -> Tally {
        let (mut has, mut keeps) = (vec![0; weights.len()], vec![0; weights.len()]);
        let would_keep = |b| {
            self.holder(b, weights)
                .or_else(|| self.substitute(b, standing))
        };
        for bucket in 0..self.buckets() {
            if let Some(holder) = self.holder(bucket, weights) {
                has[holder] += 1;
            }
            if let Some(member) = would_keep(bucket) {
                keeps[member] += 1;
            }
        }
        for (member, buckets) in own {
            keeps[*member] += buckets.len() as u32;
            let losers = buckets.iter().filter_map(|b| would_keep(*b));
            losers.for_each(|m| keeps[m] -= 1);
        }
        let due = apportion(self.buckets(), weights, &keeps);
        Tally { has, due }
    }

    /// Who owns a bucket and may hold it too.
    fn substitute(&self, bucket: u32, standing: &[Standing]) -> Option<Member> {
        let may = |m: &Member| standing[*m].eligible && standing[*m].weight > 0;
        self.owner(bucket).filter(may)
    }

    /// Who comes back takes what it had, as far as that is due to it and beyond the due of who has it: first from
    /// whoever has most, then what nobody holds.
    fn return_own(&mut self, own: BTreeMap<Member, Vec<u32>>, weights: &[u32], tally: &mut Tally) {
        for (member, own) in own {
            let mut offers = vec![Vec::new(); weights.len()];
            let mut unheld = Vec::new();
            for bucket in own {
                self.holder(bucket, weights)
                    .map_or(&mut unheld, |m| &mut offers[m])
                    .push(bucket);
            }
            while tally.short(member) > 0 {
                let gives = |m: &Member| !offers[*m].is_empty() && tally.short(*m) < 0;
                let donors = (0..weights.len()).filter(gives);
                let donor = donors.max_by_key(|m| (-tally.short(*m), Reverse(*m)));
                let bucket = match donor {
                    Some(donor) => offers[donor].pop(),
                    None => unheld.pop(),
                };
                let Some(bucket) = bucket else { break };
                self.claims[bucket as usize].reclaim(member);
                tally.has[member] += 1;
                donor.into_iter().for_each(|m| tally.has[m] -= 1);
            }
        }
    }

    /// Who comes back, and the buckets that it had: whoever was there all the time has no claim but on what it holds.
    fn own_of_returning(&self, weights: &[u32]) -> BTreeMap<Member, Vec<u32>> {
        let mut own: BTreeMap<Member, Vec<u32>> = BTreeMap::new();
        for bucket in self.order.iter().copied() {
            let holder = self.holder(bucket, weights);
            let mut claims = self.claims[bucket as usize].iter();
            if let Some(member) = claims.find(|m| holder != Some(*m) && weights[*m] > 0) {
                own.entry(member).or_default().push(bucket);
            }
        }
        own
    }

    /// Buckets whose holder went away, but which a substitute owns already, go to that substitute, or to a member
    /// that cannot own them now, as far as they are due to these. So deleting what was dead before moves nothing.
    fn adopt_owners(&mut self, standing: &[Standing], weights: &[u32], tally: &mut Tally) {
        let absent: Vec<Member> = (0..weights.len())
            .filter(|m| weights[*m] > 0 && !standing[*m].eligible)
            .collect();
        for bucket in Arc::clone(&self.order).iter().copied() {
            if self.holder(bucket, weights).is_some() {
                continue;
            }
            let Some(owner) = self.substitute(bucket, standing) else {
                continue;
            };
            let instead = absent.iter().copied().max_by_key(|m| tally.short(*m));
            let mut heirs = [Some(owner), instead].into_iter().flatten();
            if let Some(heir) = heirs.find(|m| tally.short(*m) > 0) {
                self.claims[bucket as usize].claim(heir);
                tally.has[heir] += 1;
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
#[path = "layout_tests.rs"]
mod tests;

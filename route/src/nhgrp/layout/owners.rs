//! Who owns each bucket: its holder if that may take flows now, else a substitute.

use super::super::deal::Tally;
use super::{Layout, Member, Standing};
use std::sync::Arc;

impl Layout {
    /// `reheld`: holders have changed.
    pub(super) fn settle_owners(&mut self, standing: &[Standing], reheld: bool) {
        let all: Vec<u32> = standing.iter().map(|s| s.weight).collect();
        let weights: Vec<u32> = standing
            .iter()
            .map(|s| if s.eligible { s.weight } else { 0 })
            .collect();
        if weights.iter().all(|w| *w == 0) {
            return self.nobody_eligible(standing, &all);
        }
        let mut room = self.room_of_starting(standing, &all);
        let order = Arc::clone(&self.order);
        let mut orphans = Vec::new();
        for bucket in order.iter().copied() {
            let holder = self.holder(bucket, &all).filter(|m| weights[*m] > 0);
            let substitute = self.owner(bucket).filter(|m| weights[*m] > 0);
            let holder = holder.filter(|m| substitute == Some(*m) || take_room(&mut room[*m]));
            self.owners[bucket as usize] = holder.or(substitute);
            if holder.or(substitute).is_none() {
                orphans.push(bucket);
            }
        }
        if orphans.is_empty() && weights == all {
            return;
        }
        let mut tally = self.tally_owners(standing, &weights);
        // Who starts slowly stands in for nobody.
        tally.spread(
            orphans.into_iter(),
            &unstarted(standing, &weights),
            |bucket, member| {
                self.owners[bucket as usize] = Some(member);
            },
        );
        // What is stood in for is evened out when somebody comes or holders change, not when one dies, nor at each step
        // of a slow start.
        let starting = standing.iter().any(|s| s.start.is_some());
        let came = standing.iter().any(|s| s.takes) || reheld;
        let takes = |m: Member| standing[m].takes || came && !starting;
        if tally.is_even() || !(0..standing.len()).any(takes) {
            return;
        }
        // Only what somebody stands in for is given, never what one holds itself.
        let mut offers = self.offers(weights.len(), |layout, b| {
            let holder = layout.holder(b, &all);
            let starts = holder.is_some_and(|m| standing[m].start.is_some());
            layout
                .owner(b)
                .filter(|owner| !starts && holder != Some(*owner))
        });
        tally.fill(takes, &mut offers, |bucket, _, taker| {
            self.owners[bucket as usize] = Some(taker);
        });
    }

    /// What members own and are due of what those who start slowly do not own.
    fn tally_owners(&self, standing: &[Standing], weights: &[u32]) -> Tally {
        let owners = self.owners.iter().flatten().copied();
        let (started, others): (Vec<_>, Vec<_>) =
            owners.partition(|m| standing[*m].start.is_some());
        let buckets = self.buckets() - started.len() as u32;
        Tally::new(buckets, &unstarted(standing, weights), others.into_iter())
    }

    /// How many more of the buckets that it holds each member may come to own, one at least in all: what it has of
    /// its own is not taken back.
    fn room_of_starting(&self, standing: &[Standing], weights: &[u32]) -> Vec<Option<u32>> {
        if standing.iter().all(|s| s.start.is_none()) {
            return vec![None; standing.len()];
        }
        let (mut held, mut own) = (vec![0; weights.len()], vec![0; weights.len()]);
        for bucket in 0..self.buckets() {
            let Some(holder) = self.holder(bucket, weights) else {
                continue;
            };
            held[holder] += 1;
            own[holder] += u32::from(self.owner(bucket) == Some(holder));
        }
        let room = |m: Member| {
            let most = standing[m].start?.of(held[m]).max(1);
            Some(most.saturating_sub(own[m]))
        };
        (0..standing.len()).map(room).collect()
    }

    /// The dead keep what they own, so that nothing moves when they return; nobody else owns anything.
    fn nobody_eligible(&mut self, standing: &[Standing], weights: &[u32]) {
        let stays = |m: &Member| standing[*m].stays && standing[*m].weight > 0;
        for bucket in 0..self.buckets() {
            let owner = self.owner(bucket).filter(stays);
            let holder = self.holder(bucket, weights).filter(stays);
            self.owners[bucket as usize] = owner.or(holder);
        }
    }
}

/// The weights of those who do not start slowly.
fn unstarted(standing: &[Standing], weights: &[u32]) -> Vec<u32> {
    let weights = weights.iter().zip(standing);
    weights
        .map(|(weight, s)| s.start.map_or(*weight, |_| 0))
        .collect()
}

/// Whether a member may own one bucket more, which counts from now on.
fn take_room(room: &mut Option<u32>) -> bool {
    match room {
        None => true,
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
    }
}

//! Who owns each bucket: its holder if that may take flows now, else a substitute.

use super::super::deal::Tally;
use super::{Layout, Member, Standing};
use std::sync::Arc;

impl Layout {
    pub(super) fn settle_owners(&mut self, standing: &[Standing]) {
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
        let owners = self.owners.iter().flatten().copied();
        // Who starts slowly stands in for nobody.
        let weights: Vec<u32> = weights
            .iter()
            .zip(standing)
            .map(|(weight, s)| s.start.map_or(*weight, |_| 0))
            .collect();
        let mut tally = Tally::new(self.buckets(), &weights, owners);
        tally.spread(orphans.into_iter(), &weights, |bucket, member| {
            self.owners[bucket as usize] = Some(member);
        });
        if standing.iter().all(|s| !s.takes) {
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
        tally.fill(
            |m| standing[m].takes,
            &mut offers,
            |bucket, _, taker| {
                self.owners[bucket as usize] = Some(taker);
            },
        );
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

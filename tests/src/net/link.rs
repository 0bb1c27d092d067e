//! What a link does to the frames that cross it: delay, jitter, loss, copies, another order. All by one seeded
//! generator, so that a scenario repeats exactly.

/// What a link does. Parts of a thousand are exact: 0 never, 1000 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Every frame takes so long, ms.
    pub delay_ms: u64,
    /// And up to so much longer, ms.
    pub jitter_ms: u64,
    /// Lost, of a thousand.
    pub loss: u32,
    /// Delivered twice, of a thousand.
    pub duplicate: u32,
    /// Whether a frame may overtake another (jitter decides); otherwise they queue.
    pub reorder: bool,
}

impl Conditions {
    /// Every frame arrives, once, in order, a millisecond later.
    pub const GOOD: Self = Self {
        delay_ms: 1,
        jitter_ms: 0,
        loss: 0,
        duplicate: 0,
        reorder: false,
    };

    /// Loses and copies one in twenty each, and lets frames overtake each other by up to 20 ms.
    pub const BAD: Self = Self {
        delay_ms: 2,
        jitter_ms: 20,
        loss: 50,
        duplicate: 50,
        reorder: true,
    };

    /// Loses everything.
    pub const CUT: Self = Self {
        loss: 1000,
        ..Self::GOOD
    };
}

/// One direction of a segment.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) conditions: Conditions,
    last_at: u64,
    /// Frames that were lost on it.
    pub(super) lost: u64,
}

impl Link {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            last_at: 0,
            lost: 0,
        }
    }

    /// When each copy of a frame sent at `now` arrives: none, one or two times.
    pub(super) fn arrivals(
        &mut self,
        now: u64,
        rng: &mut fastrand::Rng,
    ) -> impl Iterator<Item = u64> + use<> {
        let Conditions {
            loss, duplicate, ..
        } = self.conditions;
        let copies = if rng.u32(..1000) < loss {
            self.lost += 1;
            0
        } else {
            1 + usize::from(rng.u32(..1000) < duplicate)
        };
        let mut at = [0; 2];
        for at in &mut at[..copies] {
            *at = self.arrival(now, rng);
        }
        at.into_iter().take(copies)
    }

    fn arrival(&mut self, now: u64, rng: &mut fastrand::Rng) -> u64 {
        let Conditions {
            delay_ms,
            jitter_ms,
            reorder,
            ..
        } = self.conditions;
        let at = now + delay_ms + rng.u64(..=jitter_ms);
        if reorder {
            return at;
        }
        self.last_at = self.last_at.max(at);
        self.last_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossing(conditions: Conditions) -> Vec<Vec<u64>> {
        let mut link = Link::new(conditions);
        let mut rng = fastrand::Rng::with_seed(7);
        (0..1000)
            .map(|now| link.arrivals(now, &mut rng).collect())
            .collect()
    }

    #[test]
    fn a_good_link_delivers_each_frame_once_and_in_order() {
        let got = crossing(Conditions::GOOD);
        assert!(got.iter().enumerate().all(|(i, at)| *at == [i as u64 + 1]));
    }

    #[test]
    fn a_cut_link_delivers_nothing_and_a_bad_one_most_of_it_in_another_order() {
        assert!(crossing(Conditions::CUT).iter().all(Vec::is_empty));
        let got = crossing(Conditions::BAD);
        let lost = got.iter().filter(|at| at.is_empty()).count();
        let copied = got.iter().filter(|at| at.len() == 2).count();
        assert!((20..100).contains(&lost), "{lost}");
        assert!((20..100).contains(&copied), "{copied}");
        let flat: Vec<u64> = got.concat();
        assert!(!flat.is_sorted(), "nothing overtook anything");
    }

    #[test]
    fn jitter_without_reordering_keeps_the_order() {
        let conditions = Conditions {
            reorder: false,
            ..Conditions::BAD
        };
        assert!(crossing(conditions).concat().is_sorted());
    }
}

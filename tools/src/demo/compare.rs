//! The other gateways beside ours: each event's effect on the same flows, under the three models.

use super::addressing::ServerNo;
use super::models::{Member, Resilient, Tuple, hash_threshold, mod_n};

/// Buckets of the resilient group: some fifty a next hop, a usual choice on Linux.
const RESILIENT_BUCKETS: usize = 256;

/// What one model does at one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) model: &'static str,
    /// Flows that it moves although their next hop stays.
    pub(crate) moved: usize,
    /// Flows whose next hop stays, under this model.
    pub(crate) of: usize,
}

/// The three models, before the next event.
pub(crate) struct Comparison {
    members: Vec<Member>,
    resilient: Resilient,
}

impl Comparison {
    /// All three with these next hops.
    pub(crate) fn new(members: Vec<Member>) -> Self {
        let resilient = Resilient::new(RESILIENT_BUCKETS, &members);
        Self { members, resilient }
    }

    /// An event leaves `members` with weights above 0 (models know no drain: their operator can only take the
    /// next hop out), and `leaves` is gone itself. All `flows` are busy.
    pub(crate) fn event(
        &mut self,
        flows: &[Tuple],
        members: Vec<Member>,
        leaves: Option<ServerNo>,
    ) -> [Compared; 3] {
        let before = std::mem::replace(&mut self.members, members);
        let resilient = self.resilient.clone();
        self.resilient.change(&self.members, flows);
        let (now, buckets) = (&self.members, &self.resilient);
        type Place<'a> = &'a dyn Fn(&Tuple) -> Option<ServerNo>;
        let count = |model, was: Place<'_>, is: Place<'_>| {
            let kept = flows
                .iter()
                .filter(|t| was(t).is_some() && was(t) != leaves);
            let (mut of, mut moved) = (0, 0);
            for tuple in kept {
                of += 1;
                moved += usize::from(was(tuple) != is(tuple));
            }
            Compared { model, moved, of }
        };
        [
            count("(src xor dst) mod n", &|t| mod_n(t, &before), &|t| {
                mod_n(t, now)
            }),
            count("hash-threshold", &|t| hash_threshold(t, &before), &|t| {
                hash_threshold(t, now)
            }),
            count("resilient buckets", &|t| resilient.place(t), &|t| {
                buckets.place(t)
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::addressing::{ECHO_PORT, SERVICE4, client4};

    fn members(servers: &[u8]) -> Vec<Member> {
        servers
            .iter()
            .map(|&no| Member {
                server: ServerNo(no),
                weight: 1,
            })
            .collect()
    }

    fn flows() -> Vec<Tuple> {
        let tuple = |i| Tuple {
            client: (client4(i), 40_000 + i as u16).into(),
            service: (SERVICE4, ECHO_PORT).into(),
        };
        (0..1000).map(tuple).collect()
    }

    #[test]
    fn a_deletion_is_counted_for_the_flows_of_the_others_only() {
        let mut comparison = Comparison::new(members(&[0, 1, 2, 3]));
        let others = comparison.event(&flows(), members(&[0, 1, 2]), Some(ServerNo(3)));
        for compared in &others {
            assert!(compared.of > 650 && compared.of < 850, "{compared:?}");
        }
        let share = |i: usize| others[i].moved as f64 / others[i].of as f64;
        assert!((share(0) - 0.67).abs() < 0.06 && (share(1) - 1.0 / 3.0).abs() < 0.06);
        assert_eq!(others[2].moved, 0);
    }

    #[test]
    fn a_drain_moves_all_flows_of_the_drained_one_under_every_model() {
        let mut comparison = Comparison::new(members(&[0, 1, 2, 3]));
        let others = comparison.event(&flows(), members(&[0, 1, 2]), None);
        for compared in others {
            assert!(compared.of == 1000 && compared.moved > 150, "{compared:?}");
        }
    }

    #[test]
    fn an_event_that_changes_nothing_moves_nothing() {
        let mut comparison = Comparison::new(members(&[0, 1, 2]));
        let others = comparison.event(&flows(), members(&[0, 1, 2]), None);
        assert!(
            others
                .iter()
                .all(|compared| (compared.moved, compared.of) == (0, 1000))
        );
    }
}

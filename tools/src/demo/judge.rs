//! The verdict on one event: what became of each flow, from what both sides saw before and after it.
//!
//! Pure. The client knows who answers; the gateway's flow list knows where a flow is pinned. They must agree,
//! before and after. A flow whose next hop stays must stay on it and keep being answered; a flow whose next hop
//! leaves must move, and is expected to break: no other server knows its connection.

use std::collections::{BTreeMap, HashMap};

use super::addressing::ServerNo;
use super::clients::{Break, ConnId, Seen};
use super::models::Tuple;

/// The gateway's name for moves that nothing explains; there must be none.
pub(crate) const COLLATERAL: &str = "collateral";
/// Failures that are told one by one; the rest is counted.
const TOLD: usize = 5;

/// One connection at one time, as both sides see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) id: ConnId,
    pub(crate) tuple: Tuple,
    /// The server that answers it (client).
    pub(crate) server: Option<ServerNo>,
    /// The server that it is pinned to (gateway).
    pub(crate) pinned: Option<ServerNo>,
    pub(crate) answers: u64,
    pub(crate) is_silent: bool,
    pub(crate) broken: Option<Break>,
    pub(crate) slowest_ms: u64,
}

/// Where the gateway says that each flow goes.
pub(crate) type Pins = HashMap<Tuple, ServerNo>;

/// Puts the two views together.
pub(crate) fn observe(seen: Vec<Seen>, pins: &Pins) -> Vec<Observed> {
    let both = |seen: Seen| {
        let tuple = Tuple {
            client: seen.local,
            service: seen.service,
        };
        Observed {
            id: seen.id,
            server: seen.server.as_deref().and_then(ServerNo::from_name),
            pinned: pins.get(&tuple).copied(),
            tuple,
            answers: seen.answers,
            is_silent: seen.is_silent,
            broken: seen.broken,
            slowest_ms: seen.slowest_ms,
        }
    };
    seen.into_iter().map(both).collect()
}

/// How many flows broke, by [`Break::kind`].
pub(crate) type Breaks = BTreeMap<&'static str, usize>;

/// What became of the flows of next hops that stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Staying {
    pub(crate) flows: usize,
    pub(crate) stayed: usize,
    pub(crate) moved: usize,
    pub(crate) broke: Breaks,
    /// The longest wait for an answer among them, in milliseconds.
    pub(crate) slowest_ms: u64,
}

/// What became of the flows of the next hop that left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) flows: usize,
    /// Silent while it was away: still pinned to it.
    pub(crate) silent: usize,
    pub(crate) moved: usize,
    pub(crate) broke: Breaks,
}

/// The verdict on an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) staying: Staying,
    pub(crate) leaving: Leaving,
    /// Moves that the gateway counted, by reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// What must not be, a line each.
    pub(crate) failures: Vec<String>,
}

/// Judges an event by what was seen `before` and `after` it; `leaves` is the next hop that it takes away. `counted`
/// are the gateway's own counts of moves since, by reason.
pub(crate) fn judge(
    before: &[Observed],
    after: &[Observed],
    leaves: Option<ServerNo>,
    counted: BTreeMap<String, u64>,
) -> Outcome {
    let later: HashMap<ConnId, &Observed> = after.iter().map(|o| (o.id, o)).collect();
    let mut outcome = Outcome {
        reasons: counted,
        ..Outcome::default()
    };
    let mut failures = Vec::new();
    for was in before.iter().filter(|was| was.broken.is_none()) {
        let Some(server) = was.server else { continue };
        failures.extend(disagreement(was));
        let Some(is) = later.get(&was.id) else {
            continue;
        };
        if leaves == Some(server) {
            judge_leaving(&mut outcome.leaving, server, is);
        } else {
            failures.extend(judge_staying(&mut outcome.staying, server, was, is));
        }
    }
    failures.extend(wrong_count(&outcome));
    if let Some(count) = outcome.reasons.get(COLLATERAL) {
        failures.push(format!(
            "the gateway counted {count} moves for no reason at all"
        ));
    }
    outcome.failures = shorten(failures);
    outcome
}

/// The gateway and the client must name the same server for a flow that lives.
fn disagreement(seen: &Observed) -> Option<String> {
    if seen.pinned == seen.server {
        return None;
    }
    let name = |no: Option<ServerNo>| no.map_or_else(|| "nobody".to_owned(), |no| no.to_string());
    let (pinned, server) = (name(seen.pinned), name(seen.server));
    Some(format!(
        "{}: the gateway says {pinned}, the client is answered by {server}",
        who(seen)
    ))
}

fn judge_leaving(leaving: &mut Leaving, server: ServerNo, is: &Observed) {
    leaving.flows += 1;
    leaving.silent += usize::from(is.is_silent && is.broken.is_none());
    leaving.moved += usize::from(is.pinned != Some(server));
    if let Some(how) = &is.broken {
        *leaving.broke.entry(how.kind()).or_default() += 1;
    }
}

fn judge_staying(
    staying: &mut Staying,
    server: ServerNo,
    was: &Observed,
    is: &Observed,
) -> Option<String> {
    staying.flows += 1;
    staying.slowest_ms = staying.slowest_ms.max(is.slowest_ms);
    if let Some(how) = &is.broken {
        *staying.broke.entry(how.kind()).or_default() += 1;
        return Some(format!("{} broke although {server} stays: {how}", who(is)));
    }
    if !is.is_silent && is.answers <= was.answers {
        *staying.broke.entry(Break::Stalled.kind()).or_default() += 1;
        return Some(format!(
            "{} broke although {server} stays: no answer since",
            who(is)
        ));
    }
    if is.pinned.is_some_and(|pinned| pinned != server) {
        staying.moved += 1;
        let to = is.pinned.unwrap_or(server);
        return Some(format!(
            "{} moved from {server} to {to} although {server} stays",
            who(is)
        ));
    }
    staying.stayed += 1;
    disagreement(is)
}

/// The gateway must have counted each move once, under one reason.
fn wrong_count(outcome: &Outcome) -> Option<String> {
    let counted: u64 = outcome.reasons.values().sum();
    let moved = (outcome.staying.moved + outcome.leaving.moved) as u64;
    (counted != moved).then(|| {
        format!("the flow list shows {moved} moved flows, the gateway counted {counted} moves")
    })
}

fn who(seen: &Observed) -> String {
    format!(
        "c{} ({} to {})",
        seen.id.0, seen.tuple.client, seen.tuple.service
    )
}

/// The first few of many lines, and how many more there are.
fn shorten(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(TOLD);
    if more > 0 {
        lines.truncate(TOLD);
        lines.push(format!("and {more} more like these"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ServerNo = ServerNo(0);
    const B: ServerNo = ServerNo(1);

    fn flow(id: u32, on: ServerNo, answers: u64) -> Observed {
        let tuple = Tuple {
            client: ([10, 99, 1, 1], 40_000 + id as u16).into(),
            service: "203.0.113.10:7".parse().unwrap(),
        };
        Observed {
            id: ConnId(id),
            tuple,
            server: Some(on),
            pinned: Some(on),
            answers,
            is_silent: false,
            broken: None,
            slowest_ms: 1,
        }
    }

    fn counted(reason: &str, count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([(reason.to_owned(), count)])
    }

    #[test]
    fn flows_that_stay_and_are_answered_are_fine() {
        let before = [flow(1, A, 5), flow(2, B, 5)];
        let after = [
            flow(1, A, 9),
            Observed {
                slowest_ms: 70,
                ..flow(2, B, 9)
            },
        ];
        let outcome = judge(&before, &after, None, BTreeMap::new());
        let staying = Staying {
            flows: 2,
            stayed: 2,
            slowest_ms: 70,
            ..Staying::default()
        };
        assert_eq!(
            outcome,
            Outcome {
                staying,
                ..Outcome::default()
            }
        );
    }

    #[test]
    fn the_flows_of_a_next_hop_that_leaves_may_move_and_break_and_are_not_failures() {
        let silent = Observed {
            is_silent: true,
            ..flow(3, B, 5)
        };
        let before = [flow(1, A, 5), flow(2, B, 5), silent.clone()];
        let moved = Observed {
            pinned: Some(A),
            broken: Some(Break::Reset),
            ..flow(2, B, 5)
        };
        let after = [flow(1, A, 9), moved, silent];
        let outcome = judge(&before, &after, Some(B), counted("dead", 1));
        assert_eq!(outcome.failures, [""; 0]);
        assert_eq!(
            outcome.leaving,
            Leaving {
                flows: 2,
                silent: 1,
                moved: 1,
                broke: Breaks::from([("reset", 1)])
            }
        );
        assert_eq!(outcome.staying.stayed, 1);
    }

    #[test]
    fn a_flow_that_breaks_although_its_next_hop_stays_fails_with_its_name() {
        let after = [Observed {
            broken: Some(Break::Stalled),
            ..flow(7, A, 5)
        }];
        let outcome = judge(&[flow(7, A, 5)], &after, Some(B), BTreeMap::new());
        let line = "c7 (10.99.1.1:40007 to 203.0.113.10:7) broke although srv1 stays: stalled";
        assert_eq!(outcome.staying.broke, Breaks::from([("stalled", 1)]));
        assert_eq!(outcome.failures, [line]);
    }

    #[test]
    fn a_flow_without_an_answer_since_is_broken_unless_it_is_silent() {
        let outcome = judge(&[flow(7, A, 5)], &[flow(7, A, 5)], None, BTreeMap::new());
        assert_eq!(outcome.staying.broke, Breaks::from([("stalled", 1)]));
        let silent = [Observed {
            is_silent: true,
            ..flow(7, A, 5)
        }];
        let outcome = judge(&silent, &silent, None, BTreeMap::new());
        assert_eq!((outcome.staying.stayed, outcome.failures.len()), (1, 0));
    }

    #[test]
    fn a_flow_that_moves_although_its_next_hop_stays_fails() {
        let after = [Observed {
            pinned: Some(B),
            ..flow(7, A, 9)
        }];
        let outcome = judge(&[flow(7, A, 5)], &after, None, counted("policy", 1));
        assert_eq!(outcome.staying.moved, 1);
        assert_eq!(outcome.failures.len(), 1);
        assert!(
            outcome.failures[0].contains("moved from srv1 to srv2"),
            "{:?}",
            outcome.failures
        );
    }

    #[test]
    fn the_two_views_must_agree_before_and_after() {
        let lost = Observed {
            pinned: None,
            ..flow(7, A, 9)
        };
        let outcome = judge(&[flow(7, A, 5)], &[lost], None, BTreeMap::new());
        assert!(
            outcome.failures[0].contains("the gateway says nobody"),
            "{:?}",
            outcome.failures
        );
        let wrong = Observed {
            pinned: Some(B),
            ..flow(7, A, 5)
        };
        let outcome = judge(&[wrong], &[flow(7, A, 9)], None, BTreeMap::new());
        assert!(
            outcome.failures[0].contains("the gateway says srv2, the client is answered by srv1")
        );
    }

    #[test]
    fn a_move_that_is_not_counted_or_counted_twice_fails() {
        let after = [Observed {
            pinned: Some(B),
            broken: Some(Break::Reset),
            ..flow(7, A, 5)
        }];
        for counts in [0, 2] {
            let outcome = judge(&[flow(7, A, 5)], &after, Some(A), counted("policy", counts));
            assert_eq!(outcome.failures.len(), 1, "{counts}");
        }
    }

    #[test]
    fn a_collateral_move_fails_even_if_the_books_agree() {
        let after = [Observed {
            pinned: Some(B),
            ..flow(7, A, 5)
        }];
        let outcome = judge(&[flow(7, A, 5)], &after, Some(A), counted(COLLATERAL, 1));
        assert_eq!(
            outcome.failures,
            ["the gateway counted 1 moves for no reason at all"]
        );
    }

    #[test]
    fn many_failures_are_told_shortly() {
        let before: Vec<_> = (0..20).map(|id| flow(id, A, 5)).collect();
        let outcome = judge(&before, &before, None, BTreeMap::new());
        assert_eq!(outcome.failures.len(), TOLD + 1);
        assert_eq!(outcome.failures[TOLD], "and 15 more like these");
        assert_eq!(outcome.staying.broke, Breaks::from([("stalled", 20)]));
    }
}

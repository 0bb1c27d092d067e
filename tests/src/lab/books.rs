//! The two books of design section 6, read from outside: every frame that the daemon received has one
//! fate, and every frame that it sent has one origin.

use super::gateway::{Gateway, list};
use super::{PATIENCE, eventually};
use stack::counters::Totals;
use stack::fate::DropReason;
use std::collections::BTreeMap;

/// Waits until nothing is under way, and finds both books balanced.
///
/// # Panics
/// They do not balance, however long one waits.
pub fn assert_balanced(gateway: &Gateway<'_>) {
    let balanced = eventually(|| imbalance(gateway).is_none());
    assert!(balanced, "for {PATIENCE:?}: {:?}", imbalance(gateway));
    let accounted = eventually(|| dropped_by_port(gateway) == totals(gateway).dropped());
    assert!(
        accounted,
        "{} drops have no reason",
        dropped_by_port(gateway)
    );
}

fn imbalance(gateway: &Gateway<'_>) -> Option<String> {
    let totals = totals(gateway);
    if totals.taken_over > totals.handed_off {
        // Workers are read one after the other.
        return Some("read while packets were on their way between workers".to_owned());
    }
    totals.imbalance()
}

/// A counter of `netstat -s` by its name.
///
/// # Panics
/// There is none.
pub fn counter(gateway: &Gateway<'_>, name: &str) -> u64 {
    *counters(gateway)
        .get(name)
        .unwrap_or_else(|| panic!("no counter {name}"))
}

fn dropped_by_port(gateway: &Gateway<'_>) -> u64 {
    list(&gateway.ask("netstat -i"), "ports")
        .iter()
        .map(|port| port["rx_dropped"].as_u64().expect("a port's drops"))
        .sum()
}

/// The counters as `netstat -s` tells them.
fn totals(gateway: &Gateway<'_>) -> Totals {
    let counters = counters(gateway);
    let read = |name: &str| {
        *counters
            .get(name)
            .unwrap_or_else(|| panic!("no counter {name}"))
    };
    Totals {
        rx: read("if_ipackets"),
        forwarded: read("fg_forwarded"),
        consumed: read("fg_consumed"),
        waiting: read("fg_waiting"),
        handed_off: read("fg_handedoff"),
        taken_over: read("fg_takenover"),
        tx: read("if_opackets"),
        originated: read("ips_localout"),
        extra_pieces: read("ips_ofragments"),
        refused: read("if_oqdrops"),
        origin_lost: read("fg_originlost"),
        origin_waiting: read("fg_originwaiting"),
        drops: DropReason::ALL
            .iter()
            .map(|reason| match [false, true].map(|v6| reason.name_in(v6)) {
                [v4, v6] if v4 == v6 => read(&v4),
                both => both.iter().map(|name| read(name)).sum(),
            })
            .collect(),
        ..Totals::default()
    }
}

fn counters(gateway: &Gateway<'_>) -> BTreeMap<String, u64> {
    let blocks = list(&gateway.ask("netstat -s"), "blocks");
    let counters = blocks.iter().flat_map(|block| list(block, "counters"));
    let named = counters.filter_map(|counter| {
        Some((
            counter["name"].as_str()?.to_owned(),
            counter["value"].as_u64()?,
        ))
    });
    named.collect()
}

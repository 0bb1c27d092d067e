//! What a forecast found, as an operator reads it.

use super::super::MoveRow;
use super::{Forecast, Found, Row};
use hashbrown::HashSet;
use route::Preview;
use std::net::IpAddr;

/// What a change would move.
#[derive(Clone, Debug)]
pub struct MovePlan {
    /// Flows whose next packet it sends elsewhere.
    pub flows: u64,
    /// Addresses that opened them.
    pub clients: u64,
    /// Their bytes per second, once they were measured.
    pub bytes_per_s: Option<u64>,
    /// Flows of which clients and bytes were taken; if fewer than `flows`, clients are a lower bound.
    pub sampled: u64,
    /// Flows to the same destinations that stay where they are.
    pub staying: u64,
    /// Those of them that the deadline of the drain would move, were it now. If it is, they are among `flows`.
    pub at_deadline: u64,
    /// They, as `rows`.
    pub at_deadline_rows: Vec<MoveRow>,
    /// Flows that do not go on by their pins with or without the change: their next hop is dead, or was taken away before.
    pub already_due: u64,
    /// Flows of `flows` that no row counts, since there are too many rows.
    pub unlisted: u64,
    /// By next hops and reason, the most flows first.
    pub rows: Vec<MoveRow>,
}

impl Forecast {
    /// What would move. The end of a drain that comes with the change is part of it.
    pub fn plan(&self) -> MovePlan {
        let (ending, at_end) = (self.ending.as_ref(), self.due_at_end());
        let at_once = ending.filter(|ending| ending.at_once);
        let mut plan = self.plan_of(&self.found, &self.preview);
        if let Some(ending) = at_once {
            let more = self.plan_of(&ending.found, &ending.preview);
            let clients = [&self.found, &ending.found].map(|found| found.list.clients());
            plan.clients = different(clients.concat());
            plan.flows += more.flows;
            plan.staying -= at_end;
            plan.sampled += more.sampled;
            plan.unlisted += more.unlisted;
            plan.bytes_per_s = plan.bytes_per_s.zip(more.bytes_per_s).map(|(a, b)| a + b);
            plan.rows.extend(more.rows);
            plan.rows.sort_by_key(order);
        } else if let Some(ending) = ending {
            plan.at_deadline = at_end;
            plan.at_deadline_rows = self.plan_of(&ending.found, &ending.preview).rows;
        }
        plan
    }

    fn plan_of(&self, found: &Found, trial: &Preview) -> MovePlan {
        let mut clients = found.list.clients();
        let by_row = distinct(&mut clients, found.rows.len());
        let rows = found.rows.iter().zip(by_row);
        let mut rows: Vec<MoveRow> = rows
            .map(|(row, clients)| self.row(row, trial, clients))
            .collect();
        let rates = rows.iter().map(|row| row.bytes_per_s);
        let bytes_per_s = rates.sum::<Option<u64>>();
        rows.sort_by_key(order);
        MovePlan {
            flows: found.due,
            clients: different(clients),
            bytes_per_s: bytes_per_s.map(|sum| scaled(sum, found.due, found.due - found.unlisted)),
            sampled: found.list.len() as u64,
            staying: found.staying,
            at_deadline: 0,
            at_deadline_rows: Vec::new(),
            already_due: found.already_due,
            unlisted: found.unlisted,
            rows,
        }
    }

    pub(super) fn row(&self, row: &Row, trial: &Preview, clients: u64) -> MoveRow {
        MoveRow {
            from: self.reader.nhop(row.from),
            to: trial.nhop(row.to),
            why: row.why,
            flows: row.flows,
            clients,
            bytes_per_s: row.rate.map(|rate| scaled(rate, row.flows, row.listed)),
        }
    }
}

/// The most flows first.
fn order(row: &MoveRow) -> impl Ord + use<> {
    (std::cmp::Reverse(row.flows), row.from, row.to)
}

/// How many different addresses there are.
fn different(clients: Vec<(u32, IpAddr)>) -> u64 {
    let clients: HashSet<IpAddr> = clients.into_iter().map(|(_, client)| client).collect();
    clients.len() as u64
}

/// How many different clients each row has. Sorts them by row.
fn distinct(clients: &mut Vec<(u32, IpAddr)>, rows: usize) -> Vec<u64> {
    clients.sort_unstable();
    clients.dedup();
    let mut counts = vec![0; rows];
    for (row, _) in clients {
        if let Some(count) = counts.get_mut(*row as usize) {
            *count += 1;
        }
    }
    counts
}

/// What all have, if some of them have so much.
fn scaled(sum: u64, all: u64, some: u64) -> u64 {
    let scaled = u128::from(sum) * u128::from(all) / u128::from(some.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

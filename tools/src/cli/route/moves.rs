//! Which flows a change moves: the plan, what is due after it was made, and the last changes.

use super::super::exit::Failure;
use super::super::names::counted;
use super::super::session::Session;
use crate::wire::moves::Move;
use crate::wire::moves::MoveNexthop;
use crate::wire::moves::MovePlan;
use crate::wire::moves::MoveState;
use crate::wire::moves::RouteMoves;
use crate::wire::moves::RouteMovesList;
use crate::wire::route::OfFib;
use std::io;
use std::io::Write;

/// What follows the lines of a change.
pub(in crate::cli) fn print(
    out: &mut dyn Write,
    what: &str,
    (plan, moves): (Option<&MovePlan>, Option<&RouteMoves>),
) -> io::Result<()> {
    if let Some(plan) = plan {
        print_plan(out, plan)?;
    }
    match moves {
        Some(moves) => {
            let state = state_of(moves);
            writeln!(out, "{what}: {state}; see 'route moves'")
        }
        None => Ok(()),
    }
}

fn print_plan(out: &mut dyn Write, plan: &MovePlan) -> io::Result<()> {
    let MovePlan {
        flows,
        clients,
        bytes_per_second,
        staying,
        ..
    } = plan;
    if *flows == 0 {
        writeln!(out, "plan: no flow would move, {staying} stay")?;
    } else {
        writeln!(
            out,
            "plan: {} of {} with {bytes_per_second} bytes/s would move, {staying} stay",
            counted(*flows, "flow"),
            counted(*clients, "client"),
        )?;
    }
    if plan.already_due > 0 {
        let due = plan.already_due;
        let flows = counted(due, "flow");
        let (leave, have) = if due == 1 {
            ("leaves its", "has")
        } else {
            ("leave their", "have")
        };
        writeln!(
            out,
            "plan: {flows} {leave} next hop in any case, or {have} none"
        )?;
    }
    if plan.sampled < *flows {
        let sampled = plan.sampled;
        writeln!(
            out,
            "plan: clients and bytes are of {sampled} of these flows, bytes extrapolated"
        )?;
    }
    plan_rows(out, &plan.moves)?;
    if plan.unlisted > 0 {
        writeln!(out, "and {} more", counted(plan.unlisted, "flow"))?;
    }
    if plan.at_deadline > 0 {
        writeln!(
            out,
            "plan: the deadline would move {} of those that stay, if they live until then:",
            plan.at_deadline
        )?;
    }
    plan_rows(out, &plan.deadline_moves)
}

fn plan_rows(out: &mut dyn Write, moves: &[Move]) -> io::Result<()> {
    if !moves.is_empty() {
        plan_line(out, ["From", "To", "Reason", "Flows", "Clients", "Bytes/s"])?;
    }
    for of in moves {
        let Move {
            from, to, reason, ..
        } = of;
        let numbers = [of.flows, of.clients, of.bytes_per_second].map(|n| n.to_string());
        let [flows, clients, bytes] = &numbers;
        plan_line(
            out,
            [&left(from), &taken(to), reason, flows, clients, bytes],
        )?;
    }
    Ok(())
}

fn plan_line(out: &mut dyn Write, columns: [&str; 6]) -> io::Result<()> {
    let [from, to, reason, flows, clients, bytes] = columns;
    writeln!(
        out,
        "{from:<24} {to:<24} {reason:<10} {flows:>10} {clients:>10} {bytes:>12}"
    )
}

/// The next hop that flows leave.
fn left(nexthop: &Option<MoveNexthop>) -> String {
    nexthop
        .as_ref()
        .map_or_else(|| "gone".into(), MoveNexthop::name)
}

/// The next hop that they go to.
fn taken(nexthop: &Option<MoveNexthop>) -> String {
    nexthop
        .as_ref()
        .map_or_else(|| "-".into(), MoveNexthop::name)
}

fn state_of(moves: &RouteMoves) -> String {
    let RouteMoves {
        due,
        moved,
        expired,
        stayed,
        left,
        ..
    } = moves;
    let stayed = match stayed {
        0 => String::new(),
        _ => format!("{stayed} stayed after all, "),
    };
    let due = counted(*due, "flow");
    format!("{due} due: {moved} moved so far, {expired} expired unmoved, {stayed}{left} left")
}

/// The last changes that moved flows.
pub(super) fn run(fib: Option<u8>, session: &mut Session<'_>) -> Result<(), Failure> {
    let of = OfFib { fib };
    if session.json {
        return session.print_reply("RouteMoves", &of);
    }
    session.pages(
        "RouteMoves",
        &of,
        |_| Ok(()),
        |out, page: RouteMovesList| {
            page.changes
                .iter()
                .try_for_each(|moves| print_moves(out, moves))
        },
    )
}

fn print_moves(out: &mut dyn Write, moves: &RouteMoves) -> io::Result<()> {
    let RouteMoves {
        change,
        order,
        destination,
        ..
    } = moves;
    let fib = match moves.fib {
        0 => String::new(),
        fib => format!(" -fib {fib}"),
    };
    let what = match (destination, moves.group) {
        (Some(destination), _) => format!("{destination}{fib}"),
        (None, Some(number)) => format!("group {number}"),
        (None, None) => left(&moves.nexthop),
    };
    let state = state_of(moves);
    writeln!(out, "{change}: {order} {what}: {state}")?;
    if moves.unfollowed > 0 {
        writeln!(out, "   {} of these are not followed", moves.unfollowed)?;
    }
    state_line(
        out,
        ["From", "To", "Reason", "Due", "Moved", "Expired", "Left"],
    )?;
    for of in &moves.moves {
        let MoveState {
            from, to, reason, ..
        } = of;
        let numbers = [of.due, of.moved, of.expired, of.left].map(|n| n.to_string());
        let [due, moved, expired, rest] = &numbers;
        state_line(
            out,
            [&left(from), &taken(to), reason, due, moved, expired, rest],
        )?;
    }
    Ok(())
}

fn state_line(out: &mut dyn Write, columns: [&str; 7]) -> io::Result<()> {
    let [from, to, reason, due, moved, expired, left] = columns;
    writeln!(
        out,
        "   {from:<24} {to:<24} {reason:<10} {due:>10} {moved:>10} {expired:>10} {left:>10}"
    )
}

//! `nexthop`: show the next hops, drain one everywhere, declare one dead.

use super::args::NexthopCommand;
use super::exit::Failure;
use super::names;
use super::netstat;
use super::route::moves;
use super::session::Session;
use super::words::read_own;
use crate::wire::nexthop::NexthopOrder;
use crate::wire::nexthop::NexthopSet;
use crate::wire::nexthop::NexthopsSet;
use crate::wire::route::path_name;

/// Carries out one command.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(command: NexthopCommand, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut plan = false;
    let (gateway, order, deadline) = match command {
        NexthopCommand::Show => return netstat::show_nexthops(session),
        NexthopCommand::Drain {
            gateway,
            deadline,
            plan: planned,
        } => {
            plan = planned;
            (gateway, NexthopOrder::Drain, deadline)
        }
        NexthopCommand::In { gateway } => (gateway, NexthopOrder::In, None),
        NexthopCommand::Down { gateway } => (gateway, NexthopOrder::Down, None),
        NexthopCommand::Up { gateway } => (gateway, NexthopOrder::Up, None),
    };
    let ask = NexthopSet {
        gateway: read_own(&gateway)?,
        order,
        deadline,
        plan,
    };
    let set: NexthopsSet = session.call("NexthopSet", &ask)?;
    if session.json {
        return session.print_json(&set);
    }
    for nexthop in &set.nexthops {
        let name = path_name(nexthop.kind, nexthop.gateway, nexthop.port.as_deref());
        let state = names::state(nexthop.admin, nexthop.health);
        writeln!(session.out, "{name}: {state}")?;
    }
    if let Some(warning) = &set.warning {
        writeln!(session.out, "{gateway}: {warning}")?;
    }
    moves::print(session.out, &gateway, (set.plan.as_ref(), None))?;
    Ok(())
}

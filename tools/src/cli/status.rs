//! `status`: the gateway at a glance.

use super::exit::Failure;
use super::names;
use super::session::Session;
use super::session::Style;
use super::session::Tint;
use crate::wire::stats::Leaving;
use crate::wire::stats::Memory;
use crate::wire::stats::Status;
use crate::wire::stats::Table;
use crate::wire::stats::Worker;
use serde_json::json;
use std::io;
use std::io::Write;

/// Prints the status.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(session: &mut Session<'_>) -> Result<(), Failure> {
    let status: Status = session.call("Status", &json!({}))?;
    if session.json {
        return session.print_json(&status);
    }
    Ok(print(session.out, session.style, &status)?)
}

fn print(out: &mut dyn Write, style: Style, status: &Status) -> io::Result<()> {
    let heading = |text: &str| style.paint(Tint::Strong, text);
    let Status {
        version,
        pid,
        uptime,
        ..
    } = status;
    writeln!(
        out,
        "flowgate {version}, pid {pid}, up {}\n",
        names::duration(*uptime)
    )?;
    writeln!(
        out,
        "{}",
        heading("worker  cpu          packets      handed off  asleep    flows")
    )?;
    status
        .workers
        .iter()
        .try_for_each(|worker| print_worker(out, worker))?;
    writeln!(out, "steering {}", status.steering)?;
    if !status.flow_memory.is_empty() {
        writeln!(out, "flow tables {}", status.flow_memory)?;
    }
    if !status.sandbox.is_empty() {
        writeln!(out, "sandbox {}", status.sandbox)?;
    }
    print_tables(out, style, &status.tables)?;
    print_memory(out, style, status)?;
    print_moved(out, style, status)?;
    if !status.leaving.is_empty() {
        writeln!(out, "\n{}", heading("next hops that drain or are dead"))?;
    }
    status
        .leaving
        .iter()
        .try_for_each(|nexthop| print_leaving(out, style, nexthop))
}

fn print_memory(out: &mut dyn Write, style: Style, status: &Status) -> io::Result<()> {
    let head = "memory of routes      bytes    routes  bytes a route";
    writeln!(out, "\n{}", style.paint(Tint::Strong, head))?;
    for of in &status.memory {
        let each = match of.routes {
            0 => "-".to_owned(),
            routes => format!("{:.1}", of.bytes as f64 / routes as f64),
        };
        let Memory {
            name,
            bytes,
            routes,
        } = of;
        writeln!(out, "{name:<14} {bytes:>12} {routes:>9} {each:>14}")?;
    }
    Ok(())
}

fn print_moved(out: &mut dyn Write, style: Style, status: &Status) -> io::Result<()> {
    writeln!(out, "\n{}", style.paint(Tint::Strong, "flows moved"))?;
    let moved: Vec<_> = status
        .moved
        .iter()
        .map(|(why, count)| format!("{why} {count}"))
        .collect();
    writeln!(out, "{}", moved.join("  "))?;
    let tint = if status.collateral == 0 {
        Tint::Good
    } else {
        Tint::Bad
    };
    let collateral = style.paint(tint, &format!("collateral {}", status.collateral));
    writeln!(out, "{collateral}  (moved without a reason: always 0)")?;
    writeln!(
        out,
        "packets forwarded without a pin: {}",
        status.unpinned_packets
    )?;
    Ok(())
}

fn print_worker(out: &mut dyn Write, worker: &Worker) -> io::Result<()> {
    let share = permille(worker.handed_off, worker.packets);
    let cpu = worker.cpu.map_or_else(|| "-".into(), |cpu| cpu.to_string());
    writeln!(
        out,
        "{:>6} {cpu:>4} {:>16} {:>15} {:>7} {:>8}",
        worker.worker,
        worker.packets,
        percent(share),
        percent(worker.sleep_permille.into()),
        worker.flows
    )
}

/// The names' column is as wide as the longest.
fn print_tables(out: &mut dyn Write, style: Style, tables: &[Table]) -> io::Result<()> {
    let names = tables.iter().map(|table| table.name.len());
    let width = names.max().unwrap_or(0).max(14);
    let head = format!(
        "{:<width$} {:>10} {:>11}  fill  overflows  when full",
        "table", "used", "limit"
    );
    writeln!(out, "\n{}", style.paint(Tint::Strong, &head))?;
    tables
        .iter()
        .try_for_each(|table| print_table(out, style, table, width))
}

fn print_table(out: &mut dyn Write, style: Style, table: &Table, width: usize) -> io::Result<()> {
    let fill = permille(table.used, table.limit);
    let tint = match fill {
        // What remembers the last of something is full when all is well.
        _ if table.name.starts_with("capture-") => None,
        0..800 => None,
        800..950 => Some(Tint::Warn),
        _ => Some(Tint::Bad),
    };
    let shown = format!("{:>5}", percent(fill));
    let shown = tint.map_or_else(|| shown.clone(), |tint| style.paint(tint, &shown));
    writeln!(
        out,
        "{:<width$} {:>10} {:>11} {shown} {:>10}  {}",
        table.name, table.used, table.limit, table.overflows, table.policy
    )
}

fn print_leaving(out: &mut dyn Write, style: Style, nexthop: &Leaving) -> io::Result<()> {
    let state = names::state(nexthop.admin, nexthop.health);
    let tint = if state == "dead" {
        Tint::Bad
    } else {
        Tint::Warn
    };
    let from = nexthop
        .destination
        .as_ref()
        .map(|to| format!(" from {to}{}", names::in_fib(" of FIB ", nexthop.fib)))
        .or_else(|| nexthop.group.map(|group| format!(" from group {group}")));
    let deadline = nexthop.deadline.map(|seconds| {
        format!(
            ", which must move in {}",
            names::duration(u64::from(seconds) * 1000)
        )
    });
    writeln!(
        out,
        "{} {}{}: {} flows left{}",
        nexthop.name,
        style.paint(tint, state),
        from.unwrap_or_default(),
        nexthop.flows,
        deadline.unwrap_or_default()
    )
}

/// `part` of `whole` in thousandths; of nothing, 0.
fn permille(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 1000)
        .checked_div(whole.into())
        .map_or(0, |share| u64::try_from(share).unwrap_or(u64::MAX))
}

fn percent(permille: u64) -> String {
    format!("{}.{}%", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::run_command;
    use crate::server::fake::Fake;

    #[test]
    fn the_status_is_readable() {
        let (out, error, status) = run_command(Fake::small(), "status");
        assert_eq!((error, status), (None, 0));
        assert_eq!(
            out,
            "\
flowgate 0.1.0, pid 42, up 1h2m3s

worker  cpu          packets      handed off  asleep    flows
     0    0             1000            2.5%   98.7%        3
     1    1             1000            2.5%   98.7%        3
steering off: not asked for
flow tables memfd on transparent huge pages
sandbox off: a test

table                used       limit  fill  overflows  when full
flows-v4                3       65536  0.0%          0  evicts unconfirmed flows, then forwards without a pin

memory of routes      bytes    routes  bytes a route
rib                      96         2           48.0

flows moved
dead 2  policy 0
collateral 0  (moved without a reason: always 0)
packets forwarded without a pin: 4

next hops that drain or are dead
192.0.2.12 draining from 203.0.113.0/24: 2 flows left, which must move in 1m30s
"
        );
    }

    #[test]
    fn shares_never_divide_by_zero() {
        assert_eq!(permille(5, 0), 0);
        assert_eq!(permille(u64::MAX, 1), u64::MAX);
        assert_eq!(percent(permille(1, 8)), "12.5%");
    }
}

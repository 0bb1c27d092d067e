//! `flow`: the flows, and what was counted about them.

use super::args::FlowCommand;
use super::args::FlowFilterArgs;
use super::exit::Failure;
use super::exit::usage;
use super::names;
use super::session::Session;
use super::template;
use super::timeouts;
use super::tuple;
use super::words::read_own;
use crate::wire::flow::Flow;
use crate::wire::flow::FlowDirection;
use crate::wire::flow::FlowFilter;
use crate::wire::flow::FlowStats;
use crate::wire::flow::FlowTable;
use crate::wire::flow::Flows;
use crate::wire::flow::FlowsFlushed;
use crate::wire::flow::GroupDebt;
use serde_json::json;
use std::io;
use std::io::Write;

/// Carries out one command.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(command: FlowCommand, session: &mut Session<'_>) -> Result<(), Failure> {
    match command {
        FlowCommand::List {
            filter, templates, ..
        } if templates => {
            let filter = template::read(filter.addr.as_deref(), filter.nexthop)?;
            template::list(&filter, session)
        }
        FlowCommand::List { filter, limit, .. } => {
            let filter = FlowFilter {
                limit,
                ..read(filter)?
            };
            list(&filter, session)
        }
        FlowCommand::Flush { filter, all } => flush(read(filter)?, all, session),
        FlowCommand::Timeout {
            delete: Some(class),
            ..
        } => timeouts::delete(&class, session),
        FlowCommand::Timeout {
            name,
            seconds,
            class,
            ..
        } => timeouts::run(name, seconds, class.as_deref(), session),
        FlowCommand::Stats if session.json => session.print_reply("FlowStats", &json!({})),
        FlowCommand::Stats => {
            let stats: FlowStats = session.call("FlowStats", &json!({}))?;
            Ok(print_stats(session.out, &stats)?)
        }
    }
}

fn read(args: FlowFilterArgs) -> Result<FlowFilter, Failure> {
    Ok(FlowFilter {
        address: args.addr.as_deref().map(read_own).transpose()?,
        port: args.port,
        protocol: args.proto.as_deref().map(tuple::protocol).transpose()?,
        nexthop: args.nexthop,
        worker: args.worker,
        state: args.state,
        limit: None,
    })
}

fn flush(filter: FlowFilter, all: bool, session: &mut Session<'_>) -> Result<(), Failure> {
    if filter == FlowFilter::default() && !all {
        return usage("flow flush without a filter forgets every flow: say --all if that is meant");
    }
    if filter != FlowFilter::default() && all {
        return usage("--all forgets every flow, a filter some of them: leave one of the two out");
    }
    let flushed: FlowsFlushed = session.call("FlowFlush", &filter)?;
    if session.json {
        return session.print_json(&flushed);
    }
    Ok(writeln!(session.out, "{} flows flushed", flushed.flushed)?)
}

fn list(filter: &FlowFilter, session: &mut Session<'_>) -> Result<(), Failure> {
    if session.json {
        return session.print_reply("FlowList", filter);
    }
    session.pages("FlowList", filter, head, |out, page: Flows| {
        page.flows.iter().try_for_each(|flow| print(out, flow))
    })
}

fn head(out: &mut dyn Write) -> io::Result<()> {
    let names = [
        "Proto", "Client", "Server", "State", "Class", "Idle", "Expires", "To", "Back", "Packets",
        "Bytes", "Worker", "Slot",
    ];
    line(out, names)
}

fn print(out: &mut dyn Write, flow: &Flow) -> io::Result<()> {
    let both = |count: fn(&FlowDirection) -> u64| {
        format!("{}/{}", count(&flow.forward), count(&flow.reverse))
    };
    line(
        out,
        [
            &flow.protocol,
            &flow.client.to_string(),
            &flow.server.to_string(),
            &flow.state,
            &flow.class,
            &names::short_time(flow.idle),
            &names::short_time(flow.expires),
            &nexthop(&flow.forward),
            &nexthop(&flow.reverse),
            &both(|direction| direction.packets),
            &both(|direction| direction.bytes),
            &flow.worker.to_string(),
            &(flow.slot.to_string() + &names::in_fib(" fib ", flow.fib)),
        ],
    )
}

/// The next hop that a direction is pinned to, `!` behind one that it has to leave with its next packet.
fn nexthop(direction: &FlowDirection) -> String {
    match &direction.nexthop {
        None => "-".into(),
        Some(nexthop) if nexthop.state == "live" => nexthop.name(),
        Some(nexthop) => format!("{}!", nexthop.name()),
    }
}

/// Widths that IPv4 fits into; a longer text pushes its line, nothing is cut.
fn line(out: &mut dyn Write, columns: [&str; 13]) -> io::Result<()> {
    let [
        proto,
        client,
        server,
        state,
        class,
        idle,
        expires,
        to,
        back,
        packets,
        bytes,
        worker,
        slot,
    ] = columns;
    writeln!(
        out,
        "{proto:<5} {client:<21} {server:<21} {state:<12} {class:<9} {idle:>8} {expires:>9} {to:<15} {back:<15} \
         {packets:>13} {bytes:>17} {worker:>6} {slot:>4}"
    )
}

fn print_stats(out: &mut dyn Write, stats: &FlowStats) -> io::Result<()> {
    for table in &stats.tables {
        writeln!(out, "{}:", table.name)?;
        writeln!(
            out,
            "\t{} of {} entries used, {} at most so far",
            table.used, table.limit, table.high_water
        )?;
        writeln!(out, "\t{}", memory(table))?;
        writeln!(out, "\t{}", shape(table))?;
        writeln!(out, "\t{}", probes(table))?;
        writeln!(out, "\t{}", debt(table))?;
        for (name, count) in &table.counters {
            writeln!(out, "\t{count} {}", name.replace('_', " "))?;
        }
    }
    writeln!(out, "packets without a pin to go by:")?;
    for (cause, count) in &stats.misses {
        writeln!(out, "\t{count} {}", cause.replace('_', " "))?;
    }
    writeln!(out, "moved:")?;
    for (reason, count) in &stats.moved {
        writeln!(out, "\t{count} {reason}")?;
    }
    writeln!(out, "\t{} collateral (always 0)", stats.collateral)?;
    writeln!(
        out,
        "unpinned:\n\t{} packets forwarded without a pin",
        stats.unpinned_packets
    )
}

/// How large a table is, and on what pages.
fn memory(table: &FlowTable) -> String {
    format!(
        "{} bytes, {} of them on huge pages",
        table.bytes, table.huge_bytes
    )
}

/// How its entries lie.
fn shape(table: &FlowTable) -> String {
    let fills = table
        .bucket_fill
        .iter()
        .enumerate()
        .filter(|(_, n)| **n > 0);
    let fills: Vec<String> = fills.map(|(used, n)| format!("{used}:{n}")).collect();
    format!(
        "buckets by entries {}; {} entries in their second bucket",
        fills.join(" "),
        table.strays
    )
}

/// How many buckets lookups of them read.
fn probes(table: &FlowTable) -> String {
    let counts = table.probes.iter().zip(1..);
    let counts: Vec<String> = counts.map(|(n, read)| format!("{read}:{n}")).collect();
    format!("entries by buckets read to find them {}", counts.join(" "))
}

/// How many of them would lose their next hop with their entry, by group.
fn debt(table: &FlowTable) -> String {
    let name = |of: &GroupDebt| match of.group {
        Some(number) => format!("group {number}"),
        None => format!("index {}", of.index),
    };
    let groups = table.debt_groups.iter();
    let groups: Vec<String> = groups
        .map(|of| format!("{} by {}", of.entries, name(of)))
        .collect();
    let colon = if groups.is_empty() { "" } else { ": " };
    format!("{} in pin debt{colon}{}", table.debt, groups.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::cli::args::Flowgate;
    use crate::cli::test_support::run_command;
    use crate::server::fake::Fake;
    use clap::Parser;
    use clap::error::ErrorKind;

    fn prints(line: &str) -> String {
        let (out, error, status) = run_command(Fake::small(), line);
        assert_eq!((error, status), (None, 0), "{line}");
        out
    }

    #[test]
    fn flows_are_listed_a_line_each() {
        let text = prints("flow list");
        let expected = "\
Proto Client                Server                State        Class         Idle   Expires To              Back                  Packets             Bytes Worker Slot
tcp   10.99.0.2:40000       203.0.113.10:80       established  two_way       1.5s 1h59m58s 192.0.2.11      -                        12/0            1200/0      0  200
";
        let expected = expected.replace("1.5s 1h59m58s", "1.5s  1h59m58s");
        assert!(text.starts_with(&expected), "{text}");
        assert_eq!(text.lines().count(), 4);
        assert_eq!(prints("flow list --limit 1").lines().count(), 2);
    }

    #[test]
    fn templates_are_flows_too() {
        let same = |flow: &str, template: &str| assert_eq!(prints(flow), prints(template));
        same("flow list --templates", "template list");
        same("flow list --templates --json", "template list --json");
        same(
            "flow list --templates --addr 10.7.2.0/24 --nexthop 192.0.2.12",
            "template list --client 10.7.2.0/24 --nexthop 192.0.2.12",
        );
        let words = "flowgate flow list --templates --port 80".split(' ');
        let wrong = Flowgate::try_parse_from(words).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn filters_are_checked() {
        let wrong = |line: &str| run_command(Fake::small(), line);
        let (_, error, status) = wrong("flow list --proto tpc");
        assert_eq!(
            (error.as_deref(), status),
            (
                Some("protocol tpc: write tcp, udp, icmp, icmp6, sctp or a number 0 to 255"),
                64
            )
        );
        let (_, error, status) = wrong("flow list --addr 10.0.0.1/8");
        assert_eq!(
            (error.as_deref(), status),
            (Some("10.0.0.1/8 has host bits set: write 10.0.0.0/8"), 64)
        );
    }

    #[test]
    fn a_flush_of_everything_must_be_meant() {
        let (_, error, status) = run_command(Fake::small(), "flow flush");
        assert_eq!(
            (error.as_deref(), status),
            (
                Some("flow flush without a filter forgets every flow: say --all if that is meant"),
                64
            )
        );
        let (_, error, status) = run_command(Fake::small(), "flow flush --all --port 80");
        assert_eq!(
            (error.as_deref(), status),
            (
                Some("--all forgets every flow, a filter some of them: leave one of the two out"),
                64
            )
        );
        assert_eq!(prints("flow flush --all"), "3 flows flushed\n");
        assert_eq!(
            prints("flow flush --nexthop 192.0.2.11"),
            "3 flows flushed\n"
        );
    }

    #[test]
    fn stats_name_every_counter() {
        assert_eq!(
            prints("flow stats"),
            "\
flows-v4:
\t3 of 65536 entries used, 9 at most so far
\t6000000 bytes, 4194304 of them on huge pages
\tbuckets by entries 0:2728 1:3; 0 entries in their second bucket
\tentries by buckets read to find them 1:3 2:0
\t2 in pin debt: 2 by group 7
\t100 hits
\t9 inserts
packets without a pin to go by:
\t9 cold
moved:
\t2 dead
\t0 policy
\t0 collateral (always 0)
unpinned:
\t4 packets forwarded without a pin
"
        );
    }
}

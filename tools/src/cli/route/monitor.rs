//! `route monitor`: what changes, as FreeBSD's routing messages, or one JSON object a line.
//!
//! A routing message of FreeBSD is one gateway; a change of several paths is printed as that many messages. Next hops'
//! health and ports have `RTM_NEXTHOP` and `RTM_IFINFO`. Sizes are those of the messages on the control socket.

use super::super::exit::Failure;
use super::super::session::Session;
use crate::cli::names;
use crate::wire::group::GroupDone;
use crate::wire::route::Event;
use crate::wire::route::News;
use crate::wire::route::OfFib;
use crate::wire::route::Path;
use crate::wire::route::RouteDone;
use serde_json::Value;
use std::io;
use std::io::Write;

/// Tells of all FIBs, or of one; of what has no FIB in any case.
pub(super) fn run(fib: Option<u8>, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut client = session.client()?;
    // Nothing may change for days.
    client.patience(None)?;
    let mut written = Ok(());
    client.call_more(
        "RouteMonitor",
        &OfFib { fib },
        |event: Event, raw: &Value| {
            let line = if session.json {
                writeln!(session.out, "{raw}")
            } else {
                print(session.out, &event, raw.to_string().len())
            };
            written = line.and_then(|()| session.out.flush());
            written.is_ok()
        },
    )?;
    Ok(written?)
}

fn print(out: &mut dyn Write, event: &Event, size: usize) -> io::Result<()> {
    writeln!(
        out,
        "got message of size {size} on {}",
        names::date(event.time)
    )?;
    match &event.news {
        News::RouteAdded(done) => route(out, "RTM_ADD: Add Route", size, done),
        News::RouteChanged(done) => route(out, "RTM_CHANGE: Change Metrics or flags", size, done),
        News::RouteDeleted(done) => route(out, "RTM_DELETE: Delete Route", size, done),
        News::RoutesChanged {
            fib,
            added,
            changed,
            deleted,
        } => writeln!(
            out,
            "RTM_BATCH: many routes as one: len {size}, added {added}, changed {changed}, deleted {deleted}{}",
            names::in_fib(", fib ", *fib)
        ),
        News::GroupAdded(done) => group(out, "add", size, done),
        News::GroupChanged(done) => group(out, "change", size, done),
        News::GroupDeleted(done) => group(out, "delete", size, done),
        News::Nexthop {
            nexthop,
            name,
            port,
            admin,
            health,
            through,
        } => writeln!(
            out,
            "RTM_NEXTHOP: next hop status change: len {size}, nhop# {nexthop}, gateway {name}, if {}, state: {}{}",
            port.as_deref().unwrap_or("-"),
            names::state(*admin, *health),
            through.map_or_else(String::new, |through| format!(", through {through}"))
        ),
        News::Port { port, up } => {
            let link = if *up { "up" } else { "down" };
            writeln!(
                out,
                "RTM_IFINFO: iface status change: len {size}, if {port}, link: {link}"
            )
        }
    }?;
    writeln!(out)
}

fn group(out: &mut dyn Write, what: &str, size: usize, done: &GroupDone) -> io::Result<()> {
    let member = |path: &Path| format!(" {} weight {}", path.name(), path.weight);
    let members: Vec<String> = done.paths.iter().map(member).collect();
    writeln!(
        out,
        "RTM_GROUP: {what} next-hop group: len {size}, group {}, nhgrp# {}, members:{}",
        done.group,
        done.index,
        members.join(",")
    )
}

fn route(out: &mut dyn Write, what: &str, size: usize, done: &RouteDone) -> io::Result<()> {
    done.paths
        .iter()
        .try_for_each(|path| message(out, what, size, done, path))
}

fn message(
    out: &mut dyn Write,
    what: &str,
    size: usize,
    done: &RouteDone,
    path: &Path,
) -> io::Result<()> {
    let host = done.destination.is_host();
    let flags = names::flag_words(host, true, path);
    writeln!(
        out,
        "{what}: len {size}, weight {}, nhop# {}, errno 0, flags:{flags}{}",
        path.weight,
        path.nexthop,
        names::in_fib(", fib ", done.fib)
    )?;
    let destination = names::network(done.destination);
    if host {
        writeln!(
            out,
            "sockaddrs: <DST,GATEWAY>\n {destination} {}",
            path.name()
        )
    } else {
        let mask = names::mask(done.destination);
        writeln!(
            out,
            "sockaddrs: <DST,GATEWAY,NETMASK>\n {destination} {} {mask}",
            path.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::route::Admin;
    use crate::wire::route::Health;
    use serde_json::json;

    fn printed(news: News) -> String {
        let mut out = Vec::new();
        print(
            &mut out,
            &Event {
                time: 1_795_218_141_000,
                news,
            },
            240,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_route_is_printed_as_freebsd_does() {
        let path = json!({
            "kind": "gateway", "gateway": "10.1.1.1", "port": "rack", "weight": 2, "mtu": 1500, "nexthop": 5,
            "generation": 1, "admin": "in", "health": "up", "buckets": 1
        });
        let path = serde_json::from_value::<Path>(path).unwrap();
        let destination = "10.0.0.0/8".parse().unwrap();
        let done = RouteDone {
            fib: 0,
            destination,
            paths: vec![path.clone()],
            warning: None,
        };
        assert_eq!(
            printed(News::RouteAdded(done)),
            "got message of size 240 on Fri Nov 20 23:42:21 2026\n\
             RTM_ADD: Add Route: len 240, weight 2, nhop# 5, errno 0, flags:<UP,GATEWAY,DONE,STATIC>\n\
             sockaddrs: <DST,GATEWAY,NETMASK>\n 10.0.0.0 10.1.1.1 255.0.0.0\n\n"
        );
        let destination = "10.0.0.1/32".parse().unwrap();
        let done = RouteDone {
            fib: 0,
            destination,
            paths: vec![path.clone(), path],
            warning: None,
        };
        let text = printed(News::RouteDeleted(done));
        assert_eq!(text.matches("RTM_DELETE: Delete Route").count(), 2);
        assert!(
            text.contains("sockaddrs: <DST,GATEWAY>\n 10.0.0.1 10.1.1.1\n"),
            "{text}"
        );
    }

    #[test]
    fn health_and_ports_are_told() {
        let news = News::Nexthop {
            nexthop: 5,
            name: "10.1.1.1".into(),
            port: Some("rack".into()),
            admin: Admin::In,
            health: Health::Dead,
            through: None,
        };
        let text = printed(news);
        assert!(
            text.contains("nhop# 5, gateway 10.1.1.1, if rack, state: dead\n"),
            "{text}"
        );
        let text = printed(News::Port {
            port: "rack".into(),
            up: false,
        });
        assert!(text.contains("if rack, link: down\n"), "{text}");
    }
}

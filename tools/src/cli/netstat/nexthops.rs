//! `netstat -o` and `-O`: the next hops and their groups, in FreeBSD's columns as far as they fit.

use super::super::exit::Failure;
use super::super::names;
use super::super::session::Session;
use crate::wire::route::Family;
use crate::wire::route::Health;
use crate::wire::route::path_name;
use crate::wire::stats::Group;
use crate::wire::stats::Nexthop;
use crate::wire::stats::Nexthops;
use serde::Deserialize;
use serde_json::json;
use std::io;
use std::io::Write;
use std::net::IpAddr;

/// Prints the next hops or their groups, of one family or of both.
pub(super) fn run(
    groups: bool,
    family: Option<Family>,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if session.json {
        return print_json(family, session);
    }
    let head = |out: &mut dyn Write| {
        if groups {
            writeln!(out, "Nexthop groups data\n")?;
            let names = [
                "GrpIdx", "NhIdx", "Weight", "Slots", "Gateway", "Netif", "State",
            ];
            return group_line(out, names);
        }
        writeln!(out, "Nexthop data\n")?;
        nexthop_line(
            out,
            ["Idx", "Gen", "Gateway", "Netif", "Mtu", "Refcnt", "State"],
        )
    };
    session.pages("NexthopList", &json!({}), head, |out, page: Nexthops| {
        let page = of_family(family, page);
        if groups {
            page.groups
                .iter()
                .try_for_each(|group| print_group(out, group))
        } else {
            page.nexthops
                .iter()
                .try_for_each(|nexthop| print_nexthop(out, nexthop))
        }
    })
}

fn print_json(family: Option<Family>, session: &mut Session<'_>) -> Result<(), Failure> {
    if family.is_none() {
        return session.print_reply("NexthopList", &json!({}));
    }
    let all = session.reply("NexthopList", &json!({}))?;
    let all = Nexthops::deserialize(&all).map_err(io::Error::from)?;
    session.print_json(&of_family(family, all))
}

/// What may be of the family: a gateway of it, or none at all; a group with such a member (RFC 8950: beside others).
fn of_family(family: Option<Family>, mut page: Nexthops) -> Nexthops {
    let is_of = |gateway: Option<IpAddr>| match (family, gateway) {
        (Some(family), Some(gateway)) => Family::of(gateway) == family,
        _ => true,
    };
    page.nexthops.retain(|nexthop| is_of(nexthop.gateway));
    page.groups
        .retain(|group| group.members.iter().any(|member| is_of(member.gateway)));
    page
}

fn print_nexthop(out: &mut dyn Write, nexthop: &Nexthop) -> io::Result<()> {
    let Nexthop {
        index,
        generation,
        kind,
        gateway,
        port,
        mtu,
        admin,
        health,
        groups,
        through,
        causes,
        ..
    } = nexthop;
    let state = match (health, through) {
        (Health::Dead, _) => names::dead(causes),
        (_, Some(through)) => format!("{}, through {through}", names::state(*admin, *health)),
        (_, None) => names::state(*admin, *health).into(),
    };
    nexthop_line(
        out,
        [
            &index.to_string(),
            &generation.to_string(),
            &path_name(*kind, *gateway, port.as_deref()),
            port.as_deref().unwrap_or("-"),
            &mtu.to_string(),
            &groups.to_string(),
            &state,
        ],
    )
}

fn nexthop_line(out: &mut dyn Write, columns: [&str; 7]) -> io::Result<()> {
    let [index, generation, gateway, port, mtu, groups, state] = columns;
    writeln!(
        out,
        "{index:>6} {generation:>5} {gateway:<24} {port:>8} {mtu:>6} {groups:>6} {state}"
    )
}

fn print_group(out: &mut dyn Write, group: &Group) -> io::Result<()> {
    // FreeBSD's form: the group's own line, then its members.
    let index = group.index.to_string();
    group_line(
        out,
        [&index, "-", "-", &group.buckets.to_string(), "-", "-", "-"],
    )?;
    group.members.iter().try_for_each(|member| {
        group_line(
            out,
            [
                "",
                &member.nexthop.to_string(),
                &member.weight.to_string(),
                &member.buckets.to_string(),
                &member.name(),
                member.port.as_deref().unwrap_or("-"),
                &names::path_state(member),
            ],
        )
    })
}

fn group_line(out: &mut dyn Write, columns: [&str; 7]) -> io::Result<()> {
    let [group, nexthop, weight, slots, gateway, port, state] = columns;
    writeln!(
        out,
        "{group:<8} {nexthop:>8} {weight:>8} {slots:>8} {gateway:<24} {port:>8} {state}"
    )
}

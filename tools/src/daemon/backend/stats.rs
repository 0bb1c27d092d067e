//! Ports, and every counter under its protocol, in FreeBSD's words where it has them.

use super::About;
use super::Live;
use super::devices::DeviceCell;
use crate::server::Answer;
use crate::server::Reading;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::stats::Counter;
use crate::wire::stats::CounterBlock;
use crate::wire::stats::Counters;
use crate::wire::stats::CountersOf;
use crate::wire::stats::PROTOCOLS;
use crate::wire::stats::Port;
use crate::wire::stats::Ports;
use arp::ArpStats;
use flowtable::TemplateStats;
use stack::control::PortReport;
use stack::control::Reader;
use stack::counters::Totals;
use stack::fate::DropReason;
use stack::fate::MoveReason;
use stack::fate::Proto;
use stack::host::HostCmd;
use stack::host::HostLink;
use stack::host::HostReply;

impl Live {
    pub(super) fn read_counters(&mut self, of: CountersOf) -> Answer<Reading<Counters>> {
        // ICMP is counted for both families together.
        let wanted = of
            .protocol
            .map(|name| if name == "icmp6" { "icmp".into() } else { name });
        if let Some(name) = wanted
            .as_ref()
            .filter(|name| !PROTOCOLS.contains(&name.as_str()))
        {
            let message = format!(
                "{name}: unknown protocol: use {} or icmp6",
                PROTOCOLS.join(", ")
            );
            return Err(CallError::Refused(Reason::Invalid, message));
        }
        let (reader, mut host) = (self.control.reader(), self.host.clone());
        Ok(Box::new(move || {
            let mut blocks = counters_of(&reader, &mut host);
            blocks.retain(|block| wanted.as_ref().is_none_or(|name| *name == block.protocol));
            Counters { blocks }
        }))
    }
}

/// All counters.
pub(in crate::daemon) fn counters_of(
    reader: &Reader,
    host: &mut dyn HostLink,
) -> Vec<CounterBlock> {
    let neighbours = match host.call(HostCmd::NeighStats) {
        HostReply::NeighStats(stats, _) => *stats,
        _ => ArpStats::default(),
    };
    blocks(reader, &neighbours)
}

fn blocks(reader: &Reader, neighbours: &ArpStats) -> Vec<CounterBlock> {
    let templates = reader.template_stats();
    blocks_of(
        &reader.totals(),
        &reader.host_totals(),
        &templates,
        neighbours,
    )
}

fn blocks_of(
    totals: &Totals,
    host: &Totals,
    templates: &TemplateStats,
    neighbours: &ArpStats,
) -> Vec<CounterBlock> {
    let block = |protocol: &str| {
        let counters = match protocol {
            "ether" => [ether(totals), drops(totals, &[Proto::Ether], false)].concat(),
            "arp" => [
                arp(neighbours),
                drops(totals, &[Proto::Arp], false),
                ignored(neighbours),
            ]
            .concat(),
            "nd6" => nd6(neighbours),
            "ip" => [
                ip(totals, host),
                drops(totals, &[Proto::Ip, Proto::Inet], false),
            ]
            .concat(),
            "ip6" => [ip6(totals), drops(totals, &[Proto::Ip6, Proto::Inet], true)].concat(),
            "icmp" => icmp(totals, host),
            "transport" => transport(totals, false),
            _ => [
                flowgate(totals, host),
                affinity(templates),
                drops(totals, &[Proto::Flowgate], false),
            ]
            .concat(),
        };
        CounterBlock {
            protocol: protocol.into(),
            counters,
        }
    };
    PROTOCOLS.into_iter().map(block).collect()
}

/// Counters from (name, value, text).
fn counters<const N: usize>(all: [(&str, u64, &str); N]) -> Vec<Counter> {
    let counter = |(name, value, text): (&str, u64, &str)| Counter {
        name: name.into(),
        value,
        text: text.into(),
    };
    all.into_iter().map(counter).collect()
}

/// The drops listed under these protocols; of what both families have, those of one.
fn drops(totals: &Totals, protos: &[Proto], v6: bool) -> Vec<Counter> {
    let listed = DropReason::ALL
        .iter()
        .filter(|reason| protos.contains(&reason.proto()));
    let counter = |reason: &DropReason| Counter {
        name: reason.name_in(v6),
        value: match reason.proto() {
            Proto::Inet => totals.dropped_in(*reason, v6),
            _ => totals.dropped_for(*reason),
        },
        text: reason.text().into(),
    };
    listed.map(counter).collect()
}

/// Drops because of transport headers: ICMP's, or those of the others.
fn transport(totals: &Totals, icmp: bool) -> Vec<Counter> {
    let mut all = drops(totals, &[Proto::Transport], false);
    all.retain(|counter| counter.name.starts_with("icps_") == icmp);
    all
}

fn ether(t: &Totals) -> Vec<Counter> {
    counters([
        ("if_ipackets", t.rx, "frames received"),
        ("if_ibytes", t.rx_bytes, "bytes received"),
        ("if_opackets", t.tx, "frames sent"),
        ("if_obytes", t.tx_bytes, "bytes sent"),
        ("if_oqdrops", t.refused, "frames that a device refused"),
    ])
}

fn ip(t: &Totals, host: &Totals) -> Vec<Counter> {
    counters([
        ("ips_total", t.ip4_received, "total packets received"),
        ("ips_forward", t.ip4_forwarded, "packets forwarded"),
        (
            "ips_delivered",
            t.consumed_local,
            "packets for this host's own sockets (both families)",
        ),
        (
            "ips_localout",
            t.originated,
            "packets sent from this host (both families, with ARP and ND)",
        ),
        (
            "ips_reassembled",
            host.reassembled,
            "packets reassembled ok (both families)",
        ),
        (
            "ips_fragdropped",
            host.own_pieces_dropped,
            "fragments for this host dropped (dup, overlap or out of space)",
        ),
        (
            "ips_fragtimeout",
            host.own_pieces_late,
            "fragments for this host dropped after timeout",
        ),
        (
            "ips_fullsock",
            host.own_input_full,
            "packets for this host's own sockets dropped for want of room (both families)",
        ),
        (
            "ips_fragmented",
            t.fragmented,
            "output packets fragmented (both families)",
        ),
        (
            "ips_ofragments",
            t.extra_pieces,
            "fragments and segments created beyond the first",
        ),
        (
            "ips_blindfrags",
            t.fragments_blind,
            "fragments routed without their first piece",
        ),
    ])
}

fn ip6(t: &Totals) -> Vec<Counter> {
    counters([
        ("ip6s_total", t.ip6_received, "total packets received"),
        ("ip6s_forward", t.ip6_forwarded, "packets forwarded"),
    ])
}

fn icmp(t: &Totals, host: &Totals) -> Vec<Counter> {
    let mut all = counters([
        (
            "icps_reflect",
            t.consumed_echo,
            "echo requests answered (both families)",
        ),
        (
            "icps_error",
            t.icmp_sent + host.icmp_sent,
            "error messages sent (both families)",
        ),
        ("icps_redirects", t.redirects_sent, "of these: redirects"),
        (
            "icps_limited",
            t.icmp_limited + host.icmp_limited,
            "error messages not sent because of the rate limit",
        ),
        (
            "icps_redirlimited",
            t.redirects_limited,
            "of these: redirects",
        ),
        (
            "icps_oldicmp",
            t.icmp_suppressed + host.icmp_suppressed,
            "packets that must not be answered with an error",
        ),
    ]);
    all.extend(transport(t, true));
    all
}

fn arp(s: &ArpStats) -> Vec<Counter> {
    counters([
        ("txrequests", s.txrequests, "ARP requests sent"),
        ("txreplies", s.txreplies, "ARP replies sent"),
        ("rxrequests", s.rxrequests, "ARP requests received"),
        ("rxreplies", s.rxreplies, "ARP replies received"),
        ("received", s.received, "ARP packets received"),
        (
            "announcements",
            s.announcements,
            "announcements of own addresses sent (ARP and ND)",
        ),
        (
            "defences",
            s.defences,
            "defences of own addresses sent (ARP and ND)",
        ),
        ("dupips", s.dupips, "duplicate IPs seen"),
        (
            "unanswered",
            s.unanswered,
            "neighbours that did not answer (ARP and ND)",
        ),
        (
            "unheard",
            s.unheard,
            "questions asked once more because workers were held up (ARP and ND)",
        ),
        ("timeouts", s.timeouts, "entries timed out (ARP and ND)"),
        (
            "moved",
            s.moved,
            "neighbours that changed their link address (ARP and ND)",
        ),
        (
            "moves_refused",
            s.moves_refused,
            "moves refused, as the known link address answered (ARP and ND)",
        ),
        (
            "evicted",
            s.evicted,
            "entries replaced because the table was full (ARP and ND)",
        ),
        (
            "refused_full",
            s.refused_full,
            "entries refused because the table was full (ARP and ND)",
        ),
        (
            "refused_busy",
            s.refused_busy,
            "entries refused because too many were unanswered (ARP and ND)",
        ),
        (
            "events_lost",
            s.events_lost,
            "changes that nobody could be told (ARP and ND)",
        ),
    ])
}

/// Frames about neighbours that were not believed, by reason.
fn ignored(s: &ArpStats) -> Vec<Counter> {
    let counter = |(reason, value): (arp::Ignored, u64)| Counter {
        name: format!(
            "ignored_{}",
            reason
                .name()
                .to_ascii_lowercase()
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
        ),
        value,
        text: format!(
            "frames ignored: {} (ARP and ND)",
            reason.name().replace(['_', '-'], " ")
        ),
    };
    s.reasons().map(counter).collect()
}

fn nd6(s: &ArpStats) -> Vec<Counter> {
    counters([
        (
            "tx_neighbor_solicit",
            s.tx_neighbor_solicit,
            "neighbor solicitations sent",
        ),
        (
            "tx_neighbor_advert",
            s.tx_neighbor_advert,
            "neighbor advertisements sent",
        ),
        (
            "rx_neighbor_solicit",
            s.rx_neighbor_solicit,
            "neighbor solicitations received",
        ),
        (
            "rx_neighbor_advert",
            s.rx_neighbor_advert,
            "neighbor advertisements received",
        ),
        (
            "tx_dad_probe",
            s.probes,
            "probes of own addresses sent (ARP and ND)",
        ),
        (
            "rx_router_solicit",
            s.rx_router_solicit,
            "router solicitations received",
        ),
        (
            "tx_router_advert",
            s.tx_router_advert,
            "router advertisements sent",
        ),
    ])
}

fn flowgate(t: &Totals, host: &Totals) -> Vec<Counter> {
    let mut all = counters([
        ("fg_forwarded", t.forwarded, "packets forwarded"),
        (
            "fg_pinned",
            t.pinned,
            "packets forwarded by their flow's pin, without a route lookup",
        ),
        (
            "fg_revalidated",
            t.revalidated,
            "pins looked up again after a route change, and kept",
        ),
        ("fg_unpinned", t.unpinned, "packets forwarded without a pin"),
        ("fg_consumed", t.consumed, "frames that ended here"),
        ("fg_consumedarp", t.consumed_arp, "of these: ARP and ND"),
        (
            "fg_waiting",
            t.waiting,
            "packets that wait now, for a neighbour or their first piece",
        ),
        (
            "fg_handedoff",
            t.handed_off,
            "packets handed to the worker that owns their flow",
        ),
        (
            "fg_takenover",
            t.taken_over,
            "packets taken over from other workers",
        ),
        (
            "fg_superreceived",
            t.super_received,
            "super-packets received, each one packet of many segments",
        ),
        ("fg_supersent", t.super_sent, "super-packets sent whole"),
        (
            "fg_supercut",
            t.super_cut,
            "super-packets cut into segments here",
        ),
        (
            "fg_sumsfinished",
            t.checksums_finished,
            "checksums finished here for the device that left them",
        ),
        (
            "fg_originwaiting",
            t.origin_waiting,
            "own packets that wait now for a neighbour",
        ),
        (
            "fg_originlost",
            t.origin_lost,
            "own packets that found no way out",
        ),
        (
            "fg_hostlost",
            host.origin_lost,
            "packets of our own sockets that never came to a worker",
        ),
        ("fg_bursts", t.bursts, "bursts processed"),
        ("fg_sleeps", t.sleeps, "times that workers slept"),
    ]);
    all.extend(MoveReason::ALL.into_iter().map(|why| Counter {
        name: format!("fg_moved_{}", why.name()),
        value: t.moved_for(why),
        text: format!("pins moved: {}", why.name()),
    }));
    all
}

/// Affinity templates.
fn affinity(s: &TemplateStats) -> Vec<Counter> {
    counters([
        (
            "fg_templates_claimed",
            s.claimed,
            "affinity templates made for new clients",
        ),
        (
            "fg_templates_replaced",
            s.replaced,
            "templates that got another next hop: theirs was dead, drained or gone",
        ),
        (
            "fg_templates_renewed",
            s.renewed,
            "times that a template was found in use and its clock stopped",
        ),
        (
            "fg_templates_full",
            s.full,
            "choices without a template, since there was no room for one",
        ),
        ("fg_templates_expired", s.expired, "templates expired"),
        (
            "fg_templates_flushed",
            s.flushed,
            "templates forgotten on request",
        ),
    ])
}

/// The ports with their counters.
pub(super) fn ports(reader: &Reader, about: &About) -> Ports {
    Ports {
        ports: reader
            .port_reports()
            .iter()
            .map(|report| port(report, reader, about))
            .collect(),
    }
}

fn port(PortReport { port, totals }: &PortReport, reader: &Reader, about: &About) -> Port {
    let id = usize::from(port.id.0);
    // A VLAN has its parent's device.
    let by = port.vlan.map_or(id, |vlan| usize::from(vlan.parent.0));
    Port {
        name: port.name.clone(),
        index: u32::from(port.id.0) + 1,
        kind: about.kinds.get(id).copied().unwrap_or("mem").into(),
        parent: port.vlan.map(|vlan| reader.port_name(vlan.parent)),
        vlan: port.vlan.map(|vlan| vlan.vid),
        up: port.up,
        device: about.devices.get(by).map(|cell| cell.word().into()),
        mode: about
            .devices
            .get(id)
            .and_then(|cell| cell.mode().map(Into::into)),
        warning: about.devices.get(by).and_then(DeviceCell::warning),
        mtu: port.mtu,
        mac: port.mac().map(|mac| mac.to_string()),
        offloads: about.offloads_of(by),
        addresses: port
            .addrs
            .iter()
            .map(|a| format!("{}/{}", a.addr, a.len))
            .collect(),
        rx_packets: totals.rx,
        rx_bytes: totals.rx_bytes,
        rx_dropped: totals.rx_dropped,
        rx_missed: totals.missed,
        tx_packets: totals.tx,
        tx_bytes: totals.tx_bytes,
        tx_refused: totals.refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn all() -> Vec<Counter> {
        let (totals, host, neighbours) =
            (Totals::default(), Totals::default(), ArpStats::default());
        blocks_of(&totals, &host, &TemplateStats::default(), &neighbours)
            .into_iter()
            .flat_map(|block| block.counters)
            .collect()
    }

    #[test]
    fn each_counter_is_listed_once_by_a_name_of_one_word() {
        let mut names = HashSet::new();
        for counter in all() {
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(counter.name.chars().all(word), "{}", counter.name);
            assert!(names.insert(counter.name.clone()), "{} twice", counter.name);
        }
        for reason in DropReason::ALL {
            assert!(names.contains(&reason.name_in(false)) || reason.proto() == Proto::Ip6);
        }
        for both in ["ips_noroute", "ip6s_noroute", "icps_tooshort"] {
            assert!(names.contains(both), "{both}");
        }
    }
}

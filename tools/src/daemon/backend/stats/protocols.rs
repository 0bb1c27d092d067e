//! The counters of each protocol, in FreeBSD's words where it has them.

use super::counters;
use super::transport;
use crate::wire::stats::Counter;
use arp::ArpStats;
use flowtable::TemplateStats;
use stack::counters::Totals;
use stack::fate::MoveReason;

pub(super) fn ether(t: &Totals) -> Vec<Counter> {
    counters([
        ("if_ipackets", t.rx, "frames received"),
        ("if_ibytes", t.rx_bytes, "bytes received"),
        ("if_opackets", t.tx, "frames sent"),
        ("if_obytes", t.tx_bytes, "bytes sent"),
        ("if_oqdrops", t.refused, "frames that a device refused"),
    ])
}

pub(super) fn ip(t: &Totals, host: &Totals) -> Vec<Counter> {
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

pub(super) fn ip6(t: &Totals) -> Vec<Counter> {
    counters([
        ("ip6s_total", t.ip6_received, "total packets received"),
        ("ip6s_forward", t.ip6_forwarded, "packets forwarded"),
    ])
}

pub(super) fn icmp(t: &Totals, host: &Totals) -> Vec<Counter> {
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

pub(super) fn arp(s: &ArpStats) -> Vec<Counter> {
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
pub(super) fn ignored(s: &ArpStats) -> Vec<Counter> {
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

pub(super) fn nd6(s: &ArpStats) -> Vec<Counter> {
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

pub(super) fn flowgate(t: &Totals, host: &Totals) -> Vec<Counter> {
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
pub(super) fn affinity(s: &TemplateStats) -> Vec<Counter> {
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

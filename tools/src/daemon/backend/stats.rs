//! Ports, and every counter under its protocol, in FreeBSD's words where it has them.

mod protocols;

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
use protocols::affinity;
use protocols::arp;
use protocols::ether;
use protocols::flowgate;
use protocols::icmp;
use protocols::ignored;
use protocols::ip;
use protocols::ip6;
use protocols::nd6;
use stack::control::PortReport;
use stack::control::Reader;
use stack::counters::Totals;
use stack::fate::DropReason;
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
        mtu: port.takes(),
        configured_mtu: Some(port.mtu).filter(|mtu| *mtu != port.takes()),
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

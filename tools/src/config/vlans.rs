//! VLANs: each of a port that carries Ethernet frames, with a tag that no other has there.

use super::Located;
use super::Port;
use super::PortType;
use super::Problems;
use super::VlanOf;
use std::collections::HashMap;

/// Ports at most: a flow's entry has a byte for the one that it came in by.
const PORTS: usize = 256;

/// Checks them, and adds what is wrong.
pub(super) fn check(ports: &[Port], problems: &mut Problems) {
    if let Some(beyond) = ports.get(PORTS) {
        let wrong = format!(
            "there are {} ports: there may be {PORTS}, VLANs included",
            ports.len()
        );
        problems.add(beyond.name.line, wrong);
    }
    let mut seen = HashMap::new();
    for port in ports {
        let Some(vlan) = &port.vlan else { continue };
        parent(port, vlan, ports, problems);
        device_keys(port, &vlan.parent.value, problems);
        let VlanOf { parent, vid } = vlan;
        if let Some(first) = seen.insert((&parent.value, vid.value), vid.line) {
            let (parent, tag) = (&parent.value, vid.value);
            problems.add(
                vid.line,
                format!("vlan = {tag}: port {parent} has this VLAN already, in line {first}: choose another number"),
            );
        }
    }
}

/// Its parent must be there, and carry frames that can be tagged, as long as its own.
fn parent(port: &Port, vlan: &VlanOf, ports: &[Port], problems: &mut Problems) {
    let Located { value: name, line } = &vlan.parent;
    let devices = ports.iter().filter(|port| port.vlan.is_none());
    let Some(parent) = ports.iter().find(|port| port.name.value == *name) else {
        let names: Vec<&str> = devices.map(|port| port.name.value.as_str()).collect();
        let names = names.join(", ");
        return problems.add(
            *line,
            format!("parent = \"{name}\": no such port: the ports are {names}"),
        );
    };
    let wrong = match parent.kind {
        PortType::Tun => format!(
            "parent = \"{name}\": a TUN's packets have no link header for a tag: name a port of type \"tap\", \"packet\" or \"xdp\""
        ),
        PortType::Vlan => format!(
            "parent = \"{name}\": that is a VLAN itself, and frames have one tag here: name its parent"
        ),
        _ if port.mtu.value > parent.mtu.value => {
            let (mtu, most) = (port.mtu.value, parent.mtu.value);
            let wrong = format!(
                "mtu = {mtu}: its parent {name} takes {most}: write {most} or less, or leave it out"
            );
            return problems.add(port.mtu.line, wrong);
        }
        _ => return,
    };
    problems.add(*line, wrong);
}

/// What is its parent's device's is written there.
fn device_keys(port: &Port, parent: &str, problems: &mut Problems) {
    let keys = [
        ("queues", port.queues.as_ref().map(|key| key.line)),
        (
            "host-addresses",
            port.host_addresses.first().map(|key| key.line),
        ),
        ("mac", port.mac.as_ref().map(|key| key.line)),
        ("promiscuous", port.promiscuous.as_ref().map(|key| key.line)),
        ("offload", port.offload.as_ref().map(|key| key.line)),
    ];
    for (key, line) in keys {
        if let Some(line) = line {
            let wrong = format!(
                "{key}: a VLAN has its parent's device: write it for port {parent}, or leave it out"
            );
            problems.add(line, wrong);
        }
    }
}

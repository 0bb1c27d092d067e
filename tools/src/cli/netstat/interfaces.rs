//! `netstat -i`: the ports, a line for the link and one for each address, in FreeBSD's columns.

use super::super::exit::Failure;
use super::super::session::Session;
use crate::wire::route::Family;
use crate::wire::stats::Port;
use crate::wire::stats::Ports;
use serde_json::json;
use std::io;
use std::io::Write;

/// Prints the ports, with the addresses of one family or of both; the link's line has all the counters.
pub(super) fn run(family: Option<Family>, session: &mut Session<'_>) -> Result<(), Failure> {
    if session.json && family.is_none() {
        return session.print_reply("PortList", &json!({}));
    }
    let mut ports: Ports = session.call("PortList", &json!({}))?;
    for port in &mut ports.ports {
        port.addresses.retain(|address| is_of(family, address));
    }
    if session.json {
        return session.print_json(&ports);
    }
    line(
        session.out,
        [
            "Name", "Mtu", "Network", "Address", "Ipkts", "Ierrs", "Idrop", "Opkts", "Oerrs",
            "Coll",
        ],
    )?;
    Ok(ports
        .ports
        .iter()
        .try_for_each(|port| print(session.out, port))?)
}

/// Whether an address with its length is one of the family.
fn is_of(family: Option<Family>, address: &str) -> bool {
    let of_address = if address.contains(':') {
        Family::Inet6
    } else {
        Family::Inet
    };
    family.is_none_or(|family| family == of_address)
}

fn print(out: &mut dyn Write, port: &Port) -> io::Result<()> {
    // As in FreeBSD, a port that is down is marked by a star.
    let name = if port.up {
        port.name.clone()
    } else {
        format!("{}*", port.name)
    };
    let mac = port.mac.as_deref().unwrap_or(&port.kind);
    let link = format!("<Link#{}>", port.index);
    let count = |number: u64| number.to_string();
    line(
        out,
        [
            &name,
            &port.mtu.to_string(),
            &link,
            mac,
            &count(port.rx_packets),
            &count(port.rx_missed),
            &count(port.rx_dropped),
            &count(port.tx_packets),
            &count(port.tx_refused),
            "0",
        ],
    )?;
    if let (Some(parent), Some(tag)) = (&port.parent, port.vlan) {
        let (vlan, no) = (format!("<Vlan#{tag}>"), "-");
        line(out, [&name, no, &vlan, parent, no, no, no, no, no, no])?;
    }
    if !port.offloads.is_empty() && port.vlan.is_none() {
        let words = port.offloads.join(",");
        let no = "-";
        line(
            out,
            [&name, no, "<Offload>", &words, no, no, no, no, no, no],
        )?;
    }
    if let Some(mtu) = port.configured_mtu {
        writeln!(out, "\tmtu: {mtu} configured")?;
    }
    if let Some(mode) = &port.mode {
        writeln!(out, "\txdp: {mode}")?;
    }
    if port.device.as_deref() == Some("gone") {
        writeln!(out, "\tdevice: gone")?;
    }
    if let Some(warning) = &port.warning {
        writeln!(out, "\twarning: {warning}")?;
    }
    port.addresses.iter().try_for_each(|address| {
        let network = network(address);
        let bare = address.split('/').next().unwrap_or(address);
        line(
            out,
            [&name, "-", &network, bare, "-", "-", "-", "-", "-", "-"],
        )
    })
}

/// The network that an address with a length lies in.
fn network(address: &str) -> String {
    let parts = address.split_once('/').and_then(|(address, length)| {
        Some(route::Prefix::masked(
            address.parse().ok()?,
            length.parse().ok()?,
        ))
    });
    parts.map_or_else(|| address.to_owned(), |prefix| prefix.to_string())
}

fn line(out: &mut dyn Write, columns: [&str; 10]) -> io::Result<()> {
    let [
        name,
        mtu,
        network,
        address,
        ipkts,
        ierrs,
        idrop,
        opkts,
        oerrs,
        coll,
    ] = columns;
    writeln!(
        out,
        "{name:<8} {mtu:>5} {network:<18} {address:<18} {ipkts:>10} {ierrs:>5} {idrop:>6} {opkts:>10} {oerrs:>6} {coll:>5}"
    )
}

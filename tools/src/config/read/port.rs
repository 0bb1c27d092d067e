//! `[[port]]`: a device, its addresses and its switches.

use super::addresses;
use super::fib;
use crate::config::Located;
use crate::config::Port;
use crate::config::PortType;
use crate::config::VlanOf;
use crate::config::document::Section;
use stack::io::xdp::Mode;
use stack::rules::Adverts;
use stack::rules::OptionRule;
use stack::rules::Rpf;
use stack::rules::Rules;
use stack::rules::SourceRoutes;

/// A port's MTU, bytes, unless it is a VLAN.
const DEFAULT_MTU: u32 = 1500;

pub(super) fn ports(root: &mut Section<'_>) -> Vec<Port> {
    let sections = root.sections("port");
    if sections.is_empty() {
        root.problem(0, "no port: a gateway needs at least one [[port]]");
    }
    in_order(sections.into_iter().filter_map(port).collect())
}

/// VLANs behind the ports that have devices; one whose MTU was left out has its parent's.
fn in_order(mut ports: Vec<Port>) -> Vec<Port> {
    ports.sort_by_key(|port| port.vlan.is_some());
    let mtus: Vec<_> = ports
        .iter()
        .map(|port| (port.name.value.clone(), port.mtu.value))
        .collect();
    for port in ports.iter_mut().filter(|port| port.mtu.value == 0) {
        let parent = port.vlan.as_ref().map(|vlan| &vlan.parent.value);
        let found = mtus
            .iter()
            .find(|(name, mtu)| Some(name) == parent && *mtu > 0);
        port.mtu.value = found.map_or(DEFAULT_MTU, |(_, mtu)| *mtu);
    }
    ports
}

fn port(mut section: Section<'_>) -> Option<Port> {
    let line = section.line;
    let has_type = section.has("type");
    let name = section.text("name", "a name, such as \"rack\"");
    let kind = section.choice("type", &TYPES);
    let is_vlan = matches!(&kind, Some(kind) if kind.value == PortType::Vlan);
    let vlan = vlan(&mut section, is_vlan);
    // Of the name that FreeBSD and Linux give it.
    let usual = vlan.as_ref().map(|vlan| Located {
        value: vlan.name(),
        line,
    });
    let name = name.or(usual);
    let fib = fib(&mut section);
    let queues = section.number("queues", 1..=256);
    let addresses = addresses(&mut section, "addresses");
    let host_addresses = self::addresses(&mut section, "host-addresses");
    let is_tun = matches!(&kind, Some(kind) if kind.value == PortType::Tun);
    let mtu = section.number("mtu", 68..=mtu_most(is_tun));
    let up = section.bool("up", true);
    let mac = section.parsed(
        "mac",
        "six hexadecimal bytes, such as \"02:00:00:00:00:0a\"",
    );
    let promiscuous = section.has("promiscuous").then(|| Located {
        value: section.bool("promiscuous", false),
        line,
    });
    let rules = rules(&mut section);
    let offload = section.choice("offload", &[("on", true), ("off", false)]);
    let xdp_mode = section.choice("xdp-mode", &XDP_MODES);
    tell_missing(&mut section, name.is_some() || is_vlan, has_type);
    section.finish();
    if is_vlan && vlan.is_none() {
        return None;
    }
    // Of a VLAN, 0 stands for its parent's, until that is known.
    let usual = if is_vlan { 0 } else { DEFAULT_MTU };
    Some(Port {
        name: name?,
        kind: kind?.value,
        vlan,
        fib,
        queues,
        addresses,
        host_addresses,
        mtu: mtu.unwrap_or(Located { value: usual, line }),
        up,
        mac,
        promiscuous,
        rules,
        offload,
        xdp_mode,
    })
}

const TYPES: [(&str, PortType); 5] = [
    ("tun", PortType::Tun),
    ("tap", PortType::Tap),
    ("packet", PortType::Packet),
    ("xdp", PortType::Xdp),
    ("vlan", PortType::Vlan),
];

/// Frames have a link header, and end where a TUN's packets do (the kernel's limits).
const fn mtu_most(is_tun: bool) -> u32 {
    if is_tun { 65_535 } else { 65_521 }
}

fn tell_missing(section: &mut Section<'_>, has_name: bool, has_type: bool) {
    let line = section.line;
    if !has_name {
        section.problem(line, "a port without a name: write name = \"rack\", say");
    }
    if !has_type {
        section.problem(
            line,
            "a port without a type: write type = \"tun\", type = \"tap\", type = \"packet\", type = \"xdp\" or type = \"vlan\"",
        );
    }
}

/// What a VLAN is made of, and only a VLAN.
fn vlan(section: &mut Section<'_>, is_vlan: bool) -> Option<VlanOf> {
    let line = section.line;
    for (key, example) in [("parent", "parent = \"rack\""), ("vlan", "vlan = 100")] {
        match (is_vlan, section.has(key)) {
            (true, false) => section.problem(
                line,
                format!("a VLAN without a {key}: write {example}, say"),
            ),
            (false, true) => section.problem(
                line,
                format!("{key} goes with type = \"vlan\": leave it out, or write that"),
            ),
            _ => {}
        }
    }
    let parent = section.text("parent", "a port's name");
    let vid = section.number("vlan", 1..=4094u16);
    Some(VlanOf {
        parent: parent?,
        vid: vid?,
    })
    .filter(|_| is_vlan)
}

const XDP_MODES: [(&str, Mode); 4] = [
    ("auto", Mode::Auto),
    ("zero-copy", Mode::ZeroCopy),
    ("copy", Mode::Copy),
    ("generic", Mode::Generic),
];

/// What a port lets through.
fn rules(section: &mut Section<'_>) -> Rules {
    let rpf = [
        ("off", Rpf::Off),
        ("strict", Rpf::Strict),
        ("loose", Rpf::Loose),
        ("loose-no-default", Rpf::LooseNoDefault),
    ];
    let options = [
        ("process", OptionRule::Process),
        ("ignore", OptionRule::Ignore),
        ("drop", OptionRule::Drop),
    ];
    let source_routes = [
        ("drop", SourceRoutes::Drop),
        ("refuse", SourceRoutes::Refuse),
    ];
    let default = Rules::default();
    Rules {
        rpf: section
            .choice("rpf", &rpf)
            .map_or(default.rpf, |rpf| rpf.value),
        directed_broadcast: section.bool("directed-broadcast", default.directed_broadcast),
        class_e: section.bool("class-e", default.class_e),
        redirects: section.bool("redirects", default.redirects),
        adverts: adverts(section),
        options: section
            .choice("ip-options", &options)
            .map_or(default.options, |options| options.value),
        source_routes: section
            .choice("source-routes", &source_routes)
            .map_or(default.source_routes, |rule| rule.value),
    }
}

/// Router advertisements: RFC 4861 §6.2.1 has the ranges.
fn adverts(section: &mut Section<'_>) -> Option<Adverts> {
    let line = section.line;
    let on = section.bool("router-advertisements", false);
    let lifetime = section.number("ra-lifetime", 0..=9000u16);
    let interval = section.number("ra-interval", 4..=1800u16);
    if !on {
        if lifetime.is_some() || interval.is_some() {
            let words = "ra-lifetime and ra-interval are of router advertisements: write router-advertisements = true";
            section.problem(line, words);
        }
        return None;
    }
    let interval_s = interval.map_or(600, |i| i.value);
    let lifetime_s = lifetime.map_or_else(|| interval_s.saturating_mul(3), |l| l.value);
    if (1..interval_s).contains(&lifetime_s) {
        let words = format!(
            "ra-lifetime = {lifetime_s}: hosts would forget the router between two advertisements: write 0, or {interval_s} to 9000"
        );
        section.problem(line, words);
    }
    Some(Adverts {
        lifetime_s,
        interval_s,
    })
}

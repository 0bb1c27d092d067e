//! The keys of `flowgate.toml`: their names, types, ranges and defaults.

use super::Address;
use super::Config;
use super::Control;
use super::Gateway;
use super::GatewayOf;
use super::Group;
use super::HealthCheck;
use super::Icmp;
use super::Located;
use super::Neighbour;
use super::Port;
use super::PortType;
use super::Problems;
use super::Route;
use super::Tables;
use super::TimeoutsOf;
use super::VlanOf;
use super::document::Document;
use super::document::Element;
use super::document::Section;
use super::document::integer;
use super::document::shown;
use crate::wire::options::MAX_SLOW_START_S;
use crate::wire::options::MAX_STICKY_S;
use crate::wire::options::Options;
use crate::wire::route::Family;
use crate::wire::route::MAX_WEIGHT;
use crate::wire::route::PathKind;
use crate::wire::timeout::TIMEOUT_MAX;
use crate::wire::timeout::TIMEOUTS;
use crate::wire::timeout::class;
use flowtable::State;
use route::FibId;
use route::MAX_BUCKETS;
use route::Prefix;
use stack::io::memfd::Memory;
use stack::io::xdp::Mode;
use stack::rules::Adverts;
use stack::rules::OptionRule;
use stack::rules::Rpf;
use stack::rules::Rules;
use stack::rules::SourceRoutes;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use toml::de::DeTable;

/// A port's MTU, bytes, unless it is a VLAN.
const DEFAULT_MTU: u32 = 1500;

/// Reads everything; `None` only when the text is no TOML.
pub(super) fn config(path: &Path, text: &str, problems: &mut Problems) -> Option<Config> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let document = Document::new(text, problems);
    for error in &errors {
        let line = document.line(error.span().map_or(0, |span| span.start));
        document.problem(
            line,
            format!("not TOML: {}", error.message().replace('\n', ", ")),
        );
    }
    if !errors.is_empty() {
        return None;
    }
    let mut root = document.root(table.get_ref());
    let (timeouts, timeout_classes) = root.section("timeouts").map(timeouts).unwrap_or_default();
    let config = Config {
        gateway: root.section("gateway").map(gateway).unwrap_or_default(),
        control: root.section("control").map(control).unwrap_or_default(),
        sandbox: root.section("security").and_then(security) != Some(false),
        tables: root.section("tables").map(tables).unwrap_or_default(),
        timeouts,
        timeout_classes,
        group_secret_file: root
            .section("secrets")
            .and_then(|section| secrets(path, section))
            .unwrap_or_else(|| path.with_extension("group-secret")),
        state_file: root
            .section("state")
            .and_then(|section| state(path, section))
            .unwrap_or_else(|| path.with_extension("state")),
        ports: ports(&mut root),
        groups: root
            .sections("group")
            .into_iter()
            .filter_map(group)
            .collect(),
        routes: root
            .sections("route")
            .into_iter()
            .filter_map(route)
            .collect(),
        health: root
            .sections("health")
            .into_iter()
            .filter_map(health)
            .collect(),
        neighbour: root.section("neighbour").map(neighbour).unwrap_or_default(),
        icmp: root.section("icmp").map(icmp).unwrap_or_default(),
    };
    root.finish();
    Some(config)
}

/// Some port must be written, right or wrong: a wrong one is told by itself.
fn ports(root: &mut Section<'_>) -> Vec<Port> {
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

fn gateway(mut section: Section<'_>) -> Gateway {
    let workers = section
        .number("workers", 1..=256)
        .map(|number| number.value);
    let most = section.number("max-workers", 1..=256);
    if let (Some(workers), Some(most)) = (workers, &most)
        && most.value < workers
    {
        section.problem(
            most.line,
            format!(
                "max-workers = {}: there are {workers} workers at the start: write {workers} or more, or leave it out",
                most.value
            ),
        );
    }
    let busy_poll = section.bool("busy-poll", false);
    let steering = section.choice("steering", &[("auto", true), ("off", false)]);
    let fibs = section.number("fibs", 1..=FibId::MOST).map(|n| n.value);
    let mut cpus = Vec::new();
    for Element { line, value } in section.list("cpus") {
        match integer(value).and_then(|cpu| usize::try_from(cpu).ok()) {
            Some(cpu) if cpus.contains(&cpu) => section.problem(
                line,
                format!("cpus: {cpu} stands here twice: name each CPU once"),
            ),
            Some(cpu) => cpus.push(cpu),
            None => section.problem(
                line,
                format!(
                    "cpus: {} is no CPU: write numbers, such as cpus = [0, 1]",
                    shown(value)
                ),
            ),
        }
    }
    section.finish();
    Gateway {
        workers,
        max_workers: most.map(|number| number.value),
        cpus,
        fibs,
        busy_poll,
        steering: steering.map(|chosen| chosen.value),
    }
}

fn control(mut section: Section<'_>) -> Control {
    let right = "a path, such as \"/run/flowgate.sock\"";
    let socket = section.text("socket", right);
    if let Some(Located { line, .. }) = socket.as_ref().filter(|path| path.value.is_empty()) {
        section.problem(*line, format!("socket = \"\": write {right}"));
    }
    let group = section.text("group", "a group's name");
    section.finish();
    Control {
        socket: socket.map(|path| path.value.into()),
        group: group.map(|name| name.value),
    }
}

/// Whether the sandbox is entered; `None`: nothing is said of it.
fn security(mut section: Section<'_>) -> Option<bool> {
    let sandbox = section.choice("sandbox", &[("on", true), ("off", false)]);
    section.finish();
    sandbox.map(|chosen| chosen.value)
}

fn tables(mut section: Section<'_>) -> Tables {
    let default = Tables::default();
    let flows = 1024..=1 << 30;
    let read = Tables {
        flows_v4: section.number_or("flows-v4", flows.clone(), default.flows_v4),
        flows_v6: section.number_or("flows-v6", flows, default.flows_v6),
        source_share: section.number_or("source-share", 1..=100, default.source_share),
        memory: memory(&mut section),
        templates: section.number_or("templates", 64..=1 << 26, default.templates),
        neighbours: section.number_or("neighbours", 16..=1 << 24, default.neighbours),
        held_packets: section.number_or("held-packets", 16..=65_536, default.held_packets),
        fragments: section.number_or("fragments", 16..=65_536, default.fragments),
        buffers: section.number_or("packet-buffers", 256..=1 << 20, default.buffers),
        large_buffers: section.number_or("super-buffers", 8..=65_536, default.large_buffers),
        next_hops: section.number_or("next-hops", 16..=(1 << 20) - 1, default.next_hops),
        groups: section.number_or("groups", 16..=(1 << 20) - 1, default.groups),
        group_lines: section.number_or("group-lines", 1024..=1 << 28, default.group_lines),
        buckets: buckets(&mut section).unwrap_or(default.buckets),
        routes: section.number_or("routes", 16..=1 << 26, default.routes),
        fib_bytes: section.number_or("fib-bytes", 1 << 20..=1 << 36, default.fib_bytes),
    };
    section.finish();
    read
}

fn memory(section: &mut Section<'_>) -> Memory {
    let words = [
        ("auto", Memory::Auto),
        ("memfd", Memory::Memfd),
        ("anonymous", Memory::Anonymous),
    ];
    let chosen = section.choice("memory", &words);
    chosen.map_or(Memory::Auto, |chosen| chosen.value)
}

fn buckets(section: &mut Section<'_>) -> Option<u32> {
    let Located { value, line } = section.number("buckets", 16..=65_536_u32)?;
    if value.is_power_of_two() {
        return Some(value);
    }
    let near = value.next_power_of_two();
    section.problem(
        line,
        format!("buckets = {value}: write a power of two, such as buckets = {near}"),
    );
    None
}

fn timeouts(mut section: Section<'_>) -> (Vec<(State, u32)>, Vec<TimeoutsOf>) {
    let read = timeouts_in(&mut section);
    let classes = section.named("timeouts").into_iter();
    let classes = classes.filter_map(|(name, of)| timeout_class(name, of));
    let mut classes: Vec<_> = classes.collect();
    // As they stand in the file: the last ones are those too many.
    classes.sort_by_key(|of| of.name.line);
    section.finish();
    (read, classes)
}

fn timeouts_in(section: &mut Section<'_>) -> Vec<(State, u32)> {
    let mut read = Vec::new();
    for (key, state) in TIMEOUTS {
        if let Some(seconds) = section.number(key, 1..=TIMEOUT_MAX) {
            read.push((state, seconds.value));
        }
    }
    read
}

fn timeout_class(name: &str, mut section: Section<'_>) -> Option<TimeoutsOf> {
    let line = section.line;
    let timeouts = timeouts_in(&mut section);
    let name = match class(name) {
        Ok(name) if name.is_default() => {
            let own = "[timeouts.default]: write its keys below [timeouts]";
            section.problem(line, own);
            None
        }
        Ok(value) => Some(Located { value, line }),
        Err(error) => {
            section.problem(line, format!("[timeouts.{name}]: {error}"));
            None
        }
    };
    section.finish();
    name.map(|name| TimeoutsOf { name, timeouts })
}

fn secrets(path: &Path, section: Section<'_>) -> Option<PathBuf> {
    let example = "a path, such as \"/var/lib/flowgate/group-secret\"";
    file(path, section, "group-secret-file", example)
}

fn state(path: &Path, section: Section<'_>) -> Option<PathBuf> {
    let example = "a path, such as \"/var/lib/flowgate/state\"";
    file(path, section, "state-file", example)
}

/// A relative path is meant from the configuration's directory.
fn file(
    path: &Path,
    mut section: Section<'_>,
    key: &'static str,
    example: &'static str,
) -> Option<PathBuf> {
    let file = section.text(key, example);
    section.finish();
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    file.map(|file| directory.join(file.value))
}

fn port(mut section: Section<'_>) -> Option<Port> {
    let line = section.line;
    let has_type = section.has("type");
    let name = section.text("name", "a name, such as \"rack\"");
    let kinds = [
        ("tun", PortType::Tun),
        ("tap", PortType::Tap),
        ("packet", PortType::Packet),
        ("xdp", PortType::Xdp),
        ("vlan", PortType::Vlan),
    ];
    let kind = section.choice("type", &kinds);
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
    // Frames have a link header, and end where a TUN's packets do (the kernel's limits).
    let is_tun = matches!(&kind, Some(kind) if kind.value == PortType::Tun);
    let most = if is_tun { 65_535 } else { 65_521 };
    let mtu = section.number("mtu", 68..=most);
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
    if name.is_none() && !is_vlan {
        section.problem(line, "a port without a name: write name = \"rack\", say");
    }
    if !has_type {
        section.problem(
            line,
            "a port without a type: write type = \"tun\", type = \"tap\", type = \"packet\", type = \"xdp\" or type = \"vlan\"",
        );
    }
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

/// A FIB; 0 when left out.
fn fib(section: &mut Section<'_>) -> Located<u8> {
    let line = section.line;
    let fib = section.number("fib", 0..=FibId::MOST - 1);
    fib.unwrap_or(Located { value: 0, line })
}

fn addresses(section: &mut Section<'_>, key: &'static str) -> Vec<Located<Address>> {
    let mut read = Vec::new();
    for Element { line, value } in section.list(key) {
        match value.as_str().and_then(address) {
            Some(value) => read.push(Located { value, line }),
            None => section.problem(
                line,
                format!(
                    "{key}: {} is no address with its length: write \"10.0.0.1/24\" or \"2001:db8::1/64\"",
                    shown(value)
                ),
            ),
        }
    }
    read
}

fn address(text: &str) -> Option<Address> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length| *length <= most)?;
    Some(Address { address, length })
}

/// Gateways, and whether all could be read: what could not has been told.
fn gateways(section: &mut Section<'_>) -> (Vec<Located<GatewayOf>>, bool) {
    let listed = section.list("gateways");
    let read = listed.iter().filter_map(|e| gateway_of(section, e));
    let read: Vec<_> = read.collect();
    let all = read.len() == listed.len();
    (read, all)
}

fn group(mut section: Section<'_>) -> Option<Group> {
    let line = section.line;
    let is_numbered = section.has("number");
    let number = section.number("number", 1..=u32::MAX);
    let fib = fib(&mut section);
    let (gateways, all) = gateways(&mut section);
    let mtu = section.number("mtu", 68..=65_535).map(|mtu| mtu.value);
    let recursive = section.bool("recursive", false);
    let options = options(&mut section);
    if !is_numbered {
        section.problem(line, "a group without a number: write number = 7, say");
    }
    section.finish();
    Some(Group {
        number: number.filter(|_| all)?,
        fib,
        gateways,
        mtu,
        recursive,
        options,
    })
}

fn route(mut section: Section<'_>) -> Option<Route> {
    let line = section.line;
    let destination = section.text("destination", "a prefix, such as \"203.0.113.0/24\"");
    let fib = fib(&mut section);
    let (gateways, all) = gateways(&mut section);
    let iface = section.text("iface", "a port's name");
    let kinds = [
        ("blackhole", PathKind::Blackhole),
        ("reject", PathKind::Reject),
    ];
    let is_special = section.has("kind");
    let special = section.choice("kind", &kinds);
    let mtu = section.number("mtu", 68..=65_535).map(|mtu| mtu.value);
    let recursive = section.bool("recursive", false);
    let mut options = options(&mut section);
    let group = section.number("group", 1..=u32::MAX);
    options.group = group.map(|number| number.value);
    if destination.is_none() {
        let example = "write destination = \"203.0.113.0/24\", say";
        section.problem(line, format!("a route without a destination: {example}"));
    }
    let mut destination = destination.and_then(|text| prefix(&section, text, &gateways));
    if let Some(destination) = &mut destination {
        destination.value = destination.value.in_fib(FibId(fib.value));
    }
    section.finish();
    // What could not be read has been told; half a route would only be told off for what it lacks.
    if !all || is_special && special.is_none() {
        return None;
    }
    let plain = if iface.is_some() {
        PathKind::Interface
    } else {
        PathKind::Gateway
    };
    let kind = special.map_or(plain, |kind| kind.value);
    Some(Route {
        destination: destination?,
        kind,
        gateways,
        iface,
        mtu,
        recursive,
        options,
    })
}

/// `select = "source"`, `sticky = "src/24"`, `sticky-timeout = 1800`, `failback = "return"`, `slow-start = 30`, `timeouts = "web"`.
fn options(section: &mut Section<'_>) -> Options {
    let mut options = Options::default();
    let words = [
        (
            "select",
            "\"5-tuple\", \"source\", \"source-destination\" or \"mod-n\"",
        ),
        ("sticky", "\"src\", \"src/24\" or \"off\""),
        ("failback", "\"stay\" or \"return\""),
        ("timeouts", "the NAME of a [timeouts.NAME]"),
    ];
    let mut is_read = true;
    for (key, right) in words {
        let said = section.has(key);
        let text = section.text(key, right);
        is_read &= key != "sticky" || said == text.is_some();
        if let Some(text) = text
            && let Err(wrong) = options.read(key, &text.value)
        {
            is_read &= key != "sticky";
            section.problem(text.line, wrong.trim_start_matches('-'));
        }
    }
    if let Some(seconds) = section.number("sticky-timeout", 1..=MAX_STICKY_S) {
        let text = seconds.value.to_string();
        let read = options.read("sticky-timeout", &text);
        // What could not be read has been told, and is not to be missed as well.
        if let Err(wrong) = read.and_then(|()| options.check_whole())
            && is_read
        {
            section.problem(seconds.line, wrong.trim_start_matches('-'));
        }
    }
    let slow_start = section.number("slow-start", 0..=MAX_SLOW_START_S);
    options.slow_start = slow_start.map(|seconds| seconds.value);
    if let Some(buckets) = section.number("buckets", 1..=MAX_BUCKETS)
        && let Err(wrong) = options.read("buckets", &buckets.value.to_string())
    {
        section.problem(buckets.line, wrong.trim_start_matches('-'));
    }
    options
}

/// A prefix, or `default` in the family of the gateways.
fn prefix(
    section: &Section<'_>,
    text: Located<String>,
    gateways: &[Located<GatewayOf>],
) -> Option<Located<Prefix>> {
    let Located { value, line } = text;
    let text = match (value.as_str(), gateways.first()) {
        ("default", Some(gateway)) => match Family::of(gateway.value.address) {
            Family::Inet => "0.0.0.0/0",
            Family::Inet6 => "::/0",
        },
        ("default", None) => {
            section.problem(
                line,
                "destination = \"default\": write \"0.0.0.0/0\" or \"::/0\"",
            );
            return None;
        }
        (text, _) => text,
    };
    match text.parse() {
        Ok(value) => Some(Located { value, line }),
        Err(error) => {
            section.problem(line, format!("destination = \"{text}\": {error}"));
            None
        }
    }
}

/// What a gateway may look like.
const GATEWAY: &str =
    "write \"10.1.0.2\", \"fe80::1%rack\" or { address = \"10.1.0.2\", weight = 2 }";

/// `"10.1.0.2"`, `"fe80::1%rack"` or `{ address = "10.1.0.2", weight = 2, port = "rack" }`.
fn gateway_of<'a>(section: &Section<'a>, element: &Element<'a>) -> Option<Located<GatewayOf>> {
    let line = element.line;
    let read = match (
        element.value.as_str(),
        section.of_element("a gateway", element),
    ) {
        (Some(text), _) => zoned(text).map(|(address, port)| GatewayOf {
            address,
            weight: 1,
            port,
        }),
        (None, Some(table)) => return gateway_table(table),
        (None, None) => None,
    };
    if read.is_none() {
        let text = format!(
            "gateways: {} is no gateway: {GATEWAY}",
            shown(element.value)
        );
        section.problem(line, text);
    }
    read.map(|value| Located { value, line })
}

fn gateway_table(mut section: Section<'_>) -> Option<Located<GatewayOf>> {
    let line = section.line;
    let address = section.text("address", "an address, such as \"10.1.0.2\"");
    let weight = section.number_or("weight", 1..=MAX_WEIGHT, 1);
    let named = section.text("port", "a port's name");
    let read = address.as_ref().and_then(|address| zoned(&address.value));
    match (&address, &read) {
        (None, _) => section.problem(line, format!("a gateway without an address: {GATEWAY}")),
        (Some(text), None) => {
            let message = format!("address = \"{}\" is no address: {GATEWAY}", text.value);
            section.problem(text.line, message);
        }
        (Some(_), Some(_)) => {}
    }
    section.finish();
    let (address, zone) = read?;
    let port = named.map(|port| port.value).or(zone);
    Some(Located {
        value: GatewayOf {
            address,
            weight,
            port,
        },
        line,
    })
}

/// An address, perhaps with `%port`.
fn zoned(text: &str) -> Option<(IpAddr, Option<String>)> {
    match text.split_once('%') {
        Some((address, zone)) => Some((address.parse().ok()?, Some(zone.to_owned()))),
        None => Some((text.parse().ok()?, None)),
    }
}

fn health(mut section: Section<'_>) -> Option<HealthCheck> {
    let line = section.line;
    let gateway: Option<Located<IpAddr>> = section.parsed("gateway", "a gateway's address");
    let address: Option<Located<IpAddr>> = section.parsed("address", "a server's address");
    let port = section.number("port", 1..=65_535);
    let interval_ms = section.number_or("interval-ms", 100..=3_600_000, 2_000);
    let timeout_ms = section.number_or("timeout-ms", 10..=600_000, 1_000.min(interval_ms));
    let tries = section.number_or("tries", 1..=100, 3);
    if gateway.is_none() {
        section.problem(
            line,
            "a health check without a gateway: write gateway = \"10.1.0.2\", say",
        );
    }
    if port.is_none() {
        section.problem(line, "a health check without a port: write port = 80, say");
    }
    section.finish();
    let gateway = gateway?;
    let address = address.map_or(gateway.value, |address| address.value);
    Some(HealthCheck {
        gateway,
        address,
        port: port?.value,
        interval_ms,
        timeout_ms,
        tries,
    })
}

fn neighbour(mut section: Section<'_>) -> Neighbour {
    let default = Neighbour::default();
    let ms = 10..=3_600_000;
    let read = Neighbour {
        probe_interval_ms: section.number_or(
            "probe-interval-ms",
            ms.clone(),
            default.probe_interval_ms,
        ),
        probe_retry_ms: section.number_or("probe-retry-ms", ms.clone(), default.probe_retry_ms),
        probe_tries: section.number_or("probe-tries", 1..=100, default.probe_tries),
        retry_ms: section.number_or("retry-ms", ms, default.retry_ms),
        tries: section.number_or("tries", 1..=100, default.tries),
        lifetime_s: section.number_or("lifetime-s", 10..=604_800, default.lifetime_s),
        failed_hold_s: section.number_or("failed-hold-s", 1..=3_600, default.failed_hold_s),
    };
    section.finish();
    read
}

fn icmp(mut section: Section<'_>) -> Icmp {
    let default = Icmp::default();
    let rate = 1..=10_000_000;
    let read = Icmp {
        errors_per_second: section.number_or(
            "errors-per-second",
            rate.clone(),
            default.errors_per_second,
        ),
        errors_per_address: section.number_or(
            "errors-per-address",
            rate.clone(),
            default.errors_per_address,
        ),
        redirects_per_address: section.number_or(
            "redirects-per-address",
            rate.clone(),
            default.redirects_per_address,
        ),
        echo_per_second: section.number_or("echo-per-second", rate, default.echo_per_second),
    };
    section.finish();
    read
}

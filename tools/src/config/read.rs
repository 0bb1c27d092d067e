//! The keys of `flowgate.toml`: their names, types, ranges and defaults.

mod port;
mod route;

use super::Address;
use super::Config;
use super::Control;
use super::Gateway;
use super::HealthCheck;
use super::Icmp;
use super::Located;
use super::Neighbour;
use super::Problems;
use super::Tables;
use super::TimeoutsOf;
use super::document::Document;
use super::document::Element;
use super::document::Section;
use super::document::integer;
use super::document::shown;
use crate::wire::timeout::TIMEOUT_MAX;
use crate::wire::timeout::TIMEOUTS;
use crate::wire::timeout::class;
use ::route::FibId;
use flowtable::State;
use port::ports;
use route::group;
use route::route;
use stack::io::memfd::Memory;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use toml::de::DeTable;

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
        verify_moves: section.bool("verify-moves", default.verify_moves),
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

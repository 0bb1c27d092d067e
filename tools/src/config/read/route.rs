//! `[[route]]` and `[[group]]`: their gateways and options.

use super::fib;
use crate::config::GatewayOf;
use crate::config::Group;
use crate::config::Located;
use crate::config::Route;
use crate::config::document::Element;
use crate::config::document::Section;
use crate::config::document::shown;
use crate::wire::options::MAX_SLOW_START_S;
use crate::wire::options::MAX_STICKY_S;
use crate::wire::options::Options;
use crate::wire::route::Family;
use crate::wire::route::MAX_WEIGHT;
use crate::wire::route::PathKind;
use ::route::FibId;
use ::route::MAX_BUCKETS;
use ::route::Prefix;
use std::net::IpAddr;

/// Gateways, and whether all could be read: what could not has been told.
fn gateways(section: &mut Section<'_>) -> (Vec<Located<GatewayOf>>, bool) {
    let listed = section.list("gateways");
    let read = listed.iter().filter_map(|e| gateway_of(section, e));
    let read: Vec<_> = read.collect();
    let all = read.len() == listed.len();
    (read, all)
}

pub(super) fn group(mut section: Section<'_>) -> Option<Group> {
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

pub(super) fn route(mut section: Section<'_>) -> Option<Route> {
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

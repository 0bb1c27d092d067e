//! How the tables spell what the wire has as values: states, flags, masks, durations, dates.

use crate::wire::options::Failback;
use crate::wire::options::Options;
use crate::wire::options::Sticky;
use crate::wire::route::Admin;
use crate::wire::route::Health;
use crate::wire::route::Path;
use crate::wire::route::PathKind;
use crate::wire::route::Route;
use crate::wire::route::Starting;
use route::Prefix;
use std::net::IpAddr;

/// A FIB as messages name it, behind some words; nothing for the one that goes without saying.
pub(crate) fn in_fib(words: &str, fib: u8) -> String {
    match fib {
        0 => String::new(),
        _ => format!("{words}{fib}"),
    }
}

/// A next hop's state in one word: `dead` and `returning` before what an operator asked for.
pub(crate) fn state(admin: Admin, health: Health) -> &'static str {
    match (health, admin) {
        (Health::Dead, _) => "dead",
        (Health::Returning, _) => "returning",
        (Health::Up, Admin::Draining) => "draining",
        (Health::Up, Admin::Drained) => "drained",
        (Health::Up, Admin::In) => "up",
    }
}

/// A next hop that is dead, and why if that is known: `dead (unresolved)`.
pub(crate) fn dead(causes: &[String]) -> String {
    if causes.is_empty() {
        return "dead".into();
    }
    format!("dead ({})", causes.join(", "))
}

/// As [`state`], and how far a slow start is: `returning 40 %, 18 s left`.
pub(crate) fn path_state(path: &Path) -> String {
    let state = state(path.admin, path.health);
    match path.starting {
        Some(Starting { percent, left }) => {
            let state = if state == "up" { "starting" } else { state };
            format!("{state} {percent} %, {left} s left")
        }
        None => state.to_owned(),
    }
}

/// So many of something: `1 route`, `2 routes`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// How flows are treated: `select 5-tuple, sticky src/24 for 1800 s, failback return, slow start 30 s`.
pub(crate) fn options(options: &Options) -> String {
    let mut words = vec![format!(
        "select {}",
        options.select.unwrap_or_default().name()
    )];
    if let Some(Sticky { length, timeout }) = options.sticky {
        let length = length.map_or_else(String::new, |length| format!("/{length}"));
        words.push(format!("sticky src{length} for {} s", timeout.unwrap_or(0)));
    }
    if options.failback == Some(Failback::Return) {
        words.push("failback return".to_owned());
    }
    let start = options.slow_start.filter(|seconds| *seconds > 0);
    words.extend(start.map(|seconds| format!("slow start {seconds} s")));
    let class = options.timeouts.filter(|class| !class.is_default());
    words.extend(class.map(|class| format!("timeouts {class}")));
    words.join(", ")
}

/// As [`options`]; nothing, if all are as by default.
pub(crate) fn special(of: &Options) -> Option<String> {
    let buckets = of.buckets.map(|buckets| format!("buckets {buckets}"));
    let as_usual = options(&Options::default());
    let text = Some(options(of)).filter(|text| *text != as_usual);
    match (text, buckets) {
        (Some(text), Some(buckets)) => Some(format!("{text}, {buckets}")),
        (text, buckets) => text.or(buckets),
    }
}

/// A prefix's mask in the notation of its family; `default` for none at all.
pub(crate) fn mask(prefix: Prefix) -> String {
    let length = u32::from(prefix.len());
    match prefix.addr() {
        _ if length == 0 => "default".into(),
        IpAddr::V4(_) => IpAddr::from((u32::MAX << (32 - length)).to_be_bytes()).to_string(),
        IpAddr::V6(_) => IpAddr::from((u128::MAX << (128 - length)).to_be_bytes()).to_string(),
    }
}

/// A prefix's address, `default` for the shortest prefix.
pub(crate) fn network(prefix: Prefix) -> String {
    if prefix.len() == 0 {
        "default".into()
    } else {
        prefix.addr().to_string()
    }
}

/// A destination as netstat writes it: `default`, a host without its length, a network with it.
pub(crate) fn destination(prefix: Prefix) -> String {
    match prefix.len() {
        0 => "default".into(),
        _ if prefix.is_host() => prefix.addr().to_string(),
        _ => prefix.to_string(),
    }
}

/// The same; a link-local network or own address with its port, as FreeBSD has it: `fe80::%rack/64`.
pub(crate) fn zoned(prefix: Prefix, path: &Path) -> String {
    let of_link = matches!(prefix.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local());
    let connected = matches!(path.kind, PathKind::Interface | PathKind::Local);
    match &path.port {
        Some(port) if of_link && connected => {
            let (addr, len) = (prefix.addr(), prefix.len());
            let len = if prefix.is_host() {
                String::new()
            } else {
                format!("/{len}")
            };
            format!("{addr}%{port}{len}")
        }
        _ => destination(prefix),
    }
}

/// netstat's flag letters: U usable, G gateway, H host, S static, B blackhole, R reject.
pub(crate) fn flag_letters(route: &Route, path: &Path) -> String {
    let set = [
        (
            'U',
            path.health != Health::Dead && path.admin != Admin::Drained,
        ),
        ('G', path.kind == PathKind::Gateway),
        ('H', route.destination.is_host()),
        ('S', route.is_static),
        ('B', path.kind == PathKind::Blackhole),
        ('R', path.kind == PathKind::Reject),
    ];
    set.into_iter()
        .filter(|(_, on)| *on)
        .map(|(letter, _)| letter)
        .collect()
}

/// route's flag words: `<UP,GATEWAY,DONE,STATIC>`.
pub(crate) fn flag_words(is_host: bool, is_static: bool, path: &Path) -> String {
    let set = [
        (
            "UP",
            path.health != Health::Dead && path.admin != Admin::Drained,
        ),
        ("GATEWAY", path.kind == PathKind::Gateway),
        ("HOST", is_host),
        ("REJECT", path.kind == PathKind::Reject),
        ("DONE", true),
        ("STATIC", is_static),
        ("BLACKHOLE", path.kind == PathKind::Blackhole),
    ];
    let words: Vec<_> = set
        .into_iter()
        .filter(|(_, on)| *on)
        .map(|(word, _)| word)
        .collect();
    format!("<{}>", words.join(","))
}

/// A duration in the style of ndp: `23h59m58s`.
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    let mut rest = seconds;
    let mut text = String::new();
    for (length, unit) in units {
        if rest >= length || (unit == 's' && text.is_empty()) {
            text += &format!("{}{unit}", rest / length);
            rest %= length;
        }
    }
    text
}

/// A short time in seconds with a decimal, a longer one as [`duration`].
pub(crate) fn short_time(milliseconds: u64) -> String {
    if milliseconds < 10_000 {
        format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100)
    } else {
        duration(milliseconds)
    }
}

/// A moment, in milliseconds since 1970, as ctime(3) writes it, in UTC: `Fri Nov 20 23:42:21 2026`.
pub(crate) fn date(unix_ms: u64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = unix_ms / 1000;
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let clock = seconds % 86_400;
    format!(
        "{} {} {day:2} {:02}:{:02}:{:02} {year}",
        DAYS[usize::try_from(days % 7).unwrap_or(0)],
        MONTHS[month],
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

/// The year, the month from 0, the day from 1 of a day since 1970, by walking: cold, short and plain.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years are 146,097 days: whole cycles are skipped, so that any number ends soon.
    let mut year = 1970 + 400 * (days / 146_097);
    days %= 146_097;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while month < 11 && days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_is_told_with_the_state() {
        let path = |health: &str| -> Path {
            let text = format!(
                r#"{{"kind": "gateway", "gateway": "10.0.0.1", "weight": 1, "mtu": 0, "nexthop": 1, "generation": 1,
                "admin": "in", "health": "{health}", "buckets": 1, "starting": {{"percent": 40, "left": 18}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(path_state(&path("up")), "starting 40 %, 18 s left");
        assert_eq!(path_state(&path("returning")), "returning 40 %, 18 s left");
    }

    #[test]
    fn what_is_each_links_own_is_listed_with_its_port() {
        let name = |kind: &str, destination: &str| {
            let text = format!(
                r#"{{"kind": "{kind}", "port": "rack", "weight": 1, "mtu": 0, "nexthop": 0, "generation": 0,
                "admin": "in", "health": "up", "buckets": 1}}"#
            );
            zoned(
                destination.parse().unwrap(),
                &serde_json::from_str(&text).unwrap(),
            )
        };
        assert_eq!(name("interface", "fe80::/64"), "fe80::%rack/64");
        assert_eq!(name("local", "fe80::1/128"), "fe80::1%rack");
        assert_eq!(name("interface", "fd00::/64"), "fd00::/64");
        assert_eq!(name("local", "fd00::1/128"), "fd00::1");
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(date(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(date(951_782_400_000), "Tue Feb 29 00:00:00 2000");
        assert_eq!(date(1_795_218_141_000), "Fri Nov 20 23:42:21 2026");
        assert_eq!(date(4_107_542_399_000), "Sun Feb 28 23:59:59 2100");
        assert!(!date(u64::MAX).is_empty());
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(0), "0s");
        assert_eq!(duration(86_398_000), "23h59m58s");
        assert_eq!(duration(86_400_000), "1d");
        assert_eq!(duration(3_600_999), "1h");
        assert_eq!(short_time(1_550), "1.5s");
        assert_eq!(short_time(61_000), "1m1s");
    }

    #[test]
    fn prefixes_have_masks_and_names() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        assert_eq!(mask(prefix("10.0.0.0/8")), "255.0.0.0");
        assert_eq!(mask(prefix("10.0.0.1")), "255.255.255.255");
        assert_eq!(mask(prefix("2001:db8::/32")), "ffff:ffff::");
        assert_eq!(mask(prefix("::/0")), "default");
        assert_eq!(destination(prefix("0.0.0.0/0")), "default");
        assert_eq!(destination(prefix("10.0.0.1/32")), "10.0.0.1");
        assert_eq!(destination(prefix("2001:db8::/32")), "2001:db8::/32");
    }
}

//! `arp` and `ndp` against a served fake gateway.

use super::*;
use crate::cli::test_support::run_tool;
use crate::server::fake::Fake;

type Tool = fn(Words, &mut Session<'_>) -> Result<(), Failure>;

fn prints(tool: Tool, line: &str) -> String {
    let (out, error, status) = run_tool(Fake::small(), tool, line, false);
    assert_eq!((error, status), (None, 0), "{line}");
    out
}

#[test]
fn arp_lists_in_freebsds_format() {
    assert_eq!(
        prints(arp, "-an"),
        "? (192.0.2.11) at 02:00:00:00:00:11 on rack expires in 1187 seconds [ethernet]\n\
         ? (192.0.2.99) at (incomplete) on rack expired [ethernet]\n"
    );
    assert_eq!(
        prints(arp, "-n 192.0.2.99"),
        "? (192.0.2.99) at (incomplete) on rack expired [ethernet]\n"
    );
}

#[test]
fn ndp_lists_in_freebsds_format() {
    assert_eq!(
        prints(ndp, "-an"),
        "\
Neighbor                             Linklayer Address  Netif Expire    S Flags
fd00::11                             02:00:00:00:00:11   rack 23h59m59s S
"
    );
}

#[test]
fn entries_are_stated_and_deleted() {
    assert_eq!(prints(arp, "-s 192.0.2.50 02:00:00:00:00:50 pub"), "");
    assert_eq!(
        prints(arp, "-d 192.0.2.11"),
        "192.0.2.11 (192.0.2.11) deleted\n"
    );
    assert_eq!(
        prints(arp, "-da"),
        "192.0.2.11 (192.0.2.11) deleted\n192.0.2.99 (192.0.2.99) deleted\n"
    );
    assert_eq!(prints(ndp, "-c"), "fd00::11 (fd00::11) deleted\n");
}

#[test]
fn what_is_not_there_is_status_1() {
    for line in ["192.0.2.77", "-d 192.0.2.77"] {
        let (_, error, status) = run_tool(Fake::small(), arp, line, false);
        assert_eq!(
            (error.as_deref(), status),
            (Some("192.0.2.77 (192.0.2.77) -- no entry"), 1)
        );
    }
}

#[test]
fn what_is_not_there_is_status_1_and_no_list_with_json_too() {
    for (tool, host) in [(arp as Tool, "192.0.2.77"), (ndp, "fd00::77")] {
        let (out, error, status) = run_tool(Fake::small(), tool, host, true);
        assert_eq!((out.as_str(), status), ("", 1));
        assert_eq!(error, Some(format!("{host} ({host}) -- no entry")));
    }
    let (out, error, status) = run_tool(Fake::small(), arp, "192.0.2.99", true);
    assert_eq!((error, status), (None, 0));
    assert!(out.starts_with("{\"neighbours\":[{"), "{out}");
}

#[test]
fn each_tool_names_its_own_words() {
    let wrong = |words, family| parse(Words::of(words), family).unwrap_err().to_string();
    assert_eq!(
        wrong("", Family::Inet),
        "say one of: -a, HOST, -s HOST MAC, -d HOST, -d -a"
    );
    assert_eq!(
        wrong("", Family::Inet6),
        "say one of: -a, HOST, -s HOST MAC, -d HOST, -c"
    );
    assert_eq!(
        wrong("-s 192.0.2.50 2:0:0:0:0:50 pup", Family::Inet),
        "bad keyword: pup: write temp, pub or nothing"
    );
    assert_eq!(
        wrong("-s fd00::50 2:0:0:0:0:50 pup", Family::Inet6),
        "bad keyword: pup: write temp, proxy or nothing"
    );
}

#[test]
fn an_ipv6_neighbour_that_is_not_there_has_no_head_above_it() {
    let (out, error, status) = run_tool(Fake::small(), ndp, "fd00::77", false);
    assert_eq!((out.as_str(), status), ("", 1));
    assert_eq!(error.as_deref(), Some("fd00::77 (fd00::77) -- no entry"));
    assert_eq!(prints(ndp, "fd00::11").lines().count(), 2);
}

#[test]
fn words_become_commands() {
    let words = "-i rack -s 192.0.2.50 2:0:0:0:0:50 temp pub";
    let set = NeighbourSet {
        address: [192, 0, 2, 50].into(),
        mac: ::arp::Mac([2, 0, 0, 0, 0, 0x50]),
        port: Some("rack".into()),
        temporary: true,
        published: true,
    };
    assert_eq!(
        parse(Words::of(words), Family::Inet).unwrap(),
        Command::Set(set)
    );
    let delete = NeighbourDelete {
        address: "fe80::1".parse().unwrap(),
        port: Some("rack".into()),
    };
    assert_eq!(
        parse(Words::of("-d fe80::1%rack"), Family::Inet6).unwrap(),
        Command::Delete(delete)
    );
}

#[test]
fn bad_lines_are_told_what_would_be_right() {
    let cases = [
        ("", "say one of: -a, HOST, -s HOST MAC, -d HOST, -d -a"),
        (
            "-a 192.0.2.1",
            "say one of: -a, HOST, -s HOST MAC, -d HOST, -d -a",
        ),
        ("-x", "unknown option -x: see --help"),
        ("-c", "unknown option -c: see --help"),
        (
            "fd00::1",
            "fd00::1: write an IPv4 address (ndp is for IPv6)",
        ),
        ("-i", "-i needs a value"),
        (
            "-s 192.0.2.1 02:00:00:00:00:01 always",
            "bad keyword: always: write temp, pub or nothing",
        ),
    ];
    for (line, message) in cases {
        let error = parse(Words::of(line), Family::Inet).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.exit() as u8),
            (message, 64),
            "{line}"
        );
    }
}

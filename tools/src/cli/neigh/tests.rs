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
fn an_entry_is_replaced_whether_it_was_there_or_not() {
    assert_eq!(prints(arp, "-S 192.0.2.11 02:00:00:00:00:50"), "");
    assert_eq!(prints(arp, "-S 192.0.2.77 02:00:00:00:00:50 temp"), "");
    let parsed = parse(Words::of("-s -S 192.0.2.77 2:0:0:0:0:50"), Family::Inet);
    assert!(parsed.is_err());
}

#[test]
fn a_file_of_entries_is_read_whole_before_any_is_stated() {
    let directory = crate::testing::Directory::new();
    let file = directory.join("entries");
    let run = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let line = format!("-f {}", file.display());
        let (out, error, status) = run_tool(Fake::small(), arp, &line, false);
        assert_eq!(out, "");
        let error = error.map(|line| line.replace(&file.display().to_string(), "FILE"));
        (error, status)
    };
    let good = "# hosts\n\n  192.0.2.50 02:00:00:00:00:50 pub # here\n192.0.2.51 2:0:0:0:0:51\n";
    assert_eq!(run(good), (None, 0));
    assert_eq!(run(""), (None, 0));
    let wrong = |text: &str| run(&format!("192.0.2.50 2:0:0:0:0:50\n{text}\n"));
    let told = |line: &str| (Some(format!("FILE:2: {line}")), 65);
    assert_eq!(wrong("192.0.2.51"), told("write HOST MAC [temp] [pub]"));
    let keyword = "bad keyword: pup: write temp, pub or nothing";
    assert_eq!(wrong("192.0.2.51 2:0:0:0:0:51 pup"), told(keyword));
    let family = "fd00::1: write an IPv4 address (ndp is for IPv6)";
    assert_eq!(wrong("fd00::1 2:0:0:0:0:51"), told(family));
    let (_, error, status) = run_tool(Fake::small(), arp, "-f /no/such/file", false);
    assert_eq!(status, 66);
    assert!(error.is_some_and(|line| line.starts_with("/no/such/file: ")));
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
        "say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -d -a"
    );
    assert_eq!(
        wrong("", Family::Inet6),
        "say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -c"
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
        (
            "",
            "say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -d -a",
        ),
        (
            "-a 192.0.2.1",
            "say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -d -a",
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

#[test]
fn link_local_entries_are_deleted_with_their_ports_names() {
    let of = |port: &str| Neighbour {
        address: "fe80::11".parse().unwrap(),
        port: port.into(),
        mac: None,
        state: NeighbourState::Stale,
        expires: None,
        published: false,
        reserved: false,
    };
    assert_eq!(deleted_line(&of("tb")), "fe80::11%tb (fe80::11%tb) deleted");
}

//! What `flowgate ping` prints, against the fake gateway's made-up replies.

use super::*;
use crate::cli::test_support::run_command;
use crate::server::fake::Fake;

fn prints(line: &str) -> (String, u8) {
    let (out, _, status) = run_command(Fake::small(), line);
    (out, status)
}

#[test]
fn replies_and_statistics_are_printed_as_freebsd_does() {
    let expected = "\
PING 192.0.2.11 (192.0.2.11): 56 data bytes
64 bytes from 192.0.2.11: icmp_seq=0 ttl=64 time=0.100 ms
64 bytes from 192.0.2.11: icmp_seq=1 ttl=64 time=0.123 ms
Request timeout for icmp_seq=2
64 bytes from 192.0.2.11: icmp_seq=3 ttl=64 time=0.169 ms

--- 192.0.2.11 ping statistics ---
4 packets transmitted, 3 packets received, 25.0% packet loss
round-trip min/avg/max/stddev = 0.100/0.131/0.169/0.029 ms
";
    let told = prints("ping -4 -n -c 4 -i 0.2 -W 1 192.0.2.11");
    assert_eq!(told, (expected.into(), 0));
    let (out, _) = prints("ping -c 1 -s 1000 192.0.2.11");
    assert!(out.contains("\n1008 bytes from 192.0.2.11: "), "{out}");
}

#[test]
fn nobody_who_answers_is_status_2() {
    let expected = "\
PING fd00::99 (fd00::99): 56 data bytes
From 192.0.2.254: icmp_seq=0 Destination Host Unreachable
From 192.0.2.254: icmp_seq=1 Destination Host Unreachable

--- fd00::99 ping statistics ---
2 packets transmitted, 0 packets received, 100.0% packet loss
";
    assert_eq!(prints("ping -6 -c 2 fd00::99"), (expected.into(), 2));
    assert_eq!(prints("ping --json -c 1 fd00::99").1, 2);
}

#[test]
fn json_is_one_object_a_request_and_nothing_else() {
    let (out, status) = prints("ping --json -c 3 192.0.2.11");
    assert_eq!(status, 0);
    let expected = "\
{\"address\":\"192.0.2.11\",\"bytes\":64,\"outcome\":\"reply\",\"rtt\":100,\"sequence\":0,\"ttl\":64}
{\"address\":\"192.0.2.11\",\"bytes\":64,\"outcome\":\"reply\",\"rtt\":123,\"sequence\":1,\"ttl\":64}
{\"address\":\"192.0.2.11\",\"outcome\":\"timeout\",\"sequence\":2}
";
    assert_eq!(out, expected);
}

#[test]
fn what_makes_no_sense_is_one_line() {
    let cases = [
        (
            "ping localhost",
            "localhost is not an address: write one such as 192.0.2.1 or 2001:db8::1; names are not looked up",
        ),
        (
            "ping -6 192.0.2.1",
            "192.0.2.1 is an IPv4 address: leave -6 out",
        ),
        (
            "ping -4 fd00::1",
            "fd00::1 is an IPv6 address: leave -4 out",
        ),
        (
            "ping -c 0 192.0.2.1",
            "-c 0: write 1 or more, or leave -c out to ping until Ctrl-C",
        ),
        ("ping -i 0 192.0.2.1", "-i 0: write 0.01 to 3600 seconds"),
        (
            "ping -i NaN 192.0.2.1",
            "-i NaN: write 0.01 to 3600 seconds",
        ),
        ("ping -W 61 192.0.2.1", "-W 61: write 0.01 to 60 seconds"),
        (
            "ping -s 65508 192.0.2.1",
            "-s 65508: write 0 to 65507 data bytes",
        ),
    ];
    for (line, message) in cases {
        let told = run_command(Fake::small(), line);
        assert_eq!(told, (String::new(), Some(message.into()), 64), "{line}");
    }
}

#[test]
fn a_refusal_is_its_own_line() {
    let (_, error, status) = run_command(Fake::small(), "ping -c 1 198.51.100.1");
    let line = "No route to host: no route covers 198.51.100.1";
    assert_eq!((error.as_deref(), status), (Some(line), 1));
}

#[test]
fn sequences_wrap_as_in_the_packet_and_times_keep_their_spread() {
    let reply = |sequence, rtt| PingResult {
        address: [192, 0, 2, 1].into(),
        sequence,
        outcome: PingOutcome::Reply,
        bytes: Some(64),
        rtt: Some(rtt),
        ttl: None,
        reason: None,
    };
    let mut out = Vec::new();
    print(&mut out, "192.0.2.1", &reply(65_537, 1_234_567)).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "64 bytes from 192.0.2.1: icmp_seq=1 time=1234.567 ms\n"
    );
    let mut seen = Seen::default();
    [reply(0, 100), reply(2, 300)]
        .iter()
        .for_each(|r| seen.count(r));
    let mut out = Vec::new();
    seen.print(&mut out, "192.0.2.1").unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("3 packets transmitted, 2 packets received, 33.3% packet loss"),
        "{text}"
    );
    assert!(text.ends_with("= 0.100/0.200/0.300/0.100 ms\n"), "{text}");
    let mut out = Vec::new();
    Seen::default().print(&mut out, "192.0.2.1").unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.ends_with("\n0 packets transmitted, 0 packets received\n"),
        "{text}"
    );
}

#[test]
fn a_link_local_address_is_pinged_on_its_port() {
    let (out, status) = prints("ping -c 1 fe80::11%tb");
    assert_eq!(status, 0, "{out}");
    assert!(
        out.starts_with("PING fe80::11%tb (fe80::11%tb): 56 data bytes\n"),
        "{out}"
    );
    assert!(
        out.contains("\n--- fe80::11%tb ping statistics ---\n"),
        "{out}"
    );
    // Only such an address has one, and it has a name.
    assert_eq!(prints("ping -c 1 192.0.2.11%tb").1, 64);
    assert_eq!(prints("ping -c 1 fe80::11%").1, 64);
}

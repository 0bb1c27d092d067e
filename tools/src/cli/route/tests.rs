//! `route` against a served fake gateway: what is printed, and what is refused.

mod files;

use crate::cli::test_support::run_tool;
use crate::server::fake::Fake;

fn route(fake: Fake, line: &str) -> (String, Option<String>, u8) {
    run_tool(fake, crate::cli::route::run, line, false)
}

/// What one command prints.
fn prints(line: &str) -> String {
    let (out, error, status) = route(Fake::small(), line);
    assert_eq!((error, status), (None, 0), "{line}");
    out
}

/// What one command is refused with.
fn refuses(line: &str) -> (String, u8) {
    let (out, error, status) = route(Fake::small(), line);
    assert_eq!(out, "", "{line}");
    (
        error.unwrap_or_else(|| panic!("{line} is not refused")),
        status,
    )
}

#[test]
fn an_add_prints_a_line_for_each_gateway() {
    assert_eq!(
        prints("add 10.0.0.0/8 192.0.2.11"),
        "add net 10.0.0.0: gateway 192.0.2.11\n"
    );
    assert_eq!(
        prints("add -net 10.0.0.0 -netmask 255.0.0.0 192.0.2.11 -weight 2 192.0.2.12"),
        "add net 10.0.0.0: gateway 192.0.2.11\nadd net 10.0.0.0: gateway 192.0.2.12\n"
    );
    assert_eq!(
        prints("add 10.0.0.1 192.0.2.11"),
        "add host 10.0.0.1: gateway 192.0.2.11\n"
    );
    assert_eq!(
        prints("add default 192.0.2.11"),
        "add net default: gateway 192.0.2.11\n"
    );
    assert_eq!(
        prints("-6 add default fe80::1%rack"),
        "add net default: gateway fe80::1%rack\n"
    );
    assert_eq!(
        prints("add 10.0.0.0/8 -iface rack"),
        "add net 10.0.0.0: gateway rack\n"
    );
    assert_eq!(prints("add 10.0.0.0/8 -blackhole"), "add net 10.0.0.0\n");
    assert_eq!(prints("add -q 10.0.0.0/8 192.0.2.11"), "");
}

#[test]
fn a_gateway_that_other_routes_lead_to_is_shown_with_what_it_goes_through() {
    let (out, error, status) = route(Fake::far(), "get 198.18.0.1");
    assert_eq!((error, status), (None, 0));
    let lines: Vec<&str> = out.lines().skip(3).take(4).collect();
    let wanted = [
        "    gateway: 172.16.0.9",
        "        fib: 0",
        "    through: 192.0.2.11",
        "  interface: rack",
    ];
    assert_eq!(lines, wanted);
    let (out, ..) = route(Fake::far(), "get 198.19.0.1");
    assert!(
        out.contains("    gateway: 172.16.0.8 (dead, unresolved)\n"),
        "{out}"
    );
    assert!(!out.contains("through:"), "{out}");
}

#[test]
fn changes_and_deletes_print_freebsds_lines() {
    assert_eq!(
        prints("change 203.0.113.0/24 192.0.2.11 -weight 0"),
        "change net 203.0.113.0: gateway 192.0.2.11\n"
    );
    assert_eq!(
        prints("delete 203.0.113.0/24 192.0.2.11"),
        "delete net 203.0.113.0: gateway 192.0.2.11\n\
         delete net 203.0.113.0: 3 flows due: 1 moved so far, 0 expired unmoved, 2 left; see 'route moves'\n"
    );
    assert_eq!(
        prints("-v flush"),
        "delete net 203.0.113.0: gateway 192.0.2.11\ndelete net 203.0.113.0: gateway 192.0.2.12\n"
    );
}

#[test]
fn a_plan_says_what_would_be_done_and_what_would_move_and_changes_nothing() {
    let plan = "plan: delete net 203.0.113.0: gateway 192.0.2.11\n\
                plan: 3 flows of 2 clients with 4500 bytes/s would move, 9 stay\n\
                From                     To                       Reason          Flows    Clients      Bytes/s\n\
                192.0.2.11               192.0.2.12               policy              3          2         4500\n";
    assert_eq!(prints("delete --plan 203.0.113.0/24 192.0.2.11"), plan);
    assert_eq!(prints("delete 203.0.113.0/24 192.0.2.11 -plan -q"), plan);
    assert_eq!(
        prints("add --plan 10.0.0.0/8 192.0.2.11"),
        "plan: add net 10.0.0.0: gateway 192.0.2.11\nplan: no flow would move, 9 stay\n"
    );
    assert_eq!(
        refuses("delete --plan 10.0.0.0/8"),
        ("delete net 10.0.0.0: not in table".into(), 1)
    );
    let wrong = (crate::cli::route::parse::PLAN.into(), 64);
    assert_eq!(refuses("get --plan 10.0.0.1"), wrong);
    assert_eq!(refuses("flush --plan"), wrong);
}

#[test]
fn a_change_that_moves_flows_says_how_many_and_moves_says_what_became_of_them() {
    assert_eq!(
        prints("delete 203.0.113.0/24 192.0.2.11"),
        "delete net 203.0.113.0: gateway 192.0.2.11\n\
         delete net 203.0.113.0: 3 flows due: 1 moved so far, 0 expired unmoved, 2 left; see 'route moves'\n"
    );
    assert_eq!(prints("delete -q 203.0.113.0/24 192.0.2.11"), "");
    assert_eq!(
        prints("moves"),
        "1: delete 203.0.113.0/24: 3 flows due: 1 moved so far, 0 expired unmoved, 2 left\n   \
         From                     To                       Reason            Due      Moved    Expired       Left\n   \
         192.0.2.11               192.0.2.12               policy              3          1          0          2\n"
    );
    let json = |line: &str| -> serde_json::Value {
        let (out, error, _) = run_tool(Fake::small(), crate::cli::route::run, line, true);
        assert_eq!(error, None);
        serde_json::from_str(&out).unwrap()
    };
    let planned = json("delete 203.0.113.0/24 192.0.2.11 --plan");
    assert_eq!(planned["plan"]["moves"][0]["to"]["gateway"], "192.0.2.12");
    assert_eq!(planned["paths"][0]["gateway"], "192.0.2.11");
    assert!(planned.get("moves").is_none());
    let made = json("delete -q 203.0.113.0/24 192.0.2.11");
    assert_eq!(
        (&made["moves"]["due"], &made["moves"]["left"]),
        (&3.into(), &2.into())
    );
    assert!(made.get("plan").is_none());
    assert_eq!(json("moves")["changes"][0]["moves"][0]["reason"], "policy");
}

#[test]
fn refusals_are_one_complete_line_and_status_1() {
    let cases = [
        (
            "add 203.0.113.0/24 192.0.2.11",
            "add net 203.0.113.0: gateway 192.0.2.11: route already in table",
        ),
        ("delete 10.0.0.0/8", "delete net 10.0.0.0: not in table"),
        (
            "delete 10.0.0.0/8 192.0.2.11",
            "delete net 10.0.0.0: gateway 192.0.2.11: not in table",
        ),
        (
            "change 10.0.0.0/8 192.0.2.11",
            "change net 10.0.0.0: gateway 192.0.2.11: not in table",
        ),
        ("get 172.16.0.1", "route: 172.16.0.1: not in table"),
        (
            "delete 203.0.113.0/24",
            "delete net 203.0.113.0: has several gateways: name one of 192.0.2.11, 192.0.2.12",
        ),
        (
            "add 10.0.0.0/8 172.16.0.1",
            "add net 10.0.0.0: gateway 172.16.0.1: Network is unreachable: \
             no port has an address in the network of 172.16.0.1; ports: rack 192.0.2.1/24",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(refuses(line), (message.to_owned(), 1));
    }
}

#[test]
fn get_prints_freebsds_block() {
    assert_eq!(
        prints("get 203.0.113.10"),
        "   route to: 203.0.113.10
destination: 203.0.113.0
       mask: 255.255.255.0
    gateway: 192.0.2.11 (weight 1, 1024 of 4096 buckets, up)
    gateway: 192.0.2.12 (weight 3, 3072 of 4096 buckets, up)
        fib: 0
  interface: rack
      flags: <UP,GATEWAY,DONE,STATIC>
 recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire
       0         0         0         0      1500         1         0 
"
    );
}

#[test]
fn a_prefix_has_a_route_of_its_own_or_one_that_covers_it() {
    let head = "   route to: 203.0.113.0\ndestination: 203.0.113.0\n";
    for line in [
        "get 203.0.113.0/24",
        "get 203.0.113.0/28",
        "show 203.0.113.0/24",
    ] {
        assert!(prints(line).starts_with(head), "{line}");
    }
    for (line, to) in [
        ("show 203.0.113.0/28", "203.0.113.0"),
        ("get 203.0.112.0/23", "203.0.112.0"),
        ("get default", "default"),
        ("show default", "default"),
    ] {
        assert_eq!(refuses(line), (format!("route: {to}: not in table"), 1));
    }
}

#[test]
fn a_gateway_beside_a_reject_is_told_to_be_of_no_use() {
    assert_eq!(
        prints("add -host 10.5.0.2 -reject 192.0.2.11"),
        "add host 10.5.0.2\nroute: gateway 192.0.2.11 is not used: -reject drops what goes there\n"
    );
    assert_eq!(prints("add -q 10.5.0.2 -reject 192.0.2.11"), "");
}

#[test]
fn get_of_a_flow_names_its_next_hop_and_why() {
    let text = prints("get tcp 10.99.0.2:40000 203.0.113.10:80");
    assert_eq!(
        text,
        prints("get -proto tcp -src 10.99.0.2:40000 203.0.113.10:80")
    );
    let tail = "     prefix: 203.0.113.0/24
      group: 3 (2 members, 4096 buckets, by 5-tuple)
     bucket: 17
        pin: 192.0.2.11 (next hop 1, generation 7: live)
   next hop: 192.0.2.11 on rack
        why: the flow is pinned to it, and the pin holds
";
    assert!(text.ends_with(tail), "{text}");
    assert!(text.contains("\n    gateway: 192.0.2.11\n"), "{text}");
}

#[test]
fn json_is_the_replys() {
    let (out, error, status) = run_tool(
        Fake::small(),
        crate::cli::route::run,
        "delete 203.0.113.0/24 192.0.2.11",
        true,
    );
    assert_eq!((error, status), (None, 0));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["destination"], "203.0.113.0/24");
    assert_eq!(value["paths"][0]["gateway"], "192.0.2.11");
}

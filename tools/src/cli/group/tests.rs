//! What `group` prints and what it refuses, over a gateway of made-up tables.

use crate::cli::test_support::run_tool;
use crate::server::fake::Fake;

fn prints(line: &str) -> String {
    let (words, json) = match line.strip_suffix(" --json") {
        Some(words) => (words, true),
        None => (line, false),
    };
    let (out, error, status) = run_tool(Fake::small(), super::run, words, json);
    assert_eq!((error, status), (None, 0), "{line}");
    out
}

fn refused(line: &str, wanted: i32) -> String {
    let (out, error, status) = run_tool(Fake::small(), super::run, line, false);
    assert_eq!((out.as_str(), i32::from(status)), ("", wanted), "{line}");
    error.unwrap()
}

#[test]
fn a_group_is_shown_with_its_shares() {
    let expected = "\
group 7 (id 3): used by 1 route
    buckets: 4096
    history: 10 buckets remember earlier members, 2 at most
    options: select 5-tuple, slow start 30 s
    Member                      Netif   Weight    Due    Has Remember  State
    192.0.2.11                   rack        1   1024   1024        5  up
    192.0.2.12                   rack        3   3072   3072        5  up
";
    assert_eq!(prints("show"), expected);
    assert_eq!(prints("show 7"), expected);
    assert!(prints("show -a --json").contains("\"group\":7,\"index\":3,"));
}

#[test]
fn changes_are_told_member_by_member() {
    assert_eq!(
        prints("add 7 192.0.2.13 192.0.2.14 -weight 3 -buckets 512"),
        "add group 7: gateway 192.0.2.13\nadd group 7: gateway 192.0.2.14\n"
    );
    assert_eq!(
        prints("change 7 192.0.2.11 -weight 0 -deadline 60"),
        "change group 7: gateway 192.0.2.11\n"
    );
    assert_eq!(prints("change 7 -failback return"), "change group 7\n");
    assert_eq!(
        prints("delete 7 192.0.2.11 -q"),
        "delete group 7: gateway 192.0.2.11\n"
    );
    assert_eq!(prints("del 7 -q"), "delete group 7\n");
    assert_eq!(
        refused("delete 8", 1),
        "delete group 8: group 8 is not there: 'group add' makes it"
    );
}

#[test]
fn a_plan_is_told_and_what_is_due_after_the_change() {
    let plan = prints("delete --plan 7 192.0.2.11");
    assert!(
        plan.starts_with("plan: delete group 7: gateway 192.0.2.11\n"),
        "{plan}"
    );
    assert!(plan.contains("plan: 3 flows of 2 clients with 4500 bytes/s would move, 9 stay\n"));
    assert!(prints("add -plan 7 192.0.2.13").contains("no flow would move"));
    let json: serde_json::Value =
        serde_json::from_str(&prints("delete 7 192.0.2.11 --plan --json")).unwrap();
    assert_eq!(
        (&json["plan"]["flows"], &json["group"]),
        (&3.into(), &7.into())
    );
    let done = prints("delete 7 192.0.2.11");
    let due = "delete group 7: 3 flows due: 1 moved so far, 0 expired unmoved, 2 left; see 'route moves'\n";
    assert!(done.ends_with(due), "{done}");
}

#[test]
fn what_makes_no_sense_is_told_in_a_line() {
    for (line, wrong) in [
        ("", "no command: say show"),
        ("flush", "bad keyword: flush"),
        ("add", "no group: write its number"),
        ("add 0 192.0.2.11", "0: write the group's number"),
        ("add 7", "no gateway: name one"),
        ("add 7 192.0.2.11 -weight 0", "weight 0 is not valid"),
        (
            "add 7 192.0.2.11 -buckets 3",
            "-buckets 3: write a power of two",
        ),
        (
            "add 7 192.0.2.11 -deadline 3",
            "-deadline belongs to change",
        ),
        ("change 7", "nothing to change"),
        ("change 7 -blackhole", "bad keyword: -blackhole"),
        (
            "change 7 192.0.2.11 -deadline 3",
            "a deadline goes with weight 0",
        ),
        ("delete 7 192.0.2.11 192.0.2.12", "delete takes one gateway"),
        ("delete 7 -select source", "delete takes a gateway"),
        (
            "delete 7 not-an-ip",
            "bad address: not-an-ip: write a gateway's address",
        ),
        ("show 7 8", "show takes one group"),
        ("show -a 7", "-a means all groups"),
    ] {
        let told = refused(line, 64);
        assert!(told.contains(wrong), "{line}: {told}");
    }
}

#[test]
fn a_layout_is_an_object_a_line() {
    let text = prints("export 7");
    assert_eq!(text.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["names"].as_array().unwrap().len(), 2);
    assert_eq!(value["runs"].as_array().unwrap().len(), 10);
    assert_eq!(value["group"], 7);
}

//! Groups that have a number.

use super::*;

#[test]
fn a_group_has_a_number_gateways_and_options_and_routes_name_it() {
    let text = format!(
        "{PORTS}[[group]]\nnumber = 7\ngateways = [\"192.0.2.11\", {{ address = \"fd00::2\", weight = 3 }}]\n\
         buckets = 512\nselect = \"source\"\nslow-start = 30\n\
         [[route]]\ndestination = \"10.0.0.0/8\"\ngroup = 7\n\
         [[health]]\ngateway = \"192.0.2.11\"\nport = 80\n"
    );
    let config = good(&text);
    let group = &config.groups[0];
    assert_eq!((group.number.value, group.number.line), (7, 6));
    assert_eq!(group.gateways[1].value.weight, 3);
    assert_eq!(group.options.buckets, Some(512));
    assert_eq!(group.options.slow_start, Some(30));
    assert_eq!(config.routes[0].options.group, Some(7));
}

#[test]
fn what_is_wrong_with_a_group_is_told_with_its_line() {
    let group = "[[group]]\nnumber = 7\ngateways = [\"192.0.2.11\"]\n";
    for (lines, line, told) in [
        (
            "[[group]]\ngateways = [\"192.0.2.11\"]\n".into(),
            5,
            "a group without a number",
        ),
        (
            "[[group]]\nnumber = 0\n".into(),
            6,
            "number = 0: write a number from 1",
        ),
        (
            "[[group]]\nnumber = 7\n".into(),
            6,
            "group 7 has no gateway",
        ),
        (
            format!("{group}{group}"),
            9,
            "group 7 is there already, in line 6",
        ),
        (
            format!("{group}group = 8\n"),
            8,
            "unknown key group in [[group]]",
        ),
        (
            format!("{group}buckets = 3\n"),
            8,
            "buckets 3: write a power of two",
        ),
        (format!("{group}fib = 3\n"), 8, "fib = 3: there are 1"),
        (
            group.replace("192.0.2.11", "10.1.1.1"),
            7,
            "no port has an address in the network",
        ),
        (
            group.replace("192.0.2.11", "192.0.2.1"),
            7,
            "192.0.2.1 is our own address",
        ),
        (
            group.replace("\"192.0.2.11\"", "\"192.0.2.11\", \"192.0.2.11\""),
            7,
            "stands here twice",
        ),
        (
            group.replace("192.0.2.11", "here"),
            7,
            "\"here\" is no gateway",
        ),
        (
            format!("{group}[[route]]\ndestination = \"10.0.0.0/8\"\ngroup = 9\n"),
            9,
            "there is no group 9",
        ),
    ] {
        let wrong = wrong_after_ports(&lines);
        let begins = format!("flowgate.toml:{line}: ");
        let found = wrong
            .iter()
            .any(|w| w.starts_with(&begins) && w.contains(told));
        assert!(found, "{lines}\n{told}: {wrong:?}");
    }
    // What follows from a FIB that is not there is not told too.
    let routes = "[[route]]\ndestination = \"10.0.0.0/8\"\nfib = 3\ngateways = [\"192.0.2.11\"]\n";
    for lines in [format!("{group}fib = 3\n"), routes.into()] {
        assert_eq!(wrong_after_ports(&lines).len(), 1, "{lines}");
    }
}

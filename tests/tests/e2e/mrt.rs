//! A real MRT file: FRR's bgpd learns routes from another bgpd, dumps its table, and Flowgate loads the dump.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::process::Process;
use flowgate_tests::lab::{FLOWGATE, Lab, LabSpec, enter, eventually};
use flowgate_tests::test_name;
use std::fmt::Write;
use std::path::Path;

/// What the first router announces.
const PREFIXES: [(Family, &[&str]); 2] = [
    (
        Family::V4,
        &[
            "20.0.0.0/8",
            "20.1.2.0/24",
            "20.1.2.3/32",
            "198.51.0.0/17",
            "21.0.0.0/9",
        ],
    ),
    (
        Family::V6,
        &["3fff::/20", "3fff:113::/48", "3fff:113::5/128"],
    ),
];

/// The family's name in bgpd's configuration, and how a route map sets its next hop.
const fn words(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("ipv4", "ip next-hop"),
        Family::V6 => ("ipv6", "ipv6 next-hop global"),
    }
}

/// The configuration of router 1, which announces, or router 2, which dumps what it learns.
fn config(number: u8, families: &[Family], dump: &Path) -> String {
    let other = 3 - number;
    let mut text = format!(
        "router bgp 6500{number}\n bgp router-id 10.255.0.{number}\n no bgp ebgp-requires-policy\n \
         no bgp network import-check\n no bgp default ipv4-unicast\n \
         neighbor 127.0.0.{other} remote-as 6500{other}\n neighbor 127.0.0.{other} port 179{other}\n \
         neighbor 127.0.0.{other} timers connect 1\n neighbor 127.0.0.{other} disable-connected-check\n"
    );
    let mut maps = String::new();
    for (family, prefixes) in PREFIXES.iter().filter(|(f, _)| families.contains(f)) {
        let (name, set) = words(*family);
        let mut say = |line: String| writeln!(text, " {line}").expect("a string takes it");
        say(format!("address-family {name} unicast"));
        say(format!(" neighbor 127.0.0.{other} activate"));
        say(format!(" neighbor 127.0.0.{other} route-map {name} out"));
        if number == 1 {
            prefixes
                .iter()
                .for_each(|prefix| say(format!(" network {prefix}")));
            let hop = plan::server(*family, 1);
            maps += &format!("route-map {name} permit 10\n set {set} {hop}\n");
        } else {
            maps += &format!("route-map {name} deny 10\n");
        }
        say("exit-address-family".into());
    }
    if number == 2 {
        maps += &format!("dump bgp routes-mrt {} 5\n", dump.display());
    }
    text + &maps
}

fn start(lab: &Lab, number: u8, families: &[Family], dump: &Path) -> Process {
    let name = format!("bgpd{number}");
    let file = lab
        .scratch
        .write(&format!("{name}.conf"), &config(number, families, dump));
    let vty = lab.scratch.path(&format!("{name}.vty"));
    std::fs::create_dir(&vty).expect("a directory");
    let pid = lab.scratch.path(&format!("{name}.pid"));
    let (listen, port) = (format!("127.0.0.{number}"), format!("179{number}"));
    let paths = [&file, &pid, &vty].map(|path| path.to_string_lossy().into_owned());
    let [file, pid, vty] = paths.each_ref().map(String::as_str);
    let args = [
        "-S",
        "-Z",
        "-P",
        "0",
        "-f",
        file,
        "-i",
        pid,
        "--vty_socket",
        vty,
        "-l",
        &listen,
        "-p",
        &port,
        "--log",
        "stdout",
    ];
    lab.segment.server(1).start(&lab.scratch, "bgpd", &args)
}

#[test]
fn the_table_that_frr_dumps_is_loaded_as_it_announced_it() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip", "bgpd"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 1,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1]);
    gateway.tell("route flush");
    let (families, dump) = (lab.families(), lab.scratch.path("rib.mrt"));
    let routers = [1, 2].map(|number| start(&lab, number, &families, &dump));
    let mut expected: Vec<String> = Vec::new();
    for (family, prefixes) in PREFIXES.iter().filter(|(f, _)| families.contains(f)) {
        let hop = plan::server(*family, 1);
        expected.extend(prefixes.iter().map(|prefix| format!("{prefix} {hop}")));
    }
    expected.sort();
    let load = format!("route load {} -replace", dump.display());
    // A dump is made every five seconds; the first ones come before the routers have met.
    let exported = || -> Vec<String> {
        let text = gateway.tell("route export");
        let routes = text.lines().filter(|line| !line.starts_with('#'));
        let words = routes.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut all: Vec<String> = words.collect();
        all.sort();
        all
    };
    let loaded = eventually(|| gateway.cli(&load).status.success() && exported() == expected);
    let logs = routers.map(|router| router.stdout());
    assert!(loaded, "{:?}\n{expected:?}\n{logs:?}", exported());
}

//! Load by programs that others wrote: iperf3 and wrk run through Flowgate without a single failure.
//! What they reach is printed, never asserted.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::nginx::{Nginx, page};
use flowgate_tests::lab::{FLOWGATE, Lab, LabSpec, books, enter, eventually, plan};
use flowgate_tests::test_name;
use std::collections::BTreeSet;

/// Connections that wrk is to have made in all, a new one for each request.
const CONNECTIONS: u64 = 4_000;

#[test]
fn iperf3_runs_both_ways_over_tcp_and_udp() {
    let _alone = crate::alone();
    if !enter(test_name!(), &[FLOWGATE, "ip", "iperf3"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 1,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1]);
    let server = lab
        .segment
        .server(1)
        .start(&lab.scratch, "iperf3", &["-s", "--forceflush"]);
    let mut tests = 0;
    for family in lab.families() {
        let to = plan::server(family, 1).to_string();
        for kind in [
            &[][..],
            &["-R"],
            &["-u", "-b", "300M"],
            &["-u", "-b", "300M", "-R"],
        ] {
            // It serves one test at a time, and says before each that it is ready.
            tests += 1;
            let ready = || server.stdout().matches("Server listening").count() >= tests;
            assert!(eventually(ready), "{}", server.stderr());
            let mut args = vec![family.flag(), "-c", &to, "-t", "2", "-J"];
            args.extend(kind);
            let report: serde_json::Value =
                serde_json::from_str(&lab.run("iperf3", &args).success()).expect("JSON of iperf3");
            let end = &report["end"];
            let sum = if kind.contains(&"-u") {
                &end["sum"]
            } else {
                &end["sum_received"]
            };
            assert!(sum["bytes"].as_u64() > Some(0), "{end}");
            let speed = sum["bits_per_second"].as_f64().unwrap_or(0.0) / 1e9;
            let lost = sum["lost_percent"]
                .as_f64()
                .map(|lost| format!(", {lost:.2} % lost"));
            println!(
                "iperf3 {}: {speed:.2} Gbit/s{}",
                args[..].join(" "),
                lost.unwrap_or_default()
            );
        }
    }
    books::assert_balanced(&gateway);
}

#[test]
fn wrk_gets_every_page_from_nginx_on_the_shared_address() {
    let _alone = crate::alone();
    if !enter(test_name!(), &[FLOWGATE, "ip", "nginx", "wrk", "curl"]) {
        return;
    }
    let lab = Lab::new(LabSpec::default());
    let gateway = Gateway::start(&lab, &[1, 2, 3, 4]);
    let nginx: Vec<_> = lab
        .segment
        .servers
        .iter()
        .map(|s| Nginx::start(&lab, s))
        .collect();
    for family in lab.families() {
        let service = plan::service(family);
        let url = if service.is_ipv6() {
            format!("http://[{service}]/")
        } else {
            format!("http://{service}/")
        };
        let pages: BTreeSet<_> = (0..60)
            .map(|_| {
                lab.run("curl", &["-sS", "--max-time", "10", &url])
                    .success()
            })
            .collect();
        let expected = (1..=4).map(|server| format!("{}\n", page(server)));
        assert_eq!(
            pages,
            expected.collect(),
            "each server answers some of sixty requests"
        );
        wrk(&lab, &url);
    }
    let status = gateway.ask("status");
    assert_eq!(status["collateral"], 0, "{status}");
    books::assert_balanced(&gateway);
    for server in &nginx {
        assert_eq!(server.complaints(), "");
    }
}

/// Asks for pages until there were enough connections; each one must succeed.
fn wrk(lab: &Lab, url: &str) {
    let mut made = 0;
    while made < CONNECTIONS {
        let args = [
            "-t2",
            "-c64",
            "-d2s",
            "--timeout",
            "10s",
            "-H",
            "Connection: close",
            url,
        ];
        let report = lab.run("wrk", &args).success();
        for failure in ["Socket errors", "Non-2xx"] {
            assert!(!report.contains(failure), "{report}");
        }
        let requests = report
            .lines()
            .find_map(|line| line.trim().split_once(" requests in "))
            .and_then(|(count, _)| count.parse::<u64>().ok());
        made += requests
            .filter(|&count| count > 0)
            .unwrap_or_else(|| panic!("{report}"));
        println!("{}", report.trim_end());
    }
}

//! New connections, thousands a second, for as long as it takes to fill any table that forgets too late.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::plan::Family;
use flowgate_tests::lab::{CLIENT_PORT, FLOWGATE, Lab, LabSpec, books, enter, plan, rate};
use flowgate_tests::test_name;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

/// Client addresses, new connections a second in all, and for how long, seconds.
const CLIENTS: u8 = 16;
const RATE: u32 = 4_000;
const SECONDS: u32 = 60;

fn v4(addr: IpAddr) -> Ipv4Addr {
    match addr {
        IpAddr::V4(addr) => addr,
        IpAddr::V6(_) => panic!("{addr} is not of IPv4"),
    }
}

#[test]
fn four_thousand_new_connections_a_second_for_a_minute_do_not_fail() {
    let _alone = crate::alone();
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        flows: 262_144,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3, 4]);
    let [a, b, c, first] = v4(plan::client(Family::V4)).octets();
    let clients: Vec<Ipv4Addr> = (0..CLIENTS).map(|n| [a, b, c, first + n].into()).collect();
    for client in &clients[1..] {
        let addr = format!("{client}/24");
        lab.run("ip", &["addr", "add", &addr, "dev", CLIENT_PORT])
            .success();
    }
    let service = SocketAddrV4::new(v4(plan::service(Family::V4)), plan::ECHO_PORT);
    let each = RATE * SECONDS / u32::from(CLIENTS);
    let opened = rate::open(service, &clients, each, RATE);
    let per_second = opened.answered() as f64 / opened.took.as_secs_f64();
    println!(
        "{} connections, {per_second:.0} a second",
        opened.answered()
    );
    assert_eq!(opened.failures, Vec::<String>::new());
    assert_eq!(opened.answered(), u64::from(RATE * SECONDS));
    assert_eq!(opened.by_server.len(), 4, "{:?}", opened.by_server);

    let status = gateway.ask("status");
    assert_eq!(status["collateral"], 0, "{status}");
    let stats = gateway.ask("flow stats");
    println!("{stats}");
    books::assert_balanced(&gateway);
}

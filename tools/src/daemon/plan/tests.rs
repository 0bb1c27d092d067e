use super::ports::own_mac;
use super::*;
use arp::Mac;
use flowtable::GroupSecret;
use flowtable::TableSecret;
use route::GroupNo;
use stack::ports::{Layer, Port};

const FILE: &str = "flowgate.toml";

fn config(text: &str) -> Config {
    config::parse(Path::new(FILE), text).unwrap()
}

fn secrets(group: u8) -> Secrets {
    Secrets {
        table: TableSecret([0; 16]),
        group: GroupSecret([group; 16]),
        seed: 0,
    }
}

#[test]
fn an_address_that_nobody_gave_is_a_local_station_and_always_the_same() {
    let mac = own_mac("rack", &secrets(1));
    assert_eq!(mac, own_mac("rack", &secrets(1)));
    assert_ne!(mac, own_mac("rack2", &secrets(1)));
    assert_ne!(mac, own_mac("rack", &secrets(2)));
    assert_eq!(mac.0[0] & 3, 2);
}

#[test]
fn the_example_becomes_a_setup_routes_and_checks() {
    let text = include_str!("../../../../docs/flowgate.example.toml");
    let config = config(text);
    let plan = Plan::new(Path::new(FILE), &config);
    plan.check().unwrap();
    let ports = plan.ports_alone(&secrets(1));
    let setup = plan.setup(ports, &secrets(1));
    assert_eq!(setup.workers, 2);
    assert_eq!(setup.flows_v4, config.tables.flows_v4);
    let wakers = stack::Wakers::null(2);
    let mut gateway = stack::build(setup, &wakers, Now(0)).unwrap();
    plan.timeouts(&mut gateway.control).unwrap();
    plan.install(&mut gateway.control, &mut gateway.host, Now(0))
        .unwrap();
    let seven = gateway.control.group_numbered(GroupNo(7)).unwrap();
    let info = gateway.control.group_info(seven).unwrap();
    assert_eq!((info.members.len(), info.routes, info.size), (2, 1, 4096));
    for route in &config.routes {
        assert!(
            gateway
                .control
                .route_exact(route.destination.value)
                .is_some()
        );
    }
}

#[test]
fn only_tun_and_tap_are_steered() {
    let port = |kind: &str, name: &str| {
        format!("[[port]]\nname = \"{name}\"\ntype = \"{kind}\"\naddresses = []\n")
    };
    let may = |ports: &[String], more: &str| {
        let config = config(&format!("[gateway]\nworkers = 2\n{more}{}", ports.concat()));
        Plan::new(Path::new(FILE), &config).may_steer()
    };
    let found = [port("xdp", "eth0"), port("packet", "eth1")];
    let why = may(&found, "").unwrap_err();
    assert!(why.starts_with("no port is a TUN or TAP device"), "{why}");
    let [eth0, _] = found;
    assert_eq!(may(&[eth0, port("tap", "rack")], ""), Ok(()));
    assert_eq!(may(&[port("tun", "up")], ""), Ok(()));
    let off = may(&[port("tun", "up")], "steering = \"off\"\n");
    assert_eq!(off, Err("by the configuration".into()));
}

#[test]
fn vlans_come_behind_the_devices_and_have_their_parents_hardware_address() {
    let vlan = |parent: &str, vid| {
        format!(
            "[[port]]\ntype = \"vlan\"\nparent = \"{parent}\"\nvlan = {vid}\naddresses = [\"fd00:{vid}::1/64\"]\n"
        )
    };
    let eth = "[[port]]\nname = \"eth\"\ntype = \"packet\"\naddresses = [\"fd00::1/64\"]\n";
    let tap = "[[port]]\nname = \"tap\"\ntype = \"tap\"\noffload = \"off\"\nmac = \"02:00:00:00:00:07\"\n";
    let config = config(&format!("{}{eth}{tap}{}", vlan("tap", 7), vlan("eth", 8)));
    let plan = Plan::new(Path::new(FILE), &config);
    assert_eq!(plan.kinds(), ["packet", "tap", "vlan", "vlan"]);
    let devices = plan.devices();
    let [Spec::Found(found), Spec::Made(_)] = &devices[..] else {
        panic!("{devices:?}");
    };
    let addrs: Vec<String> = found.addrs.iter().map(ToString::to_string).collect();
    assert_eq!(addrs, ["fd00:8::1", "fd00::1"], "its VLANs' groups too");
    assert!(found.promiscuous, "a card may hold tagged frames back");
    let ports = plan.ports_alone(&secrets(1)).0;
    let ids: Vec<u16> = ports.iter().map(|port| port.id.0).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    let of = |port: &Port| port.vlan.map(|vlan| (vlan.parent.0, vlan.vid));
    let vlans: Vec<_> = ports.iter().map(of).collect();
    assert_eq!(vlans, [None, None, Some((1, 7)), Some((0, 8))]);
    assert_eq!(ports[2].layer, Layer::L2(Mac([2, 0, 0, 0, 0, 7])));
    assert_eq!(ports[3].layer, ports[0].layer);
}

#[test]
fn queues_that_are_no_workers_are_refused_with_their_line() {
    let text = "[gateway]\nworkers = 2\n[[port]]\nname = \"a\"\ntype = \"tun\"\nqueues = 2\naddresses = [\"10.0.0.1/24\"]\n";
    let mut config = config(text);
    Plan::new(Path::new(FILE), &config).check().unwrap();
    config.gateway.workers = Some(3);
    let wrong = Plan::new(Path::new(FILE), &config).check().unwrap_err();
    config.gateway.max_workers = Some(2);
    config.gateway.workers = Some(1);
    let plan = Plan::new(Path::new(FILE), &config);
    plan.check().unwrap();
    let setup = plan.setup(Ports::default(), &secrets(1));
    assert_eq!((setup.workers, setup.max_workers), (1, 2));
    config.gateway.workers = None;
    assert!(Plan::new(Path::new(FILE), &config).workers <= 2);
    assert_eq!(
        wrong,
        "flowgate.toml:6: queues = 2, but there are 3 workers: write 3, or leave it out"
    );
}

#[test]
fn moves_of_neighbours_are_verified_where_the_file_says_so() {
    let verified = |line: &str| {
        let text = include_str!("../../../../docs/flowgate.example.toml");
        let text = text.replace("[neighbour]\n", &format!("[neighbour]\n{line}\n"));
        let config = config(&text);
        let plan = Plan::new(Path::new(FILE), &config);
        let setup = plan.setup(plan.ports_alone(&secrets(1)), &secrets(1));
        setup.neigh.verify_moves
    };
    assert!(!verified(""), "FreeBSD believes at once");
    assert!(!verified("verify-moves = false"));
    assert!(verified("verify-moves = true"));
}

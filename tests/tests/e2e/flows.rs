//! What Flowgate is for: connections that do not have to break never do, whatever happens to routes.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::held::{Census, Held, View};
use flowgate_tests::lab::plan::Family;
use flowgate_tests::lab::{FLOWGATE, Lab, LabSpec, books, echo, enter, eventually, plan};
use flowgate_tests::test_name;
use nix::sys::signal::Signal;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

const HELD: usize = 500;

/// A rack, a gateway, and connections that are held through it.
struct Scene<'a> {
    lab: &'a Lab,
    gateway: &'a Gateway<'a>,
    services: Vec<SocketAddr>,
    held: Held,
    /// Servers whose connections may have moved or broken.
    lost: BTreeSet<usize>,
    opened: Census,
    /// How they stood when Flowgate began to count their packets.
    counted_from: Census,
}

impl<'a> Scene<'a> {
    fn open(lab: &'a Lab, gateway: &'a Gateway<'a>) -> Self {
        let services: Vec<_> = lab.families().into_iter().map(plan::echo_service).collect();
        let held = Held::open(&services, HELD);
        let (opened, counted_from) = (held.census(), held.census());
        Self {
            lab,
            gateway,
            services,
            held,
            lost: BTreeSet::new(),
            opened,
            counted_from,
        }
    }

    /// Everyone but the lost servers' connections goes on, with the server it always had, and Flowgate
    /// says the same of each.
    fn assert_undisturbed(&self, after: &str) {
        let survives = |view: &&View| !self.lost.contains(&view.server);
        let stalled = self.held.stalled_among(&survives, 3);
        assert!(
            stalled.is_empty(),
            "after {after}, these stalled: {stalled:#?}"
        );
        let census = self.held.census();
        let broken: Vec<_> = census.broken().into_iter().filter(survives).collect();
        assert!(broken.is_empty(), "after {after}, these broke: {broken:#?}");
        self.assert_listed(&census, after);
        let status = self.gateway.ask("status");
        assert_eq!(status["collateral"], 0, "after {after}: {status}");
    }

    /// Flowgate lists each of the surviving connections with its server, and counted all its packets.
    fn assert_listed(&self, census: &Census, after: &str) {
        let filter = format!("--proto tcp --port {}", plan::ECHO_PORT);
        let flows = self.gateway.flows(&filter).into_iter();
        let flows: HashMap<_, _> = flows
            .map(|flow| ((flow.client, flow.service), flow))
            .collect();
        for (view, from) in census.0.iter().zip(&self.counted_from.0) {
            if self.lost.contains(&view.server) {
                continue;
            }
            let Some(flow) = flows.get(&(view.client, view.service)) else {
                panic!("after {after}, no flow of {view:?}")
            };
            let server = plan::server(Family::of(view.service.ip()), view.server);
            assert_eq!(flow.gateway, Some(server), "after {after}, of {view:?}");
            let fewest = flow.packets.0.min(flow.packets.1);
            assert!(
                fewest >= view.echoes - from.echoes,
                "after {after}: {flow:?} carried {view:?}"
            );
        }
    }

    /// The servers that fresh connections reach.
    fn reached(&self) -> BTreeSet<usize> {
        let fresh = Held::open(&self.services, 200);
        fresh.census().by_server().into_keys().collect()
    }

    fn assert_reached(&self, servers: &[usize], after: &str) {
        assert_eq!(
            self.reached(),
            servers.iter().copied().collect(),
            "after {after}"
        );
    }

    /// How many flows were moved so far for a reason.
    fn moved(&self, reason: &str) -> u64 {
        let status = self.gateway.ask("status");
        status["moved"][reason]
            .as_u64()
            .unwrap_or_else(|| panic!("no {reason} in {status}"))
    }

    /// The reasons for which flows were moved so far.
    fn reasons(&self) -> Vec<String> {
        let status = self.gateway.ask("status");
        let moved = status["moved"].as_object().expect("reasons");
        moved
            .iter()
            .filter(|(_, count)| **count != 0)
            .map(|(reason, _)| reason.clone())
            .collect()
    }

    /// Every connection that `server` had is moved, for `reason`.
    fn assert_moves(&self, server: usize, reason: &str) {
        let theirs = self.opened.of(server).len() as u64;
        let moved = eventually(|| self.moved(reason) >= theirs);
        assert!(
            moved,
            "{theirs} flows had to move: {}",
            self.gateway.ask("status")
        );
    }
}

#[test]
fn held_connections_survive_every_change_of_routes_and_lose_only_their_own_server() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec::default());
    let gateway = Gateway::start(&lab, &[1, 2, 3]);
    let mut scene = Scene::open(&lab, &gateway);
    assert_eq!(
        scene.opened.by_server().into_keys().collect::<Vec<_>>(),
        [1, 2, 3]
    );
    scene.assert_undisturbed("the start");

    flap_unrelated_routes(&scene);
    let looked_up_again = || books::counter(&gateway, "fg_revalidated") >= HELD as u64;
    assert!(
        eventually(looked_up_again),
        "routes around the service concern every flow"
    );
    scene.assert_undisturbed("unrelated routes flapped");

    gateway.route("add", 4, "");
    scene.assert_undisturbed("server 4 was added");
    scene.assert_reached(&[1, 2, 3, 4], "server 4 was added");

    gateway.route("change", 1, "-weight 5");
    scene.assert_undisturbed("server 1 got five times the weight");

    gateway.route("change", 2, "-weight 0");
    scene.assert_undisturbed("server 2 was drained");
    scene.assert_reached(&[1, 3, 4], "server 2 was drained");
    assert_eq!(scene.reasons(), [""; 0], "nothing had to move so far");

    scene.lost.insert(2);
    gateway.route("delete", 2, "");
    scene.assert_undisturbed("server 2 was deleted");
    scene.assert_moves(2, "policy");
    assert_eq!(scene.reasons(), ["policy"]);

    gateway.route("add", 2, "");
    scene.assert_undisturbed("server 2 was added again");
    scene.assert_reached(&[1, 2, 3, 4], "server 2 was added again");

    scene.lost.insert(3);
    lab.segment.server(3).unplug();
    let dead = eventually(|| gateway.knows(&[1, 2, 4]));
    assert!(dead, "server 3 is unplugged: {}", gateway.ask("netstat -o"));
    scene.assert_undisturbed("server 3 died");
    scene.assert_moves(3, "dead");
    scene.assert_reached(&[1, 2, 4], "server 3 died");

    lab.segment.server(3).plug();
    assert!(
        eventually(|| gateway.knows(&[1, 2, 3, 4])),
        "server 3 is back"
    );
    scene.assert_undisturbed("server 3 came back");
    scene.assert_reached(&[1, 2, 3, 4], "server 3 came back");

    let seen: u64 = scene.held.census().0.iter().map(|view| view.echoes).sum();
    assert!(scene.lab.echoes_served().iter().sum::<u64>() >= seen);
    drop(scene);
    books::assert_balanced(&gateway);
}

/// Routes around the service's own and far from it, each added and deleted several times.
fn flap_unrelated_routes(scene: &Scene<'_>) {
    let prefixes = [
        [
            "203.0.113.0/24",
            "203.0.0.0/8",
            "203.0.113.10/31",
            "10.7.0.0/16",
        ],
        [
            "2001:db8:113::/48",
            "2001:db8::/32",
            "2001:db8:113::10/127",
            "fd07::/16",
        ],
    ];
    for (family, prefixes) in scene.lab.families().into_iter().zip(prefixes) {
        for round in 0..3 {
            let gateway = plan::server(family, 1 + round % 3);
            for verb in ["add", "delete"] {
                for prefix in prefixes {
                    scene
                        .gateway
                        .tell(&format!("route {verb} {prefix} {gateway}"));
                }
            }
        }
    }
}

#[test]
fn connections_survive_without_their_pins_and_a_restart_of_the_daemon() {
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec::default());
    let first = Gateway::start(&lab, &[1, 2, 3]);
    let mut scene = Scene::open(&lab, &first);
    first.tell("flow flush --all");
    scene.counted_from = scene.held.census();
    scene.assert_undisturbed("all flows were flushed");

    // Its devices go with the first daemon, and the kernel's addresses and routes with them.
    let Scene {
        services,
        held,
        opened,
        ..
    } = scene;
    first.signal(Signal::SIGKILL);
    first.finish();
    let second = Gateway::start(&lab, &[1, 2, 3]);
    let counted_from = held.census();
    let lost = BTreeSet::new();
    let scene = Scene {
        lab: &lab,
        gateway: &second,
        services,
        held,
        lost,
        opened,
        counted_from,
    };
    scene.assert_undisturbed("a restart");
    let later = scene.held.census();
    assert_eq!(later.by_server(), scene.opened.by_server());
}

#[test]
fn a_dead_server_gets_no_new_connections_until_it_answers_again() {
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 3,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3]);
    for family in lab.families() {
        let service = plan::echo_service(family);
        lab.segment.server(1).unplug();
        let avoids = || answers(service).is_some_and(|by| by == [2, 3].into());
        assert!(
            eventually(avoids),
            "server 1 is dead: {}",
            gateway.ask("netstat -o")
        );
        lab.segment.server(1).plug();
        let returns = || answers(service).is_some_and(|by| by == [1, 2, 3].into());
        assert!(
            eventually(returns),
            "server 1 is back: {}",
            gateway.ask("netstat -o")
        );
    }
}

/// Who answers thirty fresh connections; `None` if one of them is not answered.
fn answers(service: SocketAddr) -> Option<BTreeSet<usize>> {
    (0..30)
        .map(|_| echo::ask(service, Duration::from_millis(500)).ok())
        .collect()
}

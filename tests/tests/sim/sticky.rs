//! Client affinity through the simulated network: all flows of a client network keep one next hop, by a template that
//! outlives the last of them by its timeout.

use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{BOTH, NAME, Net, Scene, service};
use flowgate_tests::rack::Family;
use flowgate_tests::sim::ip;
use flowtable::{GroupSecret, TableSecret};
use route::{Failback, OptionsAsked, Prefix, StickyAsked, StickyOf};
use stack::Setup;
use stack::control::{TemplateFilter, TemplateRow};
use stack::fate::MoveReason;
use std::collections::HashSet;
use std::net::SocketAddr;

/// Longer than flows stay: what a template is for.
const TIMEOUT_S: u32 = 600;

/// A UDP flow of a client, the `n`th of its family, from this port.
fn flow(family: Family, n: u32, port: u16) -> FlowId {
    let addr = match family {
        Family::V4 => format!("10.7.{}.{}", n >> 8, n & 255),
        Family::V6 => format!("fd10::7:{n:x}"),
    };
    FlowId {
        proto: 17,
        src: SocketAddr::new(ip(&addr), port),
        dst: service(family, NAME),
    }
}

/// From each of the clients numbered so, in both families, a flow from this port.
fn flows(clients: std::ops::Range<u32>, port: u16) -> Vec<FlowId> {
    let of = |family| clients.clone().map(move |n| flow(family, n, port));
    BOTH.into_iter().flat_map(of).collect()
}

fn sticky(len: Option<u8>, timeout: u32) -> OptionsAsked {
    let asked = StickyAsked {
        len,
        timeout: Some(timeout),
    };
    OptionsAsked {
        sticky: Some(asked),
        ..OptionsAsked::default()
    }
}

/// `servers` servers of which the first `members` are the service's, sticky by whole addresses.
fn scene(servers: usize, members: usize, setup: Setup) -> Scene {
    let mut scene = Scene::without_routes(servers, setup, 50);
    let first: Vec<_> = (0..members).collect();
    for family in BOTH {
        scene.route(family, &first);
    }
    scene.options_of(&first, sticky(Some(128), TIMEOUT_S));
    scene.net.run_for(2000);
    // Templates are what is tested, not what a bucket remembers.
    pass(&mut scene, 320);
    scene
}

/// Seconds pass.
fn pass(scene: &mut Scene, seconds: u64) {
    let step = std::mem::replace(&mut scene.net.step_ms, 500);
    scene.net.run_for(seconds * 1000);
    scene.net.step_ms = step;
}

fn templates(net: &mut Net) -> Vec<TemplateRow> {
    let now = net.sim.now;
    net.sim
        .gateway
        .control
        .reader()
        .templates(&TemplateFilter::default(), now)
}

#[test]
fn a_client_s_next_connections_go_where_its_first_went_whatever_joins() {
    let mut scene = scene(6, 3, Scene::setup(2));
    let first = scene.ask_all(&flows(0..60, 2000));
    assert_eq!(templates(&mut scene.net).len(), 120);
    let of_route = |t: &TemplateRow| match t.of {
        Some(StickyOf::Route(prefix)) => Some(prefix),
        _ => None,
    };
    let route: HashSet<Prefix> = templates(&mut scene.net)
        .iter()
        .filter_map(of_route)
        .collect();
    assert_eq!(route.len(), 2, "the service's route in each family");
    scene.add(3);
    scene.add(4);
    scene.net.run_for(10);
    assert_eq!(scene.ask_all(&flows(0..60, 2001)), first, "new next hops");
    scene.weight(0, 9, None);
    assert_eq!(scene.ask_all(&flows(0..60, 2002)), first, "another weight");
    // All flows are long over, the templates are not.
    pass(&mut scene, 400);
    assert_eq!(scene.flows(), 0);
    assert_eq!(scene.ask_all(&flows(0..60, 2003)), first, "later");
    let new = scene.ask_all(&flows(1000..1060, 2000));
    assert!(
        new.contains(&3) && new.contains(&4),
        "new clients choose among all"
    );
    scene.net.assert_moves(&[]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_template_lives_as_long_as_its_flows_and_its_timeout_beyond() {
    let mut scene = scene(4, 3, Scene::setup(2));
    scene.options_of(&[0, 1, 2], sticky(None, 5));
    let (busy, silent) = (flows(0..20, 2000), flows(100..120, 2000));
    let first = scene.ask_all(&busy);
    scene.ask_all(&silent);
    // Flows live for 300 s after their last packet, far longer than the timeout.
    for _ in 0..6 {
        pass(&mut scene, 100);
        scene.ask_all(&busy);
        let left = templates(&mut scene.net);
        assert!(left.len() >= 40, "{} templates", left.len());
        if scene.flows() < 80 {
            break;
        }
    }
    pass(&mut scene, 60);
    let left = templates(&mut scene.net);
    assert_eq!(left.len(), 40, "those of the busy clients");
    assert!(left.iter().all(|t| t.expires_s.is_none()), "{left:?}");
    scene.add(3);
    assert_eq!(scene.ask_all(&flows(0..20, 3000)), first);
    pass(&mut scene, 400);
    assert_eq!(templates(&mut scene.net).len(), 0);
    // Nothing is left of them: everybody chooses anew, the fourth server too.
    let new = scene.ask_all(&flows(0..20, 4000));
    assert!(new.contains(&3) && new != first, "{new:?}");
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn who_loses_his_server_goes_to_one_other_with_all_his_flows() {
    let mut scene = scene(4, 4, Scene::setup(2));
    let all: Vec<FlowId> = (2000..2004).flat_map(|port| flows(0..40, port)).collect();
    let first = scene.ask_all(&all);
    scene.declare(1, true);
    let second = scene.ask_all(&all);
    let later = scene.ask_all(&flows(0..40, 2010));
    for (at, (was, is)) in first.iter().zip(&second).enumerate() {
        assert!(*was == 1 || was == is, "{:?} moved without need", all[at]);
        assert_ne!(*is, 1);
        assert_eq!(
            *is,
            later[at % 80],
            "{:?} is apart from its client",
            all[at]
        );
    }
    // It comes back: its clients have found another.
    scene.declare(1, false);
    scene.net.run_for(100);
    assert_eq!(scene.ask_all(&flows(0..40, 2020)), later);
    let moved = first.iter().filter(|s| **s == 1).count() as u64;
    scene.net.assert_moves(&[(MoveReason::Dead, moved)]);
    scene.finish();
}

#[test]
fn a_draining_server_keeps_its_clients_until_the_deadline_and_gets_no_new_ones() {
    let mut scene = scene(3, 3, Scene::setup(2));
    let first = scene.ask_all(&flows(0..40, 2000));
    scene.weight(0, 0, Some(60));
    assert_eq!(scene.ask_all(&flows(0..40, 2001)), first, "clients stay");
    assert!(
        !scene.ask_all(&flows(100..140, 2000)).contains(&0),
        "new ones do not come"
    );
    pass(&mut scene, 61);
    let after = scene.ask_all(&flows(0..40, 2002));
    for (was, is) in first.iter().zip(&after) {
        assert!(if *was == 0 { *is != 0 } else { was == is }, "{was} {is}");
    }
    // Pinned flows go where their client's new ones go.
    assert_eq!(scene.ask_all(&flows(0..40, 2001)), after);
    scene.finish();
}

#[test]
fn a_next_hop_that_drains_everywhere_keeps_its_clients_too() {
    let mut scene = scene(3, 3, Scene::setup(1));
    let first = scene.ask_all(&flows(0..40, 2000));
    scene.drain_everywhere(2, Some(60));
    assert_eq!(scene.ask_all(&flows(0..40, 2001)), first);
    assert!(!scene.ask_all(&flows(100..140, 2000)).contains(&2));
    pass(&mut scene, 61);
    assert!(!scene.ask_all(&flows(0..40, 2002)).contains(&2));
    scene.finish();
}

#[test]
fn a_client_network_is_as_long_as_it_is_said_to_be() {
    let mut scene = scene(4, 4, Scene::setup(2));
    for family in BOTH {
        let len = if family == Family::V4 { 24 } else { 116 };
        scene.options_in(family, &[0, 1, 2, 3], sticky(Some(len), TIMEOUT_S));
    }
    let of = |net: u32| flows(net << 12..(net << 12) + 8, 2000);
    let mut homes = HashSet::new();
    for net in 0..10 {
        let went = scene.ask_all(&of(net));
        let (v4, v6) = went.split_at(8);
        assert!(
            v4.iter().all(|s| *s == v4[0]) && v6.iter().all(|s| *s == v6[0]),
            "{went:?}"
        );
        homes.extend([v4[0], v6[0]]);
    }
    assert!(homes.len() > 1, "networks are spread");
    let left = templates(&mut scene.net);
    assert_eq!(left.len(), 20);
    assert!(
        left.iter().all(|t| matches!(t.client.1, 24 | 116)),
        "{left:?}"
    );
    scene.finish();
}

#[test]
fn without_room_for_templates_a_client_s_flows_agree_as_far_as_buckets_do() {
    let setup = Setup {
        templates: 8,
        ..Scene::setup(2)
    };
    let mut scene = scene(4, 4, setup);
    let first = scene.ask_all(&flows(0..60, 2000));
    for port in 2001..2004 {
        assert_eq!(scene.ask_all(&flows(0..60, port)), first);
    }
    let stats = scene.net.sim.gateway.control.reader().template_stats();
    assert_eq!((stats.used, stats.capacity, stats.high_water), (8, 8, 8));
    assert!(stats.full >= 4 * 112, "{stats:?}");
    scene.finish();
}

#[test]
fn gateways_with_one_group_secret_send_a_client_the_same_way_without_a_template() {
    let went = |seed: u8| {
        let setup = Setup {
            table_secret: TableSecret([seed; 16]),
            group_secret: GroupSecret([7; 16]),
            ..Scene::setup(2)
        };
        let mut scene = scene(4, 4, setup);
        let port = 2000 + u16::from(seed);
        scene.ask_all(&flows(0..60, port))
    };
    assert_eq!(went(1), went(2));
}

#[test]
fn packets_of_pinned_flows_write_no_template() {
    let mut scene = scene(3, 3, Scene::setup(2));
    let all = flows(0..20, 2000);
    scene.ask_all(&all);
    let stats = |scene: &mut Scene| scene.net.sim.gateway.control.reader().template_stats();
    let before = (stats(&mut scene), templates(&mut scene.net).len());
    let now = scene.net.sim.now;
    for _ in 0..50 {
        for flow in &all {
            scene.send_udp(flow);
        }
        // No time passes but the links' few milliseconds.
        scene.net.run_until_idle(1000);
    }
    assert!(
        scene.net.sim.now.0 - now.0 < 1000,
        "{} ms",
        scene.net.sim.now.0 - now.0
    );
    assert_eq!((stats(&mut scene), templates(&mut scene.net).len()), before);
    // Time passes: each is renewed by hands, at most once a round.
    pass(&mut scene, 200);
    let after = stats(&mut scene);
    assert!(after.renewed > before.0.renewed, "{after:?}");
    assert_eq!((after.used, after.claimed), (40, 40));
    scene.finish();
}

#[test]
fn a_flow_that_must_move_joins_its_client_s_others() {
    let mut scene = Scene::without_routes(3, Scene::setup(2), 51);
    for family in BOTH {
        scene.route(family, &[0, 1, 2]);
    }
    scene.net.run_for(2000);
    pass(&mut scene, 320);
    // Before the route is sticky, flows of a client are spread.
    let old: Vec<FlowId> = (2000..2006).flat_map(|port| flows(0..20, port)).collect();
    let first = scene.ask_all(&old);
    scene.options_of(&[0, 1, 2], sticky(Some(128), TIMEOUT_S));
    assert_eq!(scene.ask_all(&old), first, "pinned flows stay");
    let home = scene.ask_all(&flows(0..20, 3000));
    // A fourth of the weight goes elsewhere, so that templates and buckets differ.
    scene.weight(2, 50, None);
    scene.declare(0, true);
    let now = scene.ask_all(&old);
    let homes = scene.ask_all(&flows(0..20, 3000));
    for (at, is) in now.iter().enumerate() {
        let client = at % 40;
        let expected = if first[at] == 0 {
            homes[client]
        } else {
            first[at]
        };
        assert_eq!(*is, expected, "{:?}", old[at]);
        assert!(home[client] == 0 || homes[client] == home[client]);
    }
    let totals = scene.net.totals();
    assert!(totals.moved_for(MoveReason::Template) > 0, "{totals:?}");
    assert!(totals.moved_for(MoveReason::Dead) > 0, "{totals:?}");
    scene.finish();
}

#[test]
fn flows_and_clients_that_a_death_sent_away_return_if_asked() {
    let mut scene = scene(4, 4, Scene::setup(2));
    let options = OptionsAsked {
        failback: Some(Failback::Return),
        ..sticky(Some(128), TIMEOUT_S)
    };
    scene.options(options);
    let old: Vec<FlowId> = (2000..2003).flat_map(|port| flows(0..40, port)).collect();
    let first = scene.ask_all(&old);
    scene.declare(1, true);
    let away = scene.ask_all(&old);
    assert!(!away.contains(&1));
    let new = flows(0..40, 2010);
    assert_eq!(scene.ask_all(&new), away[..80]);
    scene.declare(1, false);
    scene.net.run_for(100);
    assert_eq!(scene.ask_all(&old), first, "flows return");
    assert_eq!(
        scene.ask_all(&new),
        first[..80],
        "and those of the time between"
    );
    assert_eq!(
        scene.ask_all(&flows(0..40, 2020)),
        first[..80],
        "and new ones"
    );
    let one = first.iter().filter(|s| **s == 1).count() as u64;
    let moves = [
        (MoveReason::Dead, one),
        (MoveReason::Failback, one + one / 3),
    ];
    scene.net.assert_moves(&moves);
    scene.finish();
}

#[test]
fn forgotten_templates_are_made_anew_and_pinned_flows_stay() {
    let mut scene = scene(5, 3, Scene::setup(2));
    let first = scene.ask_all(&flows(0..40, 2000));
    scene.add(3);
    scene.add(4);
    scene.net.run_for(10);
    let now = scene.net.sim.now;
    let control = &mut scene.net.sim.gateway.control;
    let some = TemplateFilter {
        client: "10.7.0.0/27".parse::<Prefix>().ok(),
        gateway: None,
    };
    assert_eq!(control.template_flush(&some, now), 32);
    assert_eq!(control.template_flush(&TemplateFilter::default(), now), 48);
    assert_eq!(scene.ask_all(&flows(0..40, 2000)), first);
    let anew = scene.ask_all(&flows(0..40, 2001));
    assert!(anew.contains(&3) && anew.contains(&4));
    assert_eq!(scene.ask_all(&flows(0..40, 2002)), anew);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn what_comes_back_to_a_client_is_no_affair_of_its_template() {
    let mut scene = scene(3, 3, Scene::setup(2));
    let client = scene.client(1);
    scene.talk(client, 1, 12, 500);
    scene.net.run_for(3000);
    let rounds = scene.net.nodes[client].talks().map(|(_, talk)| talk.rounds);
    assert!(rounds.into_iter().all(|rounds| rounds > 2));
    // One template a family, though packets went both ways.
    assert_eq!(templates(&mut scene.net).len(), 2);
    scene.net.assert_drops(&[]);
    scene.finish();
}

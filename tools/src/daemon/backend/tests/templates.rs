//! Affinity templates of a gateway that runs.

use super::*;
use crate::wire::options::Options;
use crate::wire::options::Sticky;
use crate::wire::template::Template;
use crate::wire::template::TemplateFilter;

fn list(rig: &mut Rig, filter: TemplateFilter) -> Vec<Template> {
    rig.live.templates(filter).unwrap()()
}

fn of_client(text: &str) -> TemplateFilter {
    TemplateFilter {
        client: Some(prefix(text)),
        ..TemplateFilter::default()
    }
}

fn by(gateway: &str) -> TemplateFilter {
    TemplateFilter {
        nexthop: gateway.parse().ok(),
        ..TemplateFilter::default()
    }
}

/// A rig with the template of one client, 10.99.0.0/28, whose flow is alive.
pub(super) fn rig_with_a_template() -> Rig {
    let mut rig = rig();
    heard(rig.live.neighbour_set(stated("192.0.2.11", None))).unwrap();
    let sticky = Sticky {
        length: Some(28),
        timeout: Some(1800),
    };
    let options = Options {
        sticky: Some(sticky),
        ..Options::default()
    };
    let route = RouteAdd {
        options,
        ..add(SERVICE, &["192.0.2.11"])
    };
    rig.live.route_add(route).unwrap();
    rig.live
        .route_add(add("198.51.100.0/24", &["192.0.2.12"]))
        .unwrap();
    assert!(rig.uplink.tx(&packet()));
    until(&mut rig, |rig| rig.live.flows(to_server()).unwrap().next());
    rig
}

#[test]
fn a_template_is_listed_with_its_route_and_next_hop() {
    let mut rig = rig_with_a_template();
    let all = list(&mut rig, TemplateFilter::default());
    assert_eq!(all.len(), 1);
    let template = &all[0];
    assert_eq!(template.client, prefix("10.99.0.0/28"));
    assert_eq!(template.destination, Some(prefix(SERVICE)));
    assert_eq!(template.fib, 0);
    assert_eq!(template.nexthop.name(), "192.0.2.11");
    assert_eq!(template.nexthop.state, "live");
    assert_eq!((template.idle, template.expires), (None, None));
    for hit in [
        of_client("10.99.0.2/32"),
        of_client("10.99.0.0/16"),
        by("192.0.2.11"),
    ] {
        assert_eq!(list(&mut rig, hit), all);
    }
    for miss in [of_client("10.99.0.16/32"), by("192.0.2.12")] {
        assert_eq!(list(&mut rig, miss), []);
    }
    let deleted = rig.live.route_delete(delete(SERVICE, None));
    deleted.unwrap();
    assert_eq!(
        list(&mut rig, TemplateFilter::default())[0].destination,
        None
    );
}

#[test]
fn flushed_templates_are_gone_and_flows_stay() {
    let mut rig = rig_with_a_template();
    for miss in [of_client("10.99.1.0/24"), by("192.0.2.12")] {
        assert_eq!(rig.live.template_flush(miss).unwrap().flushed, 0);
    }
    assert_eq!(list(&mut rig, TemplateFilter::default()).len(), 1);
    let (reason, _) = refusal(rig.live.template_flush(by("192.0.2.99")));
    assert_eq!(reason, Reason::NotFound);
    let hit = TemplateFilter {
        nexthop: "192.0.2.11".parse().ok(),
        ..of_client("10.99.0.2/32")
    };
    assert_eq!(rig.live.template_flush(hit).unwrap().flushed, 1);
    assert_eq!(list(&mut rig, TemplateFilter::default()), []);
    assert_eq!(rig.live.flows(to_server()).unwrap().count(), 1);
}

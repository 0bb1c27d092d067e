//! Affinity templates: of a client with flows, of one without, of one whose next hop and route are no more.

use super::prefix;
use crate::server::Reading;
use crate::wire::flow::FlowNexthop;
use crate::wire::route::PathKind;
use crate::wire::template::Template;
use crate::wire::template::TemplateFilter;

pub(super) fn list(filter: TemplateFilter) -> Reading<Vec<Template>> {
    let mut all = vec![
        template("10.7.1.0/24", Some("192.0.2.11"), None),
        template("10.7.2.0/24", Some("192.0.2.12"), Some((60, 1740))),
        Template {
            destination: None,
            ..template("2001:db8:7::/64", None, Some((1000, 800)))
        },
    ];
    all.retain(|template| {
        let via = template.nexthop.gateway;
        filter.client.is_none_or(|client| client == template.client)
            && filter.nexthop.is_none_or(|gateway| via == Some(gateway))
    });
    Box::new(|| all)
}

fn template(client: &str, gateway: Option<&str>, clock: Option<(u32, u32)>) -> Template {
    let state = if gateway.is_some() { "live" } else { "gone" };
    Template {
        group: None,
        client: prefix(client),
        destination: Some(prefix("203.0.113.0/24")),
        fib: 0,
        nexthop: FlowNexthop {
            kind: PathKind::Gateway,
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            port: gateway.map(|_| "rack".into()),
            nexthop: 1,
            generation: 7,
            state: state.into(),
        },
        idle: clock.map(|(idle, _)| idle),
        expires: clock.map(|(_, expires)| expires),
    }
}

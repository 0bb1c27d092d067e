//! Affinity templates: listed by whoever asks, flushed by control.

use super::Live;
use super::flows::nexthop;
use super::refusal::refused;
use crate::server::Answer;
use crate::server::Reading;
use crate::wire::template as wire;
use route::Prefix;
use route::StickyOf;
use stack::control::Reader;
use stack::control::TemplateFilter;
use stack::control::TemplateRow;

impl Live {
    pub(super) fn list_templates(
        &mut self,
        filter: &wire::TemplateFilter,
    ) -> Answer<Reading<Vec<wire::Template>>> {
        let filter = self.template_filter(filter)?;
        let (reader, now) = (self.control.reader(), self.now());
        Ok(Box::new(move || {
            let rows = reader.templates(&filter, now);
            rows.iter().map(|row| template(row, &reader)).collect()
        }))
    }

    pub(super) fn flush_templates(
        &mut self,
        filter: &wire::TemplateFilter,
    ) -> Answer<wire::TemplatesFlushed> {
        let (filter, now) = (self.template_filter(filter)?, self.now());
        let flushed = self.control.template_flush(&filter, now);
        Ok(wire::TemplatesFlushed { flushed })
    }

    /// A gateway that is no next hop is refused, as it is for flows.
    fn template_filter(&self, filter: &wire::TemplateFilter) -> Answer<TemplateFilter> {
        if let Some(gateway) = filter.nexthop {
            self.control
                .nhops_via(gateway)
                .map_err(|error| refused(&error))?;
        }
        Ok(TemplateFilter {
            client: filter.client,
            gateway: filter.nexthop,
        })
    }
}

fn template(row: &TemplateRow, reader: &Reader) -> wire::Template {
    let (addr, len) = row.client;
    let (route, group) = match row.of {
        Some(StickyOf::Route(route)) => (Some(route), None),
        Some(StickyOf::Group(number)) => (None, Some(number.0)),
        None => (None, None),
    };
    wire::Template {
        client: Prefix::masked(addr, len),
        destination: route,
        group,
        fib: route.map_or(0, |route| route.fib().0),
        nexthop: nexthop(row.pin, row.nhop, row.state, reader),
        idle: row.expires_s.map(|_| row.age_s),
        expires: row.expires_s,
    }
}

//! What the flow, its route and its next hop look like, in words.

use super::follow::Flow;
use super::{Stage, Tracing, words};
use crate::affinity::{Affine, chosen_of};
use crate::routed::Routed;
use flowtable::{Dir, EntryView};
use route::{Admin, Chosen, FibId, GroupRef, Health, NhopIdx, NhopKind, Pin, PinState, Selection};
use std::net::{IpAddr, SocketAddr};

impl Tracing<'_> {
    /// An entry in a line.
    pub(super) fn entry_words<K: Routed>(&self, f: &Flow<'_, K>, entry: &EntryView<K>) -> String {
        let (a, b) = entry.key.ends();
        let opener = match entry.opener {
            Dir::Fwd => a,
            Dir::Rev => b,
        };
        let way = match f.dir == entry.opener {
            true => "the opener's direction",
            false => "the other direction",
        };
        let idle = self.now.tick().0.saturating_sub(entry.last_use.0);
        let other = Pin::from_raw(entry.pins[f.dir.flip() as usize].0);
        let back = match other {
            Pin::NONE => "no pin the other way".to_owned(),
            pin => format!("pin the other way {}", self.nhop_name(pin)),
        };
        let debt = if entry.debt { ", in pin debt" } else { "" };
        format!(
            "an entry: {}, {}{debt}, opened by {opener}, idle {}.{} s of {} s; this is {way}; {back}",
            entry.state.name(),
            entry.class.name(),
            idle / 10,
            idle % 10,
            entry.timeout_s,
        )
    }

    pub(super) fn tell_route<K: Routed>(
        &mut self,
        f: &Flow<'_, K>,
        group: &GroupRef<'_>,
        asked: &str,
    ) {
        let (fib, to) = (FibId(f.key.fib()), destination(f));
        // While routes are loaded, what workers look up can be ahead of the table by name.
        let route = self.control.routes.lookup_in(fib, to);
        let route = route.filter(|route| route.group == group.id());
        let prefix = route.as_ref().map(|route| route.prefix);
        self.found.route = Some((prefix, group.id()));
        let covers = match (prefix, fib.0) {
            (Some(prefix), 0) => format!("{prefix} covers {to}"),
            (Some(prefix), fib) => format!("{prefix} covers {to} in FIB {fib}"),
            (None, _) => format!("a route that is being changed covers {to}"),
        };
        let number = route.and_then(|route| route.options.group);
        let number = number.map_or_else(String::new, |number| format!(" (number {number})"));
        let members = words::counted(group.members().count(), "member");
        let id = group.id().0;
        self.pass(
            Stage::Route,
            format!("{asked}{covers}: group {id}{number}, {members}"),
        );
    }

    pub(super) fn tell_bucket(&mut self, group: &GroupRef<'_>, bucket: u32, asked: &str) {
        let buckets = group.buckets();
        self.found.bucket = Some((bucket, buckets));
        if buckets == 1 {
            return;
        }
        let by = match (group.sticky(), group.selection()) {
            (Some((_, sticky)), _) => format!("source /{}", sticky.len),
            (None, Selection::Tuple) => "5-tuple".to_owned(),
            (None, Selection::Source) => "source".to_owned(),
            (None, Selection::SourceDestination) => "source and destination".to_owned(),
            (None, Selection::ModN) => "(source xor destination) mod n".to_owned(),
        };
        let owner = match group.raw_owner(bucket) {
            Some(pin) => format!("owner {}, {}", self.nhop_name(pin), self.state_of(pin)),
            None => "no owner".to_owned(),
        };
        let lost = group.remembered(bucket, self.now.secs());
        let lost = lost.into_iter().map(|(pin, ago)| {
            format!(
                "; before it {}, {} ({ago} s ago)",
                self.nhop_name(pin),
                self.state_of(pin)
            )
        });
        let lost: String = lost.collect();
        self.pass(
            Stage::Bucket,
            format!("{asked}{bucket} of {buckets} by {by}: {owner}{lost}"),
        );
    }

    pub(super) fn tell_template(&mut self, affine: &Affine, told: Option<Chosen>, asked: &str) {
        let (net, len) = affine.client().network();
        let said = self.control.templates.table().peek(affine.client());
        let cause = match (told, said) {
            (Some(told), _) => format!(
                "{net}/{len} has one, which holds: {}",
                self.nhop_name(told.pin)
            ),
            (None, Some(word)) => {
                let pin = chosen_of(word).pin;
                format!(
                    "{net}/{len} has one that does not hold: {}",
                    self.nhop_name(pin)
                )
            }
            (None, None) => format!(
                "{net}/{len} has none: the route is sticky, and one is made of what is chosen"
            ),
        };
        self.pass(Stage::Template, format!("{asked}{cause}"));
    }

    /// Why the owner of a bucket, or who stands in for it.
    pub(super) fn owner_words(&self, group: &GroupRef<'_>, bucket: u32, taken: Pin) -> String {
        match group.raw_owner(bucket) {
            _ if group.buckets() == 1 => "it is the only member".to_owned(),
            Some(own) if own == taken => "it owns the bucket".to_owned(),
            _ => "the bucket's owner takes nothing, and it is the first live owner of the buckets behind".to_owned(),
        }
    }

    /// A next hop was chosen.
    pub(super) fn chose(&mut self, pin: Pin, because: &str) {
        let cause = format!("{}, {}: {because}", self.nhop_name(pin), self.state_of(pin));
        self.pass(Stage::Nexthop, cause);
    }

    /// What a next hop is called; its place and generation where that says more.
    pub(super) fn nhop_name(&self, pin: Pin) -> String {
        let (idx, generation) = (pin.idx(), pin.generation());
        let place = format!("next hop {}, generation {}", idx.0, generation.0);
        let info = self.control.nhop(idx);
        match info.filter(|info| info.generation == generation) {
            Some(info) => {
                let port = info.port();
                let port = match info.key.kind {
                    NhopKind::Gateway | NhopKind::Iface if port < route::PortId::END => {
                        format!(" on {}", self.port_name(port))
                    }
                    _ => String::new(),
                };
                let what = match info.key.gateway {
                    Some(gateway) => gateway.to_string(),
                    None => info.key.kind.name().to_owned(),
                };
                format!("{what}{port} ({place})")
            }
            None => format!("({place})"),
        }
    }

    /// How a next hop is.
    fn state_of(&self, pin: Pin) -> &'static str {
        let word = self.control.view.nhop_word(pin.idx());
        match (self.control.view.judge(pin), word.admin(), word.health()) {
            (PinState::Gone, ..) => "gone",
            (PinState::Dead, ..) => "dead",
            (PinState::Drained, ..) => "drained",
            (PinState::Live, Admin::Draining, _) => "draining",
            (PinState::Live, _, Health::Returning) => "returning",
            (PinState::Live, ..) => "up",
        }
    }

    /// The dead members of a route, each with its causes.
    pub(super) fn why_dead(&self, idxs: impl Iterator<Item = NhopIdx>) -> String {
        let each = idxs.map(|idx| {
            let info = self.control.nhop(idx);
            let pin = info.map_or(Pin::NONE, |info| Pin::new(idx, info.generation));
            let causes = self.control.down_causes(idx);
            let causes: Vec<_> = causes.iter().map(|cause| cause.name()).collect();
            let causes = match causes.is_empty() {
                true => String::new(),
                false => format!(" ({})", causes.join(", ")),
            };
            format!("{}, {}{causes}", self.nhop_name(pin), self.state_of(pin))
        });
        each.collect::<Vec<_>>().join("; ")
    }

    pub(super) fn port_name(&self, port: route::PortId) -> String {
        let port_of = self.control.ports.get(port);
        port_of.map_or_else(|| format!("port{}", port.0), |port| port.name.clone())
    }
}

/// Where a flow's packets of this direction go.
fn destination<K: Routed>(f: &Flow<'_, K>) -> IpAddr {
    let (a, b) = f.key.ends();
    let to: SocketAddr = match f.dir {
        Dir::Fwd => b,
        Dir::Rev => a,
    };
    to.ip()
}
